import { expect, test } from "bun:test";
import { TooLarge } from "../../lib/errors.ts";
import { SizeGuard } from "./size-guard.ts";

const mib = 2 ** 20;
const gib = 2 ** 30;

test("ten gigabytes of zeros in ten megabytes are refused on the way", () => {
  const guard = new SizeGuard();
  guard.archive(10 * mib);
  let written = 0;
  expect(() => {
    for (; written < 10 * gib; written += mib) guard.data(mib);
  }).toThrow(TooLarge);
  expect(written).toBe(4 * gib);
});

test("a large layer of common contents is not", () => {
  const guard = new SizeGuard();
  guard.archive(2 * gib);
  guard.entry(20 * gib);
  guard.data(20 * gib);
});

test("limits that are set count in place of the proportion", () => {
  const guard = new SizeGuard({ maxBytes: 20 * gib, maxEntries: 2 });
  guard.archive(10 * mib);
  guard.entry(10 * gib);
  guard.data(10 * gib);
  expect(() => guard.entry(11 * gib)).toThrow("gantry-layer-max-size");
  expect(() => guard.entry(0)).toThrow("gantry-layer-max-entries");
});
