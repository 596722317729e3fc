import { expect, test } from "bun:test";
import { buildGcRules, diskSizeAt } from "./build-gc.ts";

test("without configuration the cache leaves room on the disk", () => {
  const rules = buildGcRules(undefined, 1000);
  expect(rules.at(-1)).toEqual({ all: true, reservedSpace: 100, maxUsedSpace: 600, minFreeSpace: 100 });
  expect(rules[0]!.filters).toEqual({ type: ["exec.cachemount"] });
});

test("switched off there are no rules", () => {
  expect(buildGcRules({ gc: { enabled: false, policy: [{ all: true }] } }, 1000)).toEqual([]);
});

test("defaults can be set one by one", () => {
  expect(buildGcRules({ gc: { defaultKeepStorage: "1GB" } }, 1000).at(-1)!.reservedSpace).toBe(2 ** 30);
});

test("a policy is read as Docker writes it", () => {
  const policy = [
    { keepStorage: "10GB", filter: ["unused-for=48h", "type==exec.cachemount"] },
    { all: true, maxUsedSpace: 5000, keepDuration: "1h30m" },
  ];
  expect(buildGcRules({ gc: { enabled: true, policy } }, 1000)).toEqual([
    {
      all: false,
      filters: { type: ["exec.cachemount"] },
      unusedFor: 172_800_000,
      reservedSpace: 10 * 2 ** 30,
    },
    { all: true, filters: {}, unusedFor: 5_400_000, maxUsedSpace: 5000 },
  ]);
});

test.each([[{ filter: ["type"] }], [{ keepDuration: "soon" }], [{ maxUsedSpace: "much" }]])(
  "%j is refused",
  (policy) => expect(() => buildGcRules({ gc: { policy: [policy] } }, 1000)).toThrow("invalid"),
);

test("the disk of a directory that is not there yet is its parent's", () => {
  expect(diskSizeAt("/tmp/not/there")).toBe(diskSizeAt("/tmp"));
});
