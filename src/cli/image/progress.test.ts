import { expect, test } from "bun:test";
import { fitted, Pace } from "./progress.ts";

test("speed and time left count from where a download began, and end with it", () => {
  const pace = new Pace();
  const at = (current: number, now: number, status = "Downloading") => {
    const { speed, left } = pace.of("a", status, { current, total: 100e6 }, now);
    return `${speed} ${left}`.trim();
  };
  expect(at(50e6, 1000)).toBe("");
  expect(at(60e6, 2000)).toBe("10MB/s 4s left");
  expect(at(60.1e6, 102_000)).toBe("100kB/s 6m39s left");
  expect(at(100e6, 103_000)).toBe("");
  expect(at(100e6, 104_000, "Extracting")).toBe("");
  expect(at(1, 105_000)).toBe("");
  expect(at(10_001, 106_000)).toBe("10kB/s 2h46m left");
});

test.each([
  [130, "[=============>                                     ]  26.21MB/100MB 10MB/s 8s left"],
  [53, "[===>            ]  26.21MB/100MB 10MB/s 8s left"],
  [40, " 26.21MB/100MB 10MB/s 8s left"],
  [13, "26% 8s left"],
])("in %i columns", (room, expected) => {
  const detail = { current: 26_214_400, total: 100e6 };
  expect(fitted(detail, { speed: "10MB/s", left: "8s left" }, room)).toBe(expected);
});

test("without a total there are only amounts", () => {
  const none = { speed: "", left: "" };
  expect(fitted({ current: 26_214_400 }, none, 50)).toBe(" 26.21MB");
  expect(fitted({}, none, 50)).toBe("");
});
