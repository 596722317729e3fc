import { expect, test } from "bun:test";
import { bestMatch, formatPlatform, platformDistance } from "./platform.ts";

const of = (text: string) => {
  const [os = "", architecture = "", variant] = text.split("/");
  return { os, architecture, variant };
};

test.each([
  ["linux/amd64", "linux/x86_64", 0],
  ["linux/arm64/v8", "linux/aarch64", 0],
  ["linux/arm/v6", "linux/arm/v7", 1],
  ["linux/arm/v7", "linux/arm/v6", undefined],
  ["linux/arm64", "linux/amd64", undefined],
  ["windows/amd64", "linux/amd64", undefined],
  ["linux/amd64/v3", "linux/amd64", 3],
])("%s where %s is wanted: %p", (have, want, distance) => {
  expect(platformDistance(of(have), of(want))).toBe(distance);
});

test("the best of several, and the text", () => {
  const all = ["linux/arm/v5", "linux/arm/v6", "linux/amd64"];
  expect(bestMatch(all, of, of("linux/arm/v7"))).toBe("linux/arm/v6");
  expect(bestMatch(all, of, of("linux/s390x"))).toBeUndefined();
  expect(["linux/arm64/v8", "linux/arm", "linux/amd64/v3"].map((text) => formatPlatform(of(text)))).toEqual([
    "linux/arm64",
    "linux/arm/v7",
    "linux/amd64/v3",
  ]);
});
