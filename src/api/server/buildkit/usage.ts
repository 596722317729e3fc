/** The build cache as clients list it and prune it: BuildKit's records and its filters (containerd/filters). */
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { CacheEntry } from "../../../build/types.ts";
import type { Engine } from "../../../engine/types.ts";
import { InvalidParameter } from "../../../lib/errors.ts";
import { own } from "../../../lib/own.ts";
import { type PruneRequest, type UsageRecord, UsageRecordSchema } from "./proto/control_pb.ts";

type Filter = (entry: CacheEntry) => boolean;

/** What a filter may ask about: texts of an entry, or whether something holds. */
const fields: Record<string, (entry: CacheEntry) => string[] | boolean> = {
  id: ({ id }) => [id],
  parents: ({ parents }) => parents,
  description: ({ description }) => [description],
  type: ({ type }) => [type],
  inuse: ({ inUse }) => inUse,
  mutable: () => false,
  immutable: () => true,
  shared: ({ shared }) => shared,
  private: ({ shared }) => !shared,
};

/**
 * @param texts `NAME`, `NAME==VALUE`, `NAME!=VALUE`, `NAME~=PATTERN`; those between commas must all hold, of several
 *   texts one. Clients send an empty one when they have none
 * @throws InvalidParameter
 */
export function usageFilter(texts: readonly string[]): Filter {
  const alternatives = texts.filter((text) => text !== "").map(allOf);
  return (entry) => alternatives.length === 0 || alternatives.some((filter) => filter(entry));
}

function allOf(text: string): Filter {
  const filters = [...text.matchAll(/(?:"(?:[^"\\]|\\.)*"|[^,])+/g)].map(([part]) => selector(part));
  return (entry) => filters.every((filter) => filter(entry));
}

function selector(text: string): Filter {
  const [, name = "", operator = "", value = ""] = /^\s*([a-z]+)\s*(?:(==|!=|~=)\s*(.*))?$/s.exec(text) ?? [];
  const field = own(fields, name === "parent" ? "parents" : name);
  if (!field) throw new InvalidParameter(`invalid filter ${JSON.stringify(text)}`);
  const matches = matcher(operator, unquoted(value), text);
  return (entry) => {
    const found = field(entry);
    // One that holds is there, without a value of its own.
    const texts = typeof found === "boolean" ? (found ? ["true", ""] : []) : found;
    if (operator === "") return texts.length > 0;
    return operator === "!=" ? !texts.some(matches) : texts.some(matches);
  };
}

function matcher(operator: string, value: string, text: string): (found: string) => boolean {
  if (operator !== "~=") return (found) => found === value;
  try {
    const pattern = new RegExp(value);
    return (found) => pattern.test(found);
  } catch (error) {
    throw new InvalidParameter(`invalid filter ${JSON.stringify(text)}: no pattern`, { cause: error });
  }
}

function unquoted(text: string): string {
  return /^".*"$/s.test(text) ? text.slice(1, -1).replace(/\\(.)/gs, "$1") : text;
}

export async function usage({ builds }: Engine, filters: readonly string[]): Promise<UsageRecord[]> {
  const wanted = usageFilter(filters);
  return (await builds.usage()).filter((entry) => !entry.empty && wanted(entry)).map(usageRecord);
}

/** What was removed, record by record. */
export async function* prune(
  { builds }: Engine,
  { all, filter, keepDuration, ...limits }: PruneRequest,
): AsyncGenerator<UsageRecord> {
  const wanted = usageFilter(filter);
  const before = new Map((await builds.usage()).map((entry) => [entry.id, entry]));
  const chosen = filter.some((text) => text !== "")
    ? { id: [...before.values()].filter(wanted).map(({ id }) => id) }
    : undefined;
  if (chosen?.id.length === 0) return;
  const { removed } = await builds.prune({
    all,
    filters: { ...chosen, ...(keepDuration > 0n && { until: [`${keepDuration / 1_000_000_000n}s`] }) },
    reservedSpace: Number(limits.reservedSpace) || undefined,
    maxUsedSpace: Number(limits.maxUsedSpace) || undefined,
    minFreeSpace: Number(limits.minFreeSpace) || undefined,
  });
  for (const id of removed) {
    const entry = before.get(id);
    yield entry ? usageRecord(entry) : create(UsageRecordSchema, { id });
  }
}

const usageRecord = (entry: CacheEntry) =>
  create(UsageRecordSchema, {
    id: entry.id,
    inUse: entry.inUse,
    size: BigInt(entry.size),
    createdAt: timestampFromMs(entry.createdAt),
    lastUsedAt: timestampFromMs(entry.lastUsedAt),
    usageCount: BigInt(entry.usageCount),
    description: entry.description,
    recordType: entry.type,
    shared: entry.shared,
    parents: entry.parents,
  });
