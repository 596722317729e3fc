/** Images in a client's directory (an OCI layout) as what a build begins from. They get no name in the store. */
import type { Digest } from "../../lib/digest.ts";
import { InvalidParameter, NotFound } from "../../lib/errors.ts";
import type { Platform } from "../../lib/oci.ts";
import { parseImageConfig, parseIndex, parseManifest } from "../../lib/oci-schema.ts";
import { bestMatch, formatPlatform } from "../../lib/platform.ts";
import { chainIds, isIndex, maxIndexDepth } from "../../store/index.ts";
import type { Lease, Store } from "../../store/types.ts";
import type { BaseImage, ImageLayout } from "../types.ts";
import { directoryBlobs } from "./blobs.ts";

/** @throws NotFound when it has no image for the platform, InvalidParameter for what is no image */
export async function layoutImage(
  store: Store,
  { directory, digest }: ImageLayout,
  platform: Platform,
  lease: Lease,
  signal: AbortSignal,
): Promise<BaseImage> {
  const blobs = directoryBlobs(directory, store.content);
  const { bytes, manifest } = await chosenManifest(blobs, digest, platform, signal);
  const { config: configBlob, layers } = parseManifest(bytes);
  await blobs.fetch(configBlob, lease, signal);
  const config = parseImageConfig(await store.content.bytes(configBlob.digest));
  const diffIds = config.rootfs.diff_ids;
  if (layers.length !== diffIds.length)
    throw new InvalidParameter(
      `invalid image: ${layers.length} layers in the manifest, ${diffIds.length} in the config`,
    );
  const chains = chainIds(diffIds);
  for (const chain of chains) lease.addSnapshot(chain);
  for (const [i, { digest, ...layer }] of layers.entries()) {
    await blobs.fetch({ digest, ...layer }, lease, signal);
    const place = { diffId: diffIds[i]!, chainId: chains[i]!, parent: chains[i - 1] };
    await store.layers.unpack(digest, place, signal);
  }
  const { os, architecture, variant } = config;
  return {
    id: configBlob.digest,
    manifest,
    config,
    platform: { os, architecture, variant },
    layers: layers.map((descriptor, i) => ({ descriptor, diffId: diffIds[i]!, chainId: chains[i]! })),
  };
}

async function chosenManifest(
  blobs: ReturnType<typeof directoryBlobs>,
  top: Digest,
  platform: Platform,
  signal: AbortSignal,
): Promise<{ manifest: Digest; bytes: Uint8Array }> {
  let digest = top;
  for (let depth = 0; depth <= maxIndexDepth; depth++) {
    const { descriptor, bytes } = await blobs.document(digest, signal);
    if (!isIndex(descriptor.mediaType)) return { manifest: digest, bytes };
    const { manifests } = parseIndex(bytes);
    const [only] = manifests;
    const chosen =
      bestMatch(manifests, (one) => one.platform, platform) ??
      (manifests.length === 1 && !only!.platform ? only : undefined);
    if (!chosen) throw new NotFound(`no matching manifest for ${formatPlatform(platform)} in ${digest}`);
    digest = chosen.digest;
  }
  throw new InvalidParameter(`indexes are nested deeper than ${maxIndexDepth}`);
}
