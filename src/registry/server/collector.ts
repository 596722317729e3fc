/**
 * Garbage collection while the registry serves. What is young stays: a client pushes blobs first and names them by a
 * manifest later, and every step of a push renews what it builds on.
 */
import type { Digest } from "../../lib/digest.ts";
import { DistributionError } from "./errors.ts";
import { type ManifestBody, parseManifest } from "./manifest-body.ts";
import type { Registry } from "./registry.ts";

export interface CollectOptions {
  /** What was pushed, or used by a push, in the last so many ms stays. */
  graceMs: number;
  /** Uploads that nobody wrote to for so many ms go. */
  uploadAgeMs: number;
  /** Takes manifests that no tag leads to as well. */
  untagged: boolean;
}

export interface Collected {
  uploads: number;
  /** Links of blobs to repositories. */
  links: number;
  manifests: number;
  /** Byte strings that were removed. */
  blobs: number;
}

/** Removes what nothing names. Safe at any time, and to be interrupted. */
export async function collect(
  registry: Registry,
  { graceMs, uploadAgeMs, untagged }: CollectOptions,
  now: number = Date.now(),
): Promise<Collected> {
  const cutoff = now - graceMs;
  const collected = { uploads: 0, links: 0, manifests: 0, blobs: 0 };
  collected.uploads = await registry.uploads.dropAbandoned(now - uploadAgeMs);
  for (const repository of await registry.metadata.allRepositories()) {
    const { blobs, manifests } = await reachable(registry, repository, cutoff, untagged);
    for (const { digest } of untagged ? await registry.metadata.manifests(repository) : []) {
      if (manifests.has(digest)) continue;
      if (await registry.metadata.deleteManifest(repository, digest, cutoff)) collected.manifests += 1;
    }
    for (const digest of await registry.metadata.blobsLinkedBefore(repository, cutoff)) {
      if (blobs.has(digest)) continue;
      if (await registry.metadata.unlinkBlob(repository, digest, cutoff)) collected.links += 1;
    }
  }
  collected.blobs = await removeUnnamed(registry);
  return collected;
}

/** Removes bytes that no repository holds, as a crash leaves them between placing and naming. @returns how many */
export async function removeUnnamed(registry: Registry): Promise<number> {
  let removed = 0;
  for await (const digest of registry.blobs.list()) {
    if (await registry.removeIfUnnamed(digest)) removed += 1;
  }
  return removed;
}

/** What the repository's manifests lead to; with `untagged` only tags, young manifests and their referrers count. */
async function reachable(
  registry: Registry,
  repository: string,
  cutoff: number,
  untagged: boolean,
): Promise<{ blobs: Set<Digest>; manifests: Set<Digest> }> {
  const blobs = new Set<Digest>();
  const manifests = new Set<Digest>();
  const pending = (await registry.metadata.manifests(repository))
    .filter(({ isTagged, pushedAt }) => !untagged || isTagged || pushedAt >= cutoff)
    .map(({ digest }) => digest);
  for (let digest = pending.pop(); digest; digest = pending.pop()) {
    if (manifests.has(digest)) continue;
    const body = await bodyOf(registry, repository, digest);
    if (!body) continue;
    manifests.add(digest);
    for (const blob of [...body.blobs, ...body.foreign]) blobs.add(blob);
    const referrers = await registry.metadata.referrers(repository, digest);
    pending.push(...body.manifests, ...referrers.map((referrer) => referrer.digest));
  }
  return { blobs, manifests };
}

/** Undefined when the manifest is deleted meanwhile; one that can't be read stops the collection. */
async function bodyOf(
  registry: Registry,
  repository: string,
  digest: Digest,
): Promise<ManifestBody | undefined> {
  try {
    const record = await registry.manifest(repository, { digest });
    return parseManifest(await registry.manifestBytes(record), record.mediaType);
  } catch (error) {
    if (error instanceof DistributionError && error.code === "MANIFEST_UNKNOWN") return undefined;
    throw error;
  }
}
