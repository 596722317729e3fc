/** What names stand for: an image's manifest, or an index of several with what of them is here. */
import { type Digest, isDigest } from "../lib/digest.ts";
import { InvalidParameter } from "../lib/errors.ts";
import { type Descriptor, type Manifest, mediaTypes } from "../lib/oci.ts";
import { parseIndex, parseManifest } from "../lib/oci-schema.ts";
import { bestMatch, hostPlatform } from "../lib/platform.ts";
import type { ContentStore, ImageRecord, Metadata, Table, Target, TargetManifest } from "./types.ts";

/** BuildKit's annotations of an attestation in an index (attestation-storage.md). */
const referenceType = "vnd.docker.reference.type";

/** Kept in memory too: every listing asks. */
export class Targets {
  readonly #table: Table<Target>;
  readonly #all: Map<Digest, Target>;

  constructor(metadata: Metadata) {
    this.#table = metadata.table<Target>("image_targets");
    this.#all = new Map(this.#table.list().map((target) => [target.descriptor.digest, target]));
  }

  get(digest: Digest): Target | undefined {
    return this.#all.get(digest);
  }

  list(): Iterable<Target> {
    return this.#all.values();
  }

  /** Referrers that are known of stay. */
  put(given: Target): void {
    const known = this.#all.get(given.descriptor.digest)?.manifests ?? [];
    const target = withReferrers(
      given,
      known.filter(({ subject }) => subject),
    );
    this.#table.put(target.descriptor.digest, target);
    this.#all.set(target.descriptor.digest, target);
  }

  delete(digest: Digest): void {
    this.#table.delete(digest);
    this.#all.delete(digest);
  }
}

/** The target of an image that is named by its own manifest. */
export function ownTarget(record: ImageRecord, size: number): Target {
  const descriptor = { mediaType: record.manifestMediaType, digest: record.manifest, size };
  return imageTarget(descriptor, record);
}

/** The target of a manifest that is an image's, or an artifact's. */
export function imageTarget(
  descriptor: Descriptor,
  { id, artifact, layers }: Pick<ImageRecord, "id" | "artifact" | "layers">,
): Target {
  const blobs = artifact?.blobs ?? [id, ...layers.map((layer) => layer.descriptor.digest)];
  return { descriptor, manifests: [{ descriptor, kind: artifact ? "unknown" : "image", image: id, blobs }] };
}

/** A target with referrers that it may have already. */
export function withReferrers({ descriptor, manifests }: Target, referrers: TargetManifest[]): Target {
  const listed = new Set(manifests.map((manifest) => manifest.descriptor.digest));
  const more = referrers.filter((referrer) => !listed.has(referrer.descriptor.digest));
  return { descriptor, manifests: [...manifests, ...more] };
}

/** Looks at a manifest of an index: what it is, and whether all of it is in the content store. */
export async function lookAt(
  content: ContentStore,
  descriptor: Descriptor,
): Promise<Omit<TargetManifest, "image">> {
  const declared = isAttestation(descriptor) ? "attestation" : undefined;
  // What an index inside lists stands beside it.
  if (isIndex(descriptor.mediaType))
    return { descriptor, kind: "unknown", ...(content.has(descriptor.digest) && { blobs: [] }) };
  if (!content.has(descriptor.digest))
    return { descriptor, kind: declared ?? (descriptor.artifactType ? "unknown" : "image") };
  const manifest = parseManifest(await content.bytes(descriptor.digest));
  const blobs = [...new Set([manifest.config, ...manifest.layers].map(({ digest }) => digest))];
  return {
    descriptor,
    kind: declared ?? (isImage(manifest) ? "image" : "unknown"),
    ...(blobs.every((digest) => content.has(digest)) && { blobs }),
  };
}

/** The image of a target that stands for it: the host's platform, or else the first that is here. */
export function principal(
  target: Target,
  records: ReadonlyMap<Digest, ImageRecord>,
): ImageRecord | undefined {
  const here = target.manifests.flatMap(({ image }) => (image && records.get(image)) ?? []);
  return bestMatch(here, ({ platform }) => platform, hostPlatform) ?? here[0];
}

/** Indexes within indexes, the outermost counted; nobody who means well needs as many. */
export const maxIndexDepth = 4;

/**
 * All that an index lists, those of indexes inside before them: so that what comes later only speaks of what was
 * before.
 * @throws InvalidParameter nested too deep
 */
export async function* childrenOf(
  content: ContentStore,
  index: Digest,
  depth = 1,
): AsyncGenerator<Descriptor> {
  if (depth > maxIndexDepth) throw new InvalidParameter(`indexes are nested deeper than ${maxIndexDepth}`);
  for (const child of parseIndex(await content.bytes(index)).manifests) {
    if (isIndex(child.mediaType) && content.has(child.digest))
      yield* childrenOf(content, child.digest, depth + 1);
    yield child;
  }
}

/** Whether a media type is that of an OCI index or of Docker's manifest list. */
export const isIndex = (mediaType: string) =>
  mediaType === mediaTypes.ociIndex || mediaType === mediaTypes.dockerList;

/** Whether a manifest of an index speaks about another one of it, as BuildKit's provenance does. */
export const isManifest = (mediaType: string) =>
  mediaType === mediaTypes.ociManifest || mediaType === mediaTypes.dockerManifest;

export const isAttestation = ({ annotations }: Descriptor) =>
  annotations?.[referenceType] === "attestation-manifest";

/** The digest of the manifest that an attestation is about. */
export function attestedBy({ annotations }: Descriptor): Digest | undefined {
  const digest = annotations?.["vnd.docker.reference.digest"];
  return digest !== undefined && isDigest(digest) ? digest : undefined;
}

/** The last ones are what registries have made of Docker's, which Docker takes for it since. */
const imageConfigs = new Set<string>([
  mediaTypes.ociConfig,
  mediaTypes.dockerConfig,
  "application/octet-stream",
  "application/json",
  "text/html",
  "text/plain",
]);

/** Whether a media type is that of an image's configuration, and not of an artifact's. */
export const isImageConfig = (mediaType: string) => imageConfigs.has(mediaType);

/** Whether a manifest is an image's, and not an artifact's. */
export const isImage = ({ config, artifactType }: Manifest) =>
  !artifactType && isImageConfig(config.mediaType);
