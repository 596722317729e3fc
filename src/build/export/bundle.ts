/** The images of all platforms and what is stated about them, under one descriptor. */
import type { Digest } from "../../lib/digest.ts";
import { type Descriptor, type Index, mediaTypes } from "../../lib/oci.ts";
import { parseManifest } from "../../lib/oci-schema.ts";
import { bestMatch } from "../../lib/platform.ts";
import type { Lease, Store } from "../../store/types.ts";
import type { Attested } from "../attest/index.ts";
import { hostPlatform } from "../graph/scope.ts";
import { annotationsFor, putDocument, type WrittenImage } from "./image.ts";
import type { ExportedImage, ImageFormat } from "./types.ts";

export interface Bundle extends Omit<ExportedImage, "names"> {
  images: WrittenImage[];
  /** Manifests about the images. */
  attestations: Descriptor[];
}

/**
 * One image without more is its own manifest; else there is an index (OCI image-spec, image-index.md).
 * @param about what is stated about each image
 */
export async function bundle(
  parts: { store: Store; lease: Lease },
  images: WrittenImage[],
  { format, about, split }: { format: ImageFormat; about: Attested[]; split: boolean },
): Promise<Bundle> {
  const { annotations } = format;
  const manifests = images.map(({ manifest, platform, config }) => ({
    platform,
    configDigest: config.digest,
    descriptor: {
      ...manifest,
      platform,
      ...annotationsFor(annotations, "manifest-descriptor", platform),
    },
  }));
  const principal = bestMatch(images, ({ platform }) => platform, hostPlatform()) ?? images[0]!;
  const wanted = annotations.some(({ level }) => level === "index");
  const descriptor =
    !split && about.length === 0 && !wanted
      ? images[0]!.manifest
      : await putDocument(parts, format.oci ? mediaTypes.ociIndex : mediaTypes.dockerList, {
          schemaVersion: 2,
          mediaType: format.oci ? mediaTypes.ociIndex : mediaTypes.dockerList,
          manifests: [...manifests.map((one) => one.descriptor), ...about.map(({ manifest }) => manifest)],
          ...annotationsFor(annotations, "index"),
        } satisfies Index);
  return {
    descriptor: { ...descriptor, ...annotationsFor(annotations, "index-descriptor") },
    configDigest: principal.config.digest,
    manifests,
    images,
    attestations: about.map(({ manifest }) => manifest),
    provenance: about.flatMap(({ provenance }) => provenance?.body ?? []),
  };
}

/** The documents of a bundle, each after those that it names. */
export function documentsOf({ descriptor, images, attestations }: Bundle): Descriptor[] {
  const manifests = [...images.map(({ manifest }) => manifest), ...attestations];
  return manifests.some(({ digest }) => digest === descriptor.digest)
    ? manifests
    : [...manifests, descriptor];
}

/** Config and layers of a manifest. */
export async function blobsOf(store: Store, manifest: Descriptor): Promise<Descriptor[]> {
  const { config, layers } = parseManifest(await store.content.bytes(manifest.digest));
  const all = new Map<Digest, Descriptor>([config, ...layers].map((blob) => [blob.digest, blob]));
  return [...all.values()];
}
