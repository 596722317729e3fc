import { expect, test } from "bun:test";
import { Pace } from "./progress.ts";

test("speed and time left count from where a download began, and end with it", () => {
  const pace = new Pace();
  const at = (current: number, now: number, status = "Downloading") =>
    pace.of("a", status, { current, total: 100e6 }, now);
  expect(at(50e6, 1000)).toBe("");
  expect(at(60e6, 2000)).toBe(" 10MB/s 4s left");
  expect(at(60.1e6, 102_000)).toBe(" 100kB/s 6m39s left");
  expect(at(100e6, 103_000)).toBe("");
  expect(at(100e6, 104_000, "Extracting")).toBe("");
  expect(at(1, 105_000)).toBe("");
  expect(at(10_001, 106_000)).toBe(" 10kB/s 2h46m left");
});
