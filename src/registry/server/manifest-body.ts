/** What a registry reads in a manifest (image-spec, "manifest.md" and "image-index.md"). */
import * as v from "valibot";
import { type Digest, isDigest } from "../../lib/digest.ts";
import { DistributionError } from "./errors.ts";
import type { References } from "./types.ts";

const digest = v.custom<Digest>((input) => typeof input === "string" && isDigest(input), "invalid digest");
const descriptor = v.object({
  mediaType: v.pipe(v.string(), v.minLength(1)),
  digest,
  size: v.pipe(v.number(), v.safeInteger(), v.minValue(0)),
  urls: v.optional(v.array(v.string())),
});
const common = {
  schemaVersion: v.literal(2),
  mediaType: v.optional(v.string()),
  artifactType: v.optional(v.string()),
  subject: v.optional(descriptor),
  annotations: v.optional(v.record(v.string(), v.string())),
};
// A body that could be read as both kinds could mean different images to different clients.
const imageManifest = v.object({
  ...common,
  config: descriptor,
  layers: v.array(descriptor),
  manifests: v.optional(v.never("manifest has both layers and manifests")),
});
const index = v.object({
  ...common,
  manifests: v.array(descriptor),
  config: v.optional(v.never("index has a config")),
  layers: v.optional(v.never("index has layers")),
});

export interface ManifestBody extends References {
  mediaType: string;
  subject?: Digest;
  artifactType?: string;
  annotations?: Record<string, string>;
  /** Layers with URLs: they may be elsewhere (image-spec, "non-distributable layers"). */
  foreign: Digest[];
}

/**
 * @param contentType of the request; the media type inside the body must be the same
 * @throws DistributionError MANIFEST_INVALID
 */
export function parseManifest(bytes: Uint8Array, contentType: string | null): ManifestBody {
  const given = contentType?.replace(/;.*/, "").trim().toLowerCase() || undefined;
  const body = decode(bytes);
  const mediaType = given ?? body.mediaType;
  if (mediaType === undefined) throw invalid("the manifest has no media type");
  if (body.mediaType !== undefined && body.mediaType !== mediaType) {
    throw invalid(`mediaType in manifest is ${body.mediaType}, Content-Type is ${mediaType}`);
  }
  const shared = { mediaType, subject: body.subject?.digest, annotations: body.annotations };
  if ("config" in body && body.config) {
    const isForeign = (layer: { urls?: string[] }) => (layer.urls?.length ?? 0) > 0;
    const own = body.layers.filter((layer) => !isForeign(layer));
    return {
      ...shared,
      artifactType: body.artifactType ?? body.config.mediaType,
      blobs: [body.config, ...own].map((item) => item.digest),
      foreign: body.layers.filter(isForeign).map((item) => item.digest),
      manifests: [],
    };
  }
  const manifests = (body.manifests ?? []).map((item) => item.digest);
  return { ...shared, artifactType: body.artifactType, blobs: [], foreign: [], manifests };
}

function decode(bytes: Uint8Array): v.InferOutput<typeof imageManifest> | v.InferOutput<typeof index> {
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (error) {
    throw invalid(String(error));
  }
  const isIndex = typeof json === "object" && json !== null && "manifests" in json;
  const result = v.safeParse(isIndex ? index : imageManifest, json);
  if (result.success) return result.output;
  const issue = result.issues[0];
  throw invalid(`${v.getDotPath(issue) ?? "manifest"}: ${issue.message}`);
}

function invalid(detail: string): DistributionError {
  return new DistributionError("MANIFEST_INVALID", detail);
}
