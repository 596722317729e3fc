import { InvalidParameter } from "../../lib/errors.ts";
import { defineCommand, none } from "../command.ts";
import { parseFilters } from "../filters.ts";
import { renderListing } from "../format/listing.ts";
import { ago, humanSize } from "../format/units.ts";
import { builderFlag, contextOfBuilder } from "./builders.ts";

/** A record of the build cache (Engine API, "BuildCache"). */
export interface CacheRecord {
  ID: string;
  Parents?: string[] | null;
  Type?: string;
  Description?: string;
  InUse?: boolean;
  Shared?: boolean;
  Size: number;
  CreatedAt?: string;
  LastUsedAt?: string | null;
  UsageCount?: number;
}

export const command = defineCommand({
  name: "buildx du",
  usage: "[OPTIONS]",
  summary: "Show what the build cache takes",
  flags: {
    ...builderFlag,
    filter: { kind: "list", value: "filter", help: "Only what fits a condition (type=regular, shared=true)" },
    format: { kind: "string", help: "Format with a Go template, `table TEMPLATE` or `json`" },
    timeout: { kind: "duration", help: "Accepted for buildx's sake", default: "20s", hidden: true },
    verbose: { kind: "bool", help: "Show each record whole" },
  },
  arity: none,
  examples: ["buildx du --verbose", "buildx du --filter type=exec.cachemount"],
  async run(current, { flags }) {
    const context = await contextOfBuilder(current, flags.builder);
    const { BuildCache } = await context.client.call<{ BuildCache: CacheRecord[] | null }>(
      "GET",
      "/system/df",
      { query: { type: "build-cache" } },
    );
    const records = select(BuildCache ?? [], parseFilters(flags.filter) ?? {});
    const now = Date.now();
    if (flags.verbose) {
      for (const record of records) context.out(`${whole(record, now)}\n`);
    } else {
      const rows = records.map((record) => row(record, now));
      const columns = ["ID", "Reclaimable", "Size", "LastUsedAt"];
      context.out(await renderListing({ format: flags.format, columns, headers, rows }));
    }
    if (flags.format === undefined || flags.format === "table") context.out(totals(records));
    return 0;
  },
});

const headers = {
  ID: "ID",
  Reclaimable: "RECLAIMABLE",
  Size: "SIZE",
  LastUsedAt: "LAST ACCESSED",
  Type: "TYPE",
  Shared: "SHARED",
  Description: "DESCRIPTION",
  UsageCount: "USAGE",
  CreatedAt: "CREATED",
};

function row(record: CacheRecord, now: number) {
  return {
    ID: record.ID,
    Reclaimable: String(!record.InUse),
    Size: humanSize(record.Size, 3),
    LastUsedAt: record.LastUsedAt ? ago(record.LastUsedAt, now) : "",
    Type: record.Type ?? "",
    Shared: String(record.Shared ?? false),
    Description: record.Description ?? "",
    UsageCount: record.UsageCount ?? 0,
    CreatedAt: record.CreatedAt ? ago(record.CreatedAt, now) : "",
  };
}

function whole(record: CacheRecord, now: number): string {
  const { ID, Reclaimable, Size, LastUsedAt, Type, Shared, Description, UsageCount, CreatedAt } = row(
    record,
    now,
  );
  const fields = {
    ID,
    Parents: (record.Parents ?? []).join(", "),
    "Created at": CreatedAt,
    Reclaimable,
    Shared,
    Size,
    Description,
    "Usage count": String(UsageCount),
    "Last used": LastUsedAt,
    Type,
  };
  return Object.entries(fields)
    .filter(([, value]) => value !== "")
    .map(([name, value]) => `${`${name}:`.padEnd(15)} ${value}\n`)
    .join("");
}

/** @returns the sums below the table */
function totals(records: readonly CacheRecord[]): string {
  const sum = (wanted: (record: CacheRecord) => boolean) =>
    humanSize(
      records.filter(wanted).reduce((total, { Size }) => total + Size, 0),
      4,
    );
  const shared = records.some(({ Shared }) => Shared);
  return [
    ...(shared
      ? [`Shared:\t\t${sum(({ Shared }) => !!Shared)}`, `Private:\t${sum(({ Shared }) => !Shared)}`]
      : []),
    `Reclaimable:\t${sum(({ InUse }) => !InUse)}`,
    `Total:\t\t${sum(() => true)}`,
    "",
  ].join("\n");
}

const conditions: Record<string, (record: CacheRecord, value: string) => boolean> = {
  id: ({ ID }, value) => ID.startsWith(value),
  parent: ({ Parents }, value) => (Parents ?? []).includes(value),
  parents: ({ Parents }, value) => (Parents ?? []).includes(value),
  type: ({ Type }, value) => Type === value,
  description: ({ Description }, value) => (Description ?? "").includes(value),
  inuse: ({ InUse }, value) => !!InUse === truth(value),
  shared: ({ Shared }, value) => !!Shared === truth(value),
  private: ({ Shared }, value) => !Shared === truth(value),
};

const truth = (value: string) => !["0", "false", "no"].includes(value.toLowerCase());

/** Records that fit all filters; the values of one are alternatives. @throws InvalidParameter */
export function select(records: readonly CacheRecord[], filters: Record<string, string[]>): CacheRecord[] {
  for (const name of Object.keys(filters)) {
    if (!Object.hasOwn(conditions, name))
      throw new InvalidParameter(`invalid filter ${name}: there are ${Object.keys(conditions).join(", ")}`);
  }
  return records.filter((record) =>
    Object.entries(filters).every(([name, values]) =>
      values.some((value) => conditions[name]!(record, value)),
    ),
  );
}
