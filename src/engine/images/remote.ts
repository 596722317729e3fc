/** Manifests where they are: looked at in a registry, and lists of them written there. */
import { Readable } from "node:stream";
import { InvalidParameter } from "../../lib/errors.ts";
import type { Descriptor, Platform } from "../../lib/oci.ts";
import { parseImageConfig, parseIndex, parseManifest } from "../../lib/oci-schema.ts";
import { familiar, normalize, parseReference, type Reference } from "../../lib/reference.ts";
import type { Credentials, RepositoryClient } from "../../registry/types.ts";
import { isImageConfig, isIndex } from "../../store/index.ts";
import type { Context } from "../context.ts";
import type { RemoteManifest } from "../types.ts";

/** Of an image's configuration; more is not read into memory. */
const maxConfig = 8 << 20;

interface Access {
  auth?: Credentials;
  signal: AbortSignal;
}

/** @throws NotFound, Unauthorized, Unavailable */
export async function remoteManifest(
  { registry }: Context,
  name: string,
  { auth, signal }: Access,
): Promise<RemoteManifest> {
  const reference = normalize(parseReference(name));
  const repository = registry.repository(reference, auth);
  const { descriptor, bytes } = await repository.manifest(reference.digest ?? reference.tag!, signal);
  if (isIndex(descriptor.mediaType)) {
    const platforms = parseIndex(bytes).manifests.flatMap(({ platform }) => platform ?? []);
    return { descriptor, bytes, platforms };
  }
  const { config } = parseManifest(bytes);
  // An artifact's config says nothing of a platform.
  if (!isImageConfig(config.mediaType)) return { descriptor, bytes, platforms: [] };
  const platform = await platformOf(repository, config, signal);
  return { descriptor: { ...descriptor, platform }, bytes, platforms: [platform] };
}

async function platformOf(
  repository: RepositoryClient,
  config: Descriptor,
  signal: AbortSignal,
): Promise<Platform> {
  if (config.size > maxConfig) throw new InvalidParameter(`the image's config has ${config.size} bytes`);
  const chunks = (await Array.fromAsync(await repository.blob(config, 0, signal))) as Uint8Array[];
  const { os, architecture, variant } = parseImageConfig(Buffer.concat(chunks));
  return { architecture, os, ...(variant && { variant }) };
}

/**
 * Writes a manifest list under a tag. Manifests of other repositories of the registry, which `sources` names, are
 * brought over with their blobs first.
 * @returns the list's digest, and the sources that were brought over
 * @throws InvalidParameter for sources of another registry
 */
export async function pushManifestList(
  { registry }: Context,
  name: string,
  list: { mediaType: string; bytes: Uint8Array; sources: string[] },
  { auth, signal }: Access,
): Promise<{ digest: string; brought: string[] }> {
  if (!isIndex(list.mediaType))
    throw new InvalidParameter(`${list.mediaType} is not the type of a manifest list`);
  const wanted = new Set(parseIndex(list.bytes).manifests.map(({ digest }) => digest));
  const reference = normalize(parseReference(name));
  const target = registry.repository(reference, auth);
  const brought: string[] = [];
  for (const text of list.sources) {
    const source = parseReference(text);
    if (source.domain !== reference.domain)
      throw new InvalidParameter(
        `cannot use source images from a different registry than the target image: ${source.domain} != ${reference.domain}`,
      );
    if (!source.digest || !wanted.has(source.digest))
      throw new InvalidParameter(`${familiar(source)} is not named by a digest of the list`);
    if (source.path === reference.path) continue;
    await bringOver({ registry }, source, target, { auth, signal });
    brought.push(text);
  }
  const digest = await target.pushManifest(reference.tag!, list.bytes, list.mediaType, signal);
  return { digest, brought };
}

async function bringOver(
  { registry }: Pick<Context, "registry">,
  reference: Reference,
  target: RepositoryClient,
  { auth, signal }: Access,
): Promise<void> {
  const source = registry.repository(reference, auth);
  const { descriptor, bytes } = await source.manifest(reference.digest!, signal);
  const { config, layers } = parseManifest(bytes);
  for (const blob of [config, ...layers]) {
    const open = () => Readable.from(streamOf(source, blob, signal), { objectMode: false });
    await target.pushBlob(blob, open, { mountFrom: reference.path, signal });
  }
  await target.pushManifest(descriptor.digest, bytes, descriptor.mediaType, signal);
}

async function* streamOf(source: RepositoryClient, blob: Descriptor, signal: AbortSignal) {
  yield* await source.blob(blob, 0, signal);
}
