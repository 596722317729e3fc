import { expect, test } from "bun:test";
import fc from "fast-check";
import { GantryError } from "../../lib/errors.ts";
import { mediaTypes } from "../../lib/oci.ts";
import { formatCache, type PortableRecord, parseCache } from "./document.ts";

const hex = (letter: string) => letter.repeat(64);
const layer = {
  descriptor: { mediaType: mediaTypes.ociLayerGzip, digest: `sha256:${hex("a")}` as const, size: 10 },
  diffId: `sha256:${hex("b")}` as const,
};
const records: PortableRecord[] = [
  { key: hex("1"), result: `build/${hex("2")}`, layer, description: "RUN x", createdAt: 5 },
  { key: hex("3"), result: `build/${hex("2")}`, description: "ENV a=b", createdAt: 6 },
];

test("records come back as they went, and each layer is named once", () => {
  const bytes = formatCache([...records, { ...records[0]!, key: hex("4") }]);
  expect(parseCache(bytes)).toEqual([...records, { ...records[0]!, key: hex("4") }]);
  expect(JSON.parse(Buffer.from(bytes).toString()).layers).toHaveLength(1);
});

test("BuildKit's records are passed over", () => {
  const document = { layers: [{ blob: layer.descriptor.digest, parent: -1 }], records: [{ digest: "x" }] };
  expect(parseCache(Buffer.from(JSON.stringify(document)))).toEqual([]);
});

test.each([
  ["not JSON", "{"],
  ["a layer that is not there", { "gantry.records.v1": [{ ...records[1], layer: 3 }] }],
  ["a key that is none", { "gantry.records.v1": [{ ...records[1], key: "../x" }] }],
  ["a negative time", { "gantry.records.v1": [{ ...records[1], createdAt: -1 }] }],
])("%s is refused", (_, document) => {
  const bytes = Buffer.from(typeof document === "string" ? document : JSON.stringify(document));
  expect(() => parseCache(bytes)).toThrow(/invalid build cache/);
});

test("whatever comes gives records or an error of ours", () => {
  fc.assert(
    fc.property(fc.json(), (text) => {
      try {
        parseCache(Buffer.from(text));
      } catch (error) {
        expect(error).toBeInstanceOf(GantryError);
      }
    }),
  );
});
