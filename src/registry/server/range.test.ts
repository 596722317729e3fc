import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { parseContentRange, parseRange } from "./range.ts";

describe("parseRange", () => {
  const cases: [string | null, number, ReturnType<typeof parseRange>][] = [
    [null, 10, undefined],
    ["bytes=0-3", 10, { start: 0, end: 4 }],
    ["bytes=4-", 10, { start: 4, end: 10 }],
    ["bytes=-3", 10, { start: 7, end: 10 }],
    ["bytes=-30", 10, { start: 0, end: 10 }],
    ["bytes=8-100", 10, { start: 8, end: 10 }],
    ["bytes=10-", 10, "unsatisfiable"],
    ["bytes=-0", 10, "unsatisfiable"],
    ["bytes=0-", 0, "unsatisfiable"],
    ["bytes=5-4", 10, undefined],
    ["bytes=0-1,3-4", 10, undefined],
    ["bytes=-", 10, undefined],
    ["lines=0-3", 10, undefined],
    ["bytes=a-b", 10, undefined],
    [`bytes=${"9".repeat(400)}-`, 10, "unsatisfiable"],
  ];
  test.each(cases)("%p of %p bytes", (header, size, expected) => {
    expect(parseRange(header, size)).toEqual(expected);
  });

  test("what is read lies inside the body, for any header", () => {
    const header = fc.oneof(
      fc.string(),
      fc.stringMatching(/^bytes=\d{0,12}-\d{0,12}$/),
      fc.tuple(fc.nat(200), fc.nat(200)).map(([a, b]) => `bytes=${a}-${b}`),
    );
    fc.assert(
      fc.property(header, fc.nat(100), (text, size) => {
        const range = parseRange(text, size);
        if (range === undefined || range === "unsatisfiable") return;
        expect(range.start).toBeGreaterThanOrEqual(0);
        expect(range.end).toBeGreaterThan(range.start);
        expect(range.end).toBeLessThanOrEqual(size);
      }),
    );
  });
});

describe("parseContentRange", () => {
  test.each(["", "0", "3-2", "bytes 0-3/10", "-1-3", "0-3,4-5", `0-${"9".repeat(30)}`])(
    "%j is refused",
    (text) => {
      expect(parseContentRange(text)).toBeUndefined();
    },
  );

  test("reads back what was written", () => {
    fc.assert(
      fc.property(fc.nat(), fc.integer({ min: 1, max: 1_000_000 }), (start, length) => {
        expect(parseContentRange(`${start}-${start + length - 1}`)).toEqual({ start, end: start + length });
      }),
    );
  });
});
