/** Which manifest of an index is meant; an index may have further ones inside. */
import { InvalidParameter, NotFound } from "../../lib/errors.ts";
import type { Descriptor, Index, Platform } from "../../lib/oci.ts";
import { parseIndex } from "../../lib/oci-schema.ts";
import { bestMatch, formatPlatform } from "../../lib/platform.ts";
import type { RepositoryClient } from "../../registry/types.ts";
import { attestedBy, isAttestation, isIndex, maxIndexDepth } from "../../store/index.ts";

interface Source {
  repository: RepositoryClient;
  signal: AbortSignal;
}

/** An image's manifest, the index that lists it, and the indexes on the way to it, innermost first. */
export interface Choice {
  chosen: Descriptor;
  index: Index;
  within: { descriptor: Descriptor; bytes: Uint8Array }[];
}

/** @throws NotFound when the index has no manifest for the platform, InvalidParameter nested too deep */
export async function selectPlatform(
  source: Source,
  bytes: Uint8Array,
  platform: Platform,
  name: string,
): Promise<Choice> {
  const found = await search(source, bytes, platform, 1);
  if (found) return found;
  throw new NotFound(
    `no matching manifest for ${formatPlatform(platform)} in the manifest list entries of ${name}`,
  );
}

async function search(
  source: Source,
  bytes: Uint8Array,
  platform: Platform,
  depth: number,
): Promise<Choice | undefined> {
  if (depth > maxIndexDepth) throw new InvalidParameter(`indexes are nested deeper than ${maxIndexDepth}`);
  const index = parseIndex(bytes);
  const [only] = index.manifests;
  const found =
    bestMatch(index.manifests, (manifest) => manifest.platform, platform) ??
    (index.manifests.length === 1 && !only!.platform ? only : undefined);
  if (found && !isIndex(found.mediaType)) return { chosen: found, index, within: [] };
  // An index inside rarely says for what it is: those that don't are looked into, in their order.
  const nested = found
    ? [found]
    : index.manifests.filter((child) => isIndex(child.mediaType) && !child.platform);
  for (const descriptor of nested) {
    const { bytes } = await source.repository.manifest(descriptor.digest, source.signal);
    const inner = await search(source, bytes, platform, depth + 1);
    if (inner) return { ...inner, within: [...inner.within, { descriptor, bytes }] };
  }
  return undefined;
}

/** What says where an image of an index came from and what is in it. */
export const attestationsOf = (index: Index, image: Descriptor["digest"]) =>
  index.manifests.filter((manifest) => isAttestation(manifest) && attestedBy(manifest) === image);
