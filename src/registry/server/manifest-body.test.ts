import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { digestOf } from "../../lib/digest.ts";
import { mediaTypes } from "../../lib/oci.ts";
import { DistributionError } from "./errors.ts";
import { parseManifest } from "./manifest-body.ts";

const descriptor = (text: string, extra: object = {}) => ({
  mediaType: "application/x",
  digest: digestOf(text),
  size: text.length,
  ...extra,
});
const image = { schemaVersion: 2, config: descriptor("config"), layers: [descriptor("layer")] };
const encode = (value: unknown) => Buffer.from(JSON.stringify(value));

describe("parseManifest", () => {
  test("an image manifest needs its config and layers", () => {
    const body = parseManifest(encode(image), `${mediaTypes.ociManifest}; charset=utf-8`);
    expect(body).toEqual({
      mediaType: mediaTypes.ociManifest,
      subject: undefined,
      annotations: undefined,
      artifactType: "application/x",
      blobs: [digestOf("config"), digestOf("layer")],
      foreign: [],
      manifests: [],
    });
  });

  test("layers that lie elsewhere are not needed", () => {
    const foreign = { ...image, layers: [descriptor("layer", { urls: ["https://reg.example/layer"] })] };
    expect(parseManifest(encode(foreign), mediaTypes.ociManifest).blobs).toEqual([digestOf("config")]);
  });

  test("an index needs its manifests", () => {
    const index = { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: [descriptor("a")] };
    expect(parseManifest(encode(index), null)).toMatchObject({
      mediaType: mediaTypes.ociIndex,
      blobs: [],
      manifests: [digestOf("a")],
    });
  });

  const bad: [string, unknown, string | null][] = [
    ["no media type", image, null],
    ["another media type inside", { ...image, mediaType: "a/b" }, mediaTypes.ociManifest],
    ["image and index at once", { ...image, manifests: [] }, mediaTypes.ociManifest],
    ["schema 1", { schemaVersion: 1, fsLayers: [] }, "application/vnd.docker.distribution.manifest.v1+json"],
    [
      "a digest that is none",
      { ...image, config: { ...image.config, digest: "sha256:x" } },
      mediaTypes.ociManifest,
    ],
    ["a negative size", { ...image, layers: [{ ...image.config, size: -1 }] }, mediaTypes.ociManifest],
    ["no object", [], mediaTypes.ociManifest],
    ["null", null, mediaTypes.ociManifest],
  ];
  test.each(bad)("%s is refused", (_, value, type) => {
    expect(() => parseManifest(encode(value), type)).toThrow(DistributionError);
  });

  test("any bytes are read or refused", () => {
    fc.assert(
      fc.property(fc.oneof(fc.json().map(Buffer.from), fc.uint8Array()), (bytes) => {
        expect(() => parseManifest(bytes, mediaTypes.ociManifest)).toThrow(DistributionError);
      }),
    );
  });
});
