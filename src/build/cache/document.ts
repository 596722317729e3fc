/**
 * The build cache as a document that travels: BuildKit's cache configuration (docs/dev/cache), so that neither side
 * misreads the other's. BuildKit finds our layers and no records of its own kind; our records are in a field that it
 * passes over, and its records are passed over here.
 */
import * as v from "valibot";
import { type Digest, isDigest } from "../../lib/digest.ts";
import { InvalidParameter } from "../../lib/errors.ts";
import { type Descriptor, mediaTypes } from "../../lib/oci.ts";
import type { PackedLayer } from "../export/pack.ts";

export const cacheConfigType = "application/vnd.buildkit.cacheconfig.v0";

/** A step's key and what it led to. */
export interface PortableRecord {
  key: string;
  /** Names the tree in the keys of the steps after. */
  result: string;
  /** Undefined: it changed no file. */
  layer?: PackedLayer;
  description: string;
  /** Milliseconds since the epoch. */
  createdAt: number;
}

/** More than any build has; what else comes is refused. */
const mostRecords = 20_000;

const digest = v.custom<Digest>((input) => typeof input === "string" && isDigest(input), "invalid digest");
const whole = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const layerTypes = [mediaTypes.ociLayer, mediaTypes.ociLayerGzip, mediaTypes.ociLayerZstd];
const schema = v.object({
  layers: v.optional(
    v.array(
      v.object({
        blob: digest,
        annotations: v.optional(
          v.object({
            mediaType: v.optional(v.string()),
            diffID: v.optional(digest),
            size: v.optional(whole),
          }),
        ),
      }),
    ),
    [],
  ),
  "gantry.records.v1": v.optional(
    v.pipe(
      v.array(
        v.object({
          key: v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/)),
          // Made by a builder's run of the step: never the name of an image's tree.
          result: v.pipe(v.string(), v.maxLength(200)),
          layer: v.optional(whole),
          description: v.pipe(v.string(), v.maxLength(100_000)),
          createdAt: whole,
        }),
      ),
      v.maxLength(mostRecords),
    ),
    [],
  ),
});

export function formatCache(records: readonly PortableRecord[]): Uint8Array {
  const layers = new Map<Digest, { index: number; layer: PackedLayer }>();
  for (const { layer } of records)
    if (layer && !layers.has(layer.descriptor.digest))
      layers.set(layer.descriptor.digest, { index: layers.size, layer });
  const document = {
    layers: [...layers.values()].map(({ layer: { descriptor, diffId } }) => ({
      blob: descriptor.digest,
      parent: -1,
      annotations: { mediaType: descriptor.mediaType, diffID: diffId, size: descriptor.size },
    })),
    records: [],
    "gantry.records.v1": records.map(({ layer, ...record }) => ({
      ...record,
      ...(layer && { layer: layers.get(layer.descriptor.digest)!.index }),
    })),
  };
  return Buffer.from(JSON.stringify(document));
}

/** @throws InvalidParameter for what is no such document */
export function parseCache(bytes: Uint8Array): PortableRecord[] {
  let json: unknown;
  try {
    json = JSON.parse(Buffer.from(bytes).toString("utf8"));
  } catch (error) {
    throw new InvalidParameter("invalid build cache: not JSON", { cause: error });
  }
  const parsed = v.safeParse(schema, json);
  if (!parsed.success) {
    const [issue] = parsed.issues;
    throw new InvalidParameter(`invalid build cache: ${v.getDotPath(issue)}: ${issue.message}`);
  }
  const { layers, "gantry.records.v1": records } = parsed.output;
  return records.map(({ layer, ...record }) => {
    if (layer === undefined) return record;
    const { blob, annotations } = layers[layer] ?? {};
    const { mediaType, diffID, size } = annotations ?? {};
    if (!blob || !diffID || size === undefined || !layerTypes.some((type) => type === mediaType))
      throw new InvalidParameter(`invalid build cache: record ${record.key} has no such layer`);
    const descriptor: Descriptor = { mediaType: mediaType!, digest: blob, size };
    return { ...record, layer: { descriptor, diffId: diffID } };
  });
}
