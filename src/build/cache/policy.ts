/** Which entries of the build cache a policy lets go: pure, as BuildKit counts (`PruneRequest`, `GCPolicy`). */
import { InvalidParameter } from "../../lib/errors.ts";
import { own } from "../../lib/own.ts";

/** What a step left (`regular`), or the directory of a `RUN --mount=type=cache` (`exec.cachemount`). */
export type CacheType = "regular" | "exec.cachemount";

export interface CacheEntry {
  id: string;
  type: CacheType;
  parents: string[];
  description: string;
  /** Bytes of its own. */
  size: number;
  /** Milliseconds since the epoch. */
  createdAt: number;
  lastUsedAt: number;
  usageCount: number;
  /** A running build relies on it. */
  inUse: boolean;
  /** An image holds the same layer. */
  shared: boolean;
  /** A step that changed no file: there is something to remember, and nothing to show. */
  empty: boolean;
}

export interface CachePolicy {
  /** What images share too. */
  all: boolean;
  /** Only what was not used since this time, in milliseconds since the epoch. */
  before?: number;
  /** Conditions that must all hold; the values of one are alternatives. Names: `cacheFilters`. */
  filters?: Record<string, string[]>;
  /** Bytes that stay whatever the other limits say. */
  reservedSpace?: number;
  /** Bytes that the cache may take. */
  maxUsedSpace?: number;
  /** Bytes that the disk must have free. */
  minFreeSpace?: number;
}

const matchers: Record<string, (entry: CacheEntry, value: string) => boolean> = {
  id: (entry, value) => entry.id.startsWith(value),
  parent: (entry, value) => entry.parents.includes(value),
  parents: (entry, value) => entry.parents.includes(value),
  type: (entry, value) => entry.type === value,
  description: (entry, value) => entry.description.includes(value),
  inuse: (entry, value) => entry.inUse === isTrue(value),
  shared: (entry, value) => entry.shared === isTrue(value),
  private: (entry, value) => entry.shared !== isTrue(value),
};
const isTrue = (value: string) => value !== "false" && value !== "0";

/** Names of conditions on entries. */
export const cacheFilters = Object.keys(matchers);

/** @throws InvalidParameter for a condition that is not known */
function fits(entry: CacheEntry, filters: Record<string, string[]>): boolean {
  return Object.entries(filters).every(([name, values]) => {
    const matches = own(matchers, name);
    if (!matches) throw new InvalidParameter(`invalid filter '${name}'`);
    return values.length === 0 || values.some((value) => matches(entry, value));
  });
}

/**
 * The entries to remove, in this order: the longest unused first.
 * @param entries all of the cache
 * @param freeSpace bytes that the disk has free
 * @throws InvalidParameter unknown filter
 */
export function selectForRemoval(
  entries: readonly CacheEntry[],
  policy: CachePolicy,
  freeSpace: number,
): CacheEntry[] {
  const candidates = entries
    .filter((entry) => !entry.inUse && (policy.all || !entry.shared))
    .filter(({ lastUsedAt }) => policy.before === undefined || lastUsedAt < policy.before)
    .filter((entry) => fits(entry, policy.filters ?? {}))
    // What was used at the same time: later steps before those they stand on.
    .sort((a, b) => a.lastUsedAt - b.lastUsedAt || b.createdAt - a.createdAt);
  const total = entries.reduce((sum, { size }) => sum + size, 0);
  const keep = bytesToKeep(policy, total, freeSpace);
  if (keep === undefined) return candidates;
  const chosen: CacheEntry[] = [];
  let left = total;
  for (const entry of candidates) {
    if (left <= keep) break;
    chosen.push(entry);
    left -= entry.size;
  }
  return chosen;
}

/** Bytes of cache that may stay; undefined: no limit was named, so that nothing stays. */
function bytesToKeep(policy: CachePolicy, total: number, freeSpace: number): number | undefined {
  const { reservedSpace = 0, maxUsedSpace = 0, minFreeSpace = 0 } = policy;
  if (reservedSpace === 0 && maxUsedSpace === 0 && minFreeSpace === 0) return undefined;
  const missing = minFreeSpace - freeSpace;
  const limits = [
    ...(maxUsedSpace > 0 ? [maxUsedSpace] : []),
    ...(missing > 0 ? [total - missing] : []),
    // Room on the disk is all that was asked for, and there is enough.
    ...(maxUsedSpace === 0 && missing <= 0 && minFreeSpace > 0 ? [total] : []),
  ];
  return Math.max(limits.length > 0 ? Math.min(...limits) : 0, reservedSpace);
}
