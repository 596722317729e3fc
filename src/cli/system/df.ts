import type { ContainerSummary, ImageSummary, VolumeSummary } from "../api.ts";
import { defineCommand, none } from "../command.ts";
import { containerHeaders, containerRow } from "../container/ps.ts";
import { goJson, type Row, renderListing, renderTable, withSortedFields } from "../format/listing.ts";
import { ago, humanSize } from "../format/units.ts";
import { imageHeaders, imageRows } from "../image/ls.ts";
import { listedVolume } from "../volume/volume.ts";

interface CacheRecord {
  ID: string;
  Type?: string;
  Description?: string;
  InUse?: boolean;
  Shared?: boolean;
  Size: number;
  CreatedAt?: string;
  LastUsedAt?: string | null;
  UsageCount?: number;
}

/** `GET /system/df`. */
export interface DiskUsage {
  LayersSize?: number;
  Images: ImageSummary[] | null;
  Containers: ContainerSummary[] | null;
  Volumes: VolumeSummary[] | null;
  BuildCache: CacheRecord[] | null;
}

export const command = defineCommand({
  name: "system df",
  usage: "[OPTIONS]",
  summary: "Show how much disk space is used, and by what",
  flags: {
    format: { kind: "string", help: "Format with a Go template, `table TEMPLATE` or `json`" },
    verbose: { kind: "bool", short: "v", help: "Show each image, container, volume and cache record" },
  },
  arity: none,
  examples: ["system df", "system df -v"],
  async run(context, { flags }) {
    const usage = await context.client.call<DiskUsage>("GET", "/system/df");
    if (flags.verbose && flags.format) context.out(await inTemplate(flags.format, usage, Date.now()));
    else if (flags.verbose) context.out(verbose(usage, Date.now()));
    else {
      const columns = ["Type", "TotalCount", "Active", "Size", "Reclaimable"];
      context.out(await renderListing({ format: flags.format, columns, headers, rows: usageRows(usage) }));
    }
    return 0;
  },
});

const headers = {
  Type: "TYPE",
  TotalCount: "TOTAL",
  Active: "ACTIVE",
  Size: "SIZE",
  Reclaimable: "RECLAIMABLE",
};

const sum = (values: number[]) => values.reduce((total, value) => total + Math.max(0, value), 0);
const activeStates = ["running", "paused", "restarting"];

/** A row a kind of thing. */
export function usageRows({ LayersSize = 0, Images, Containers, Volumes, BuildCache }: DiskUsage): Row[] {
  const images = Images ?? [];
  const containers = Containers ?? [];
  const volumes = Volumes ?? [];
  const cache = BuildCache ?? [];
  const used = images.filter((image) => (image.Containers ?? 0) > 0);
  const usedSize = sum(used.map(({ Size, SharedSize = 0 }) => Size - Math.max(0, SharedSize)));
  const isActive = ({ State }: ContainerSummary) => activeStates.includes(State);
  const inUse = ({ UsageData }: VolumeSummary) => (UsageData?.RefCount ?? 0) > 0;
  const writable = (list: ContainerSummary[]) => sum(list.map(({ SizeRw }) => SizeRw ?? 0));
  const stored = (list: VolumeSummary[]) => sum(list.map(({ UsageData }) => UsageData?.Size ?? 0));
  const own = (list: CacheRecord[]) => sum(list.filter(({ Shared }) => !Shared).map(({ Size }) => Size));
  const cacheSize = own(cache);
  return [
    row(
      "Images",
      images.length,
      used.length,
      LayersSize,
      share(Math.max(0, LayersSize - usedSize), LayersSize),
    ),
    row(
      "Containers",
      containers.length,
      containers.filter(isActive).length,
      writable(containers),
      share(writable(containers.filter((container) => !isActive(container))), writable(containers)),
    ),
    row(
      "Local Volumes",
      volumes.length,
      volumes.filter(inUse).length,
      stored(volumes),
      share(stored(volumes.filter((volume) => !inUse(volume))), stored(volumes)),
    ),
    row(
      "Build Cache",
      cache.length,
      cache.filter(({ InUse }) => InUse).length,
      cacheSize,
      humanSize(cacheSize - own(cache.filter(({ InUse }) => InUse))),
    ),
  ];
}

function row(Type: string, total: number, active: number, size: number, Reclaimable: string): Row {
  return { Type, TotalCount: String(total), Active: String(active), Size: humanSize(size), Reclaimable };
}

function share(bytes: number, total: number): string {
  return total > 0 ? `${humanSize(bytes)} (${Math.trunc((bytes * 100) / total)}%)` : humanSize(bytes);
}

const withFirstName = (image: ImageSummary): ImageSummary => ({
  ...image,
  RepoTags: image.RepoTags?.slice(0, 1) ?? null,
});

/** A row of the volumes' table. */
const volumeRow = ({ Name, UsageData }: VolumeSummary): Row => ({
  Name,
  Links: UsageData ? String(UsageData.RefCount) : "N/A",
  Size: UsageData && UsageData.Size >= 0 ? humanSize(UsageData.Size) : "N/A",
});

function cacheRow(record: CacheRecord, truncate: boolean, now: number): Row {
  return {
    ID: (truncate ? record.ID.slice(0, 12) : record.ID) + (truncate && record.InUse ? "*" : ""),
    CacheType: record.Type ?? "",
    Description: record.Description ?? "",
    Size: humanSize(record.Size, 3),
    CreatedAt: record.CreatedAt ?? "",
    CreatedSince: record.CreatedAt ? ago(record.CreatedAt, now) : "",
    LastUsedAt: record.LastUsedAt ?? "",
    LastUsedSince: record.LastUsedAt ? ago(record.LastUsedAt, now) : "",
    UsageCount: String(record.UsageCount ?? 0),
    InUse: String(record.InUse ?? false),
    Shared: String(record.Shared ?? false),
  };
}

/** One template over the rows of all four tables, as `-v --format` has it; nothing is cut short. */
async function inTemplate(format: string, usage: DiskUsage, now: number): Promise<string> {
  const images = (usage.Images ?? []).map(withFirstName);
  const tables: Record<string, Row[]> = {
    Images: imageRows(images, { truncate: false, digests: false, now }).map((row) => ({
      ...row,
      Digest: "",
    })),
    Containers: (usage.Containers ?? []).map((container) => ({
      ...containerRow(container, false, now),
      Size: humanSize(container.SizeRw ?? 0, 3),
    })),
    Volumes: (usage.Volumes ?? []).map((volume) => ({ ...listedVolume(volume), ...volumeRow(volume) })),
    BuildCache: (usage.BuildCache ?? []).map((record) => cacheRow(record, false, now)),
  };
  const sorted = Object.fromEntries(
    Object.entries(tables).map(([name, rows]) => [name, rows.map(withSortedFields)]),
  );
  const asked = format.replaceAll("\\t", "\t").replaceAll("\\n", "\n");
  if (/^(json|\{\{\s*json\s+\.\s*\}\})$/.test(format)) return goJson(sorted);
  const { compileTemplate } = await import("../template/index.ts");
  return compileTemplate(asked)(sorted);
}

function verbose({ Images, Containers, Volumes, BuildCache }: DiskUsage, now: number): string {
  const images = renderTable({
    columns: ["Repository", "Tag", "ID", "CreatedSince", "Size", "SharedSize", "UniqueSize", "Containers"],
    headers: imageHeaders,
    // An image is counted once, whatever its names.
    rows: imageRows((Images ?? []).map(withFirstName), { truncate: true, digests: false, now }),
  });
  const containers = renderTable({
    columns: ["ID", "Image", "Command", "LocalVolumes", "Size", "RunningFor", "Status", "Names"],
    headers: containerHeaders,
    rows: (Containers ?? []).map((container) => ({
      ...containerRow(container, true, now),
      Size: humanSize(container.SizeRw ?? 0, 3),
    })),
  });
  const volumes = renderTable({
    columns: ["Name", "Links", "Size"],
    headers: { Name: "VOLUME NAME", Links: "LINKS", Size: "SIZE" },
    rows: (Volumes ?? []).map(volumeRow),
  });
  const cache = BuildCache ?? [];
  const records = renderTable({
    columns: ["ID", "CacheType", "Size", "CreatedSince", "LastUsedSince", "UsageCount", "Shared"],
    headers: {
      ID: "CACHE ID",
      CacheType: "CACHE TYPE",
      Size: "SIZE",
      CreatedSince: "CREATED",
      LastUsedSince: "LAST USED",
      UsageCount: "USAGE",
      Shared: "SHARED",
    },
    rows: cache.map((record) => cacheRow(record, true, now)),
  });
  const cacheSize = humanSize(sum(cache.filter(({ Shared }) => !Shared).map(({ Size }) => Size)));
  return [
    `Images space usage:\n\n${images}`,
    `Containers space usage:\n\n${containers}`,
    `Local Volumes space usage:\n\n${volumes}`,
    `Build cache usage: ${cacheSize}\n\n${records}`,
  ].join("\n");
}
