import { InvalidParameter } from "../../lib/errors.ts";
import type { ContainerSummary, ImageSummary, VolumeSummary } from "../api.ts";
import { defineCommand, none } from "../command.ts";
import { containerHeaders, containerRow } from "../container/ps.ts";
import { type Row, renderListing, renderTable } from "../format/listing.ts";
import { ago, humanSize } from "../format/units.ts";
import { imageHeaders, imageRows } from "../image/ls.ts";

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
    if (flags.verbose && flags.format !== undefined && flags.format !== "json")
      throw new InvalidParameter("the verbose and the format options conflict");
    const usage = await context.client.call<DiskUsage>("GET", "/system/df");
    if (flags.verbose && flags.format === "json") context.line(JSON.stringify(usage));
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
    rows: (Volumes ?? []).map(({ Name, UsageData }) => ({
      Name,
      Links: UsageData ? String(UsageData.RefCount) : "N/A",
      Size: UsageData && UsageData.Size >= 0 ? humanSize(UsageData.Size) : "N/A",
    })),
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
    rows: cache.map((record) => ({
      ID: record.ID.slice(0, 12) + (record.InUse ? "*" : ""),
      CacheType: record.Type ?? "",
      Size: humanSize(record.Size, 3),
      CreatedSince: record.CreatedAt ? ago(record.CreatedAt, now) : "",
      LastUsedSince: record.LastUsedAt ? ago(record.LastUsedAt, now) : "",
      UsageCount: String(record.UsageCount ?? 0),
      Shared: String(record.Shared ?? false),
    })),
  });
  const cacheSize = humanSize(sum(cache.filter(({ Shared }) => !Shared).map(({ Size }) => Size)));
  return [
    `Images space usage:\n\n${images}`,
    `Containers space usage:\n\n${containers}`,
    `Local Volumes space usage:\n\n${volumes}`,
    `Build cache usage: ${cacheSize}\n\n${records}`,
  ].join("\n");
}
