import { describe, expect, test } from "bun:test";
import { DistributionError } from "./errors.ts";
import { parseRoute, type Route } from "./route.ts";

describe("parseRoute", () => {
  const cases: [string, Route | undefined][] = [
    ["/v2", { kind: "base" }],
    ["/v2/", { kind: "base" }],
    ["/v2/_catalog", { kind: "catalog" }],
    ["/v2/a/b/tags/list", { kind: "tags", name: "a/b" }],
    ["/v2/a/manifests/latest", { kind: "manifest", name: "a", reference: "latest" }],
    ["/v2/a/manifests/sha256%3Aab", { kind: "manifest", name: "a", reference: "sha256:ab" }],
    ["/v2/a/blobs/sha256:ab", { kind: "blob", name: "a", digest: "sha256:ab" }],
    ["/v2/a/blobs/uploads", { kind: "uploads", name: "a" }],
    ["/v2/a/blobs/uploads/", { kind: "uploads", name: "a" }],
    ["/v2/a/blobs/uploads/id", { kind: "upload", name: "a", id: "id" }],
    ["/v2/a/referrers/sha256:ab", { kind: "referrers", name: "a", digest: "sha256:ab" }],
    ["/v2/blobs/uploads/tags/list", { kind: "tags", name: "blobs/uploads" }],
    ["/v2/manifests/manifests/x", { kind: "manifest", name: "manifests", reference: "x" }],
    ["/", undefined],
    ["/v1/a/tags/list", undefined],
    ["/v2/a", undefined],
    ["/v2/%zz/tags/list", undefined],
  ];
  test.each(cases)("%s", (path, expected) => {
    expect(parseRoute(path)).toEqual(expected);
  });

  test.each(["/v2/A/tags/list", "/v2/a..b/tags/list", "/v2/%2e%2e/manifests/x", "/v2/a//b/tags/list"])(
    "%s has no valid name",
    (path) => {
      expect(() => parseRoute(path)).toThrow(DistributionError);
    },
  );
});
