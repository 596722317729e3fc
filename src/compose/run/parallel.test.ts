import { expect, test } from "bun:test";
import fc from "fast-check";
import { runGraph } from "./parallel.ts";

test("each item runs once, after all that it needs, never more than the limit at once", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(fc.nat(19), { maxLength: 4 }), { maxLength: 20 }),
      fc.integer({ min: 0, max: 4 }),
      async (needs, limit) => {
        const items = needs.map((_, index) => index);
        // Only earlier items are needed, so there is no cycle.
        const after = (item: number) => needs[item]!.filter((needed) => needed < item);
        const finished = new Set<number>();
        let running = 0;
        await runGraph(items, after, limit, async (item) => {
          for (const needed of after(item)) expect(finished.has(needed)).toBe(true);
          running++;
          if (limit > 0) expect(running).toBeLessThanOrEqual(limit);
          await Promise.resolve();
          running--;
          expect(finished.has(item)).toBe(false);
          finished.add(item);
        });
        expect(finished.size).toBe(items.length);
      },
    ),
  );
});

test("after a failure nothing begins, and what runs is awaited", async () => {
  const done: string[] = [];
  const run = runGraph(
    ["bad", "slow", "later"],
    (item) => (item === "later" ? ["bad"] : []),
    0,
    async (item) => {
      if (item === "bad") throw new Error("broken");
      await Bun.sleep(5);
      done.push(item);
    },
  );
  await expect(run).rejects.toThrow("broken");
  expect(done).toEqual(["slow"]);
});
