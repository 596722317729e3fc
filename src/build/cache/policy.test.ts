import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { type CacheEntry, type CachePolicy, selectForRemoval } from "./policy.ts";

const entry = (id: string, fields: Partial<CacheEntry> = {}): CacheEntry => ({
  id,
  type: "regular",
  parents: [],
  description: `step ${id}`,
  size: 10,
  createdAt: 0,
  lastUsedAt: 0,
  usageCount: 0,
  inUse: false,
  shared: false,
  empty: false,
  ...fields,
});
const old = entry("old", { lastUsedAt: 1 });
const middle = entry("middle", { lastUsedAt: 2, type: "exec.cachemount" });
const recent = entry("recent", { lastUsedAt: 3, parents: ["old"] });
const shared = entry("shared", { lastUsedAt: 0, shared: true });
const busy = entry("busy", { lastUsedAt: 0, inUse: true });
const cache = [recent, middle, old, shared, busy];

const cases: [string, Partial<CachePolicy>, number, string[]][] = [
  ["without limits all that nothing holds", {}, 0, ["old", "middle", "recent"]],
  ["all takes what images share too", { all: true }, 0, ["shared", "old", "middle", "recent"]],
  ["by time of use", { before: 3 }, 0, ["old", "middle"]],
  ["by type", { filters: { type: ["exec.cachemount"] } }, 0, ["middle"]],
  ["by id and parent", { filters: { id: ["rec"], parent: ["old"] } }, 0, ["recent"]],
  ["values of one filter are alternatives", { filters: { id: ["old", "middle"] } }, 0, ["old", "middle"]],
  ["down to a size", { maxUsedSpace: 30 }, 0, ["old", "middle"]],
  ["what is reserved stays", { maxUsedSpace: 10, reservedSpace: 40 }, 0, ["old"]],
  ["until the disk has room", { minFreeSpace: 115 }, 100, ["old", "middle"]],
  ["a disk with room asks for nothing", { minFreeSpace: 100 }, 100, []],
  ["reserved alone: the rest goes", { reservedSpace: 25 }, 0, ["old", "middle", "recent"]],
];

describe("a policy of the build cache", () => {
  test.each(cases)("%s", (_, policy, free, expected) => {
    const chosen = selectForRemoval(cache, { all: false, ...policy }, free);
    expect(chosen.map(({ id }) => id)).toEqual(expected);
  });

  test("an unknown filter is refused", () => {
    expect(() => selectForRemoval(cache, { all: true, filters: { colour: ["red"] } }, 0)).toThrow(
      "invalid filter 'colour'",
    );
  });

  test("never takes what is in use, and no more than it must", () => {
    const entries = fc.array(
      fc.record({
        size: fc.nat(100),
        lastUsedAt: fc.nat(50),
        inUse: fc.boolean(),
        shared: fc.boolean(),
      }),
    );
    fc.assert(
      fc.property(entries, fc.integer({ min: 1, max: 2000 }), fc.boolean(), (drawn, maxUsedSpace, all) => {
        const whole = drawn.map((fields, n) => entry(String(n), fields));
        const chosen = selectForRemoval(whole, { all, maxUsedSpace }, 0);
        const bytes = (list: CacheEntry[]) => list.reduce((sum, { size }) => sum + size, 0);
        expect(chosen.some(({ inUse, shared }) => inUse || (shared && !all))).toBe(false);
        // Without the last one taken there would have been too much.
        if (chosen.length > 0)
          expect(bytes(whole) - bytes(chosen.slice(0, -1))).toBeGreaterThan(maxUsedSpace);
      }),
    );
  });
});
