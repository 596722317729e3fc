/** What refers to a manifest (distribution-spec end-12, "Listing Referrers"). */
import type { Digest } from "../../lib/digest.ts";
import { mediaTypes } from "../../lib/oci.ts";
import { requireDigest } from "./blob-handlers.ts";
import { DistributionError } from "./errors.ts";
import { parseManifest } from "./manifest-body.ts";
import { nextLink, pageSize } from "./pages.ts";
import type { ContentSource, Registry } from "./registry.ts";
import type { ManifestRecord } from "./types.ts";

/** A page is an index, and clients take an index of no more (distribution-spec, "Pushing Manifests"). Bytes. */
const maxPageBytes = 4 * 1024 * 1024 - 1024;

export async function listReferrers(
  registry: Registry,
  source: ContentSource,
  request: Request,
  name: string,
  text: string,
): Promise<Response> {
  const subject = requireDigest(text);
  await source.bringReferrers(name, subject);
  const query = new URL(request.url).searchParams;
  const wanted = query.get("artifactType");
  const last = query.get("last") ?? "";
  const all = (await referrersOf(registry, name, subject)).filter(
    ({ digest, artifactType }) => digest > last && (wanted === null || artifactType === wanted),
  );
  const page = firstPage(all.map(descriptorOf), pageSize(query));
  const headers: Record<string, string> = { "Content-Type": mediaTypes.ociIndex };
  if (wanted !== null) headers["OCI-Filters-Applied"] = "artifactType";
  const end = page.at(-1);
  if (end && page.length < all.length) {
    const next: Record<string, string> = { last: end.digest };
    if (query.has("n")) next.n = query.get("n")!;
    if (wanted !== null) next.artifactType = wanted;
    headers.Link = nextLink(`/v2/${name}/referrers/${subject}`, next);
  }
  return Response.json({ schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: page }, { headers });
}

/**
 * In order of their digests: manifests that name the subject, and those that a client without the referrers API
 * listed under the fallback tag (distribution-spec, "Referrers Tag Schema").
 */
async function referrersOf(registry: Registry, name: string, subject: Digest): Promise<ManifestRecord[]> {
  const known = await registry.metadata.referrers(name, subject);
  const listed = await fallbackOf(registry, name, subject);
  const digests = new Set(known.map(({ digest }) => digest));
  const more = await Promise.all(
    listed.filter((digest) => !digests.has(digest)).map((digest) => registry.metadata.manifest(name, digest)),
  );
  const found = more.filter((record) => record !== undefined);
  if (found.length === 0) return known;
  return [...known, ...found].sort((a, b) => (a.digest < b.digest ? -1 : 1));
}

async function fallbackOf(registry: Registry, name: string, subject: Digest): Promise<Digest[]> {
  // sha256:abc… becomes sha256-abc…; a tag has at most 128 characters.
  const digest = await registry.metadata.tag(name, subject.replace(":", "-").slice(0, 128));
  const record = digest && (await registry.metadata.manifest(name, digest));
  if (!record) return [];
  try {
    return parseManifest(await registry.manifestBytes(record), record.mediaType).manifests;
  } catch (error) {
    if (error instanceof DistributionError) return [];
    throw error;
  }
}

function descriptorOf({ mediaType, digest, size, artifactType, annotations }: ManifestRecord) {
  return { mediaType, digest, size, artifactType, annotations };
}

function firstPage<T>(items: T[], limit: number): T[] {
  let bytes = 0;
  const end = items.findIndex((item, index) => {
    bytes += JSON.stringify(item).length + 1;
    return index >= limit || (index > 0 && bytes > maxPageBytes);
  });
  return end < 0 ? items : items.slice(0, end);
}
