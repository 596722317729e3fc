import { expect, test } from "bun:test";
import { alignColumns, ellipsis } from "./table.ts";
import { ago, bytesSize, general, humanDuration, humanSize } from "./units.ts";

const second = 1000;
const minute = 60 * second;
const hour = 60 * minute;
const day = 24 * hour;

test.each([
  [450, "Less than a second"],
  [1.2 * second, "1 second"],
  [59 * second, "59 seconds"],
  [90 * second, "About a minute"],
  [59 * minute, "59 minutes"],
  [60 * minute, "About an hour"],
  [3 * hour, "3 hours"],
  [47 * hour, "47 hours"],
  [3 * day, "3 days"],
  [14 * day, "2 weeks"],
  [60 * day, "2 months"],
  [800 * day, "2 years"],
])("%d ms is %s", (milliseconds, text) => {
  expect(humanDuration(milliseconds)).toBe(text);
});

test.each([
  [0, "0B"],
  [999, "999B"],
  [1000, "1kB"],
  [1_240_000, "1.24MB"],
  [123_456_789, "123.5MB"],
  [5_000_000_000, "5GB"],
])("%d bytes are %s", (bytes, text) => {
  expect(humanSize(bytes)).toBe(text);
});

test("other precisions and bases", () => {
  expect(humanSize(123_456_789, 3)).toBe("123MB");
  expect(bytesSize(1536)).toBe("1.5KiB");
  expect(bytesSize(1_073_741_824)).toBe("1GiB");
  expect(general(0.000012345, 3)).toBe("1.23e-05");
  expect(general(999.96, 4)).toBe("1000");
});

test("times that never were", () => {
  expect(ago("0001-01-01T00:00:00Z", Date.now())).toBe("N/A");
  expect(ago("2026-01-01T00:00:00Z", Date.parse("2026-01-01T00:00:05Z"))).toBe("5 seconds ago");
});

test("columns", () => {
  expect(alignColumns("CONTAINER ID\tIMAGE\tNAMES\nabc\tbusybox:latest\tx")).toBe(
    "CONTAINER ID   IMAGE            NAMES\nabc            busybox:latest   x",
  );
  expect(alignColumns("a\tb")).toBe("a         b");
  expect(alignColumns("a\tb\nalone\na long cell here\tb")).toBe("a         b\nalone\na long cell here   b");
});

test("ellipsis counts code points", () => {
  expect(ellipsis("abcdef", 4)).toBe("abc…");
  expect(ellipsis("äöüß", 4)).toBe("äöüß");
});
