/** What the store notes of an image or an artifact, from its documents. */
import type { Digest } from "../lib/digest.ts";
import { InvalidParameter } from "../lib/errors.ts";
import type { Descriptor, Manifest } from "../lib/oci.ts";
import { chainIds } from "./chain.ts";
import type { ContentStore, ImageRecord } from "./types.ts";

/** @throws NotFound when a blob of the artifact is not here */
export function artifactRecord(
  content: ContentStore,
  { digest, mediaType }: Descriptor,
  { artifactType, config, layers }: Manifest,
): ImageRecord {
  const blobs = [...new Set([config, ...layers].map((blob) => blob.digest))];
  return {
    id: digest,
    manifest: digest,
    manifestMediaType: mediaType,
    config: { os: "", architecture: "", rootfs: { type: "layers", diff_ids: [] } },
    platform: { os: "", architecture: "" },
    layers: [],
    size: blobs.reduce((sum, blob) => sum + content.size(blob), 0),
    createdAt: Date.now(),
    artifact: { type: artifactType ?? config.mediaType, blobs },
  };
}

/** @throws InvalidParameter when manifest and config count layers differently */
export function pairLayers(layers: Descriptor[], diffIds: Digest[]): ImageRecord["layers"] {
  if (layers.length !== diffIds.length)
    throw new InvalidParameter(
      `invalid image: ${layers.length} layers in the manifest, ${diffIds.length} in the config`,
    );
  const chains = chainIds(diffIds);
  return layers.map((descriptor, index) => ({
    descriptor,
    diffId: diffIds[index]!,
    chainId: chains[index]!,
  }));
}
