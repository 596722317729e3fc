import { expect, test } from "bun:test";
import fc from "fast-check";
import { ByteCache } from "./byte-cache.ts";

test("keeps what was used last, and no more than its limit", () => {
  const cache = new ByteCache(10);
  for (const key of ["a", "b"]) cache.set(key, new Uint8Array(4));
  cache.get("a");
  cache.set("c", new Uint8Array(4));
  expect([cache.get("a")?.length, cache.get("b"), cache.get("c")?.length]).toEqual([4, undefined, 4]);
  cache.set("large", new Uint8Array(11));
  expect(cache.get("large")).toBeUndefined();
});

test("never holds more than its limit, and never a wrong value", () => {
  const entries = fc.array(fc.tuple(fc.nat(8), fc.nat(7)));
  fc.assert(
    fc.property(entries, (sets) => {
      const cache = new ByteCache(20);
      const last = new Map<string, number>();
      for (const [key, size] of sets) {
        cache.set(String(key), new Uint8Array(size));
        last.set(String(key), size);
        const held = [...last].filter(([name]) => cache.get(name));
        expect(held.reduce((sum, [, length]) => sum + length, 0)).toBeLessThanOrEqual(20);
        for (const [name, length] of held) expect(cache.get(name)?.length).toBe(length);
      }
    }),
  );
});
