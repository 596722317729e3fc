/** Manifests, tags and the catalog (distribution-spec end-3, 7 to 9). */
import { type Digest, digestOf, hexOf } from "../../lib/digest.ts";
import { isTag } from "../../lib/reference.ts";
import { isUnchanged, requireDigest } from "./blob-handlers.ts";
import { DistributionError } from "./errors.ts";
import { algorithmOf } from "./hash.ts";
import { parseManifest } from "./manifest-body.ts";
import { readPage } from "./pages.ts";
import type { ContentSource, ManifestReference, Registry } from "./registry.ts";

/** The spec's example of a limit ("Pushing Manifests"), and what other registries take. */
const maxManifestSize = 4 * 1024 * 1024;
/** Tags that one push by digest may set. */
const maxTags = 100;

export function parseReference(text: string): ManifestReference {
  return text.includes(":") ? { digest: requireDigest(text) } : { tag: text };
}

export async function getManifest(
  registry: Registry,
  source: ContentSource,
  request: Request,
  name: string,
  reference: string,
): Promise<Response> {
  const record = await source.manifest(name, parseReference(reference));
  const { digest, mediaType, size } = record;
  const headers = {
    "Docker-Content-Digest": digest,
    ETag: `"${digest}"`,
    "Content-Type": mediaType,
    "Content-Length": String(size),
  };
  if (isUnchanged(request, digest)) return new Response(null, { status: 304, headers });
  if (request.method === "HEAD") return new Response(null, { headers });
  return new Response(await registry.manifestBytes(record), { headers });
}

export async function putManifest(
  registry: Registry,
  request: Request,
  name: string,
  text: string,
): Promise<Response> {
  const reference = parseReference(text);
  const tags = tagsOf(request, reference);
  const bytes = await readBody(request);
  const digest = "digest" in reference ? reference.digest : digestOf(bytes);
  const body = parseManifest(bytes, request.headers.get("content-type"));
  // Before the references: the wrong bytes must not be blamed on a missing layer.
  if (!matches(bytes, digest)) throw new DistributionError("DIGEST_INVALID", { digest });
  await registry.putManifest(name, digest, bytes, body, tags);
  const headers: Record<string, string> = {
    Location: `/v2/${name}/manifests/${digest}`,
    "Docker-Content-Digest": digest,
  };
  if (body.subject) headers["OCI-Subject"] = body.subject;
  const response = new Response(null, { status: 201, headers });
  if ("digest" in reference) for (const tag of tags) response.headers.append("OCI-Tag", tag);
  return response;
}

/** The tag in the path; a push by digest may name some as `?tag=` (distribution-spec end-7b, after 1.1.1). */
function tagsOf(request: Request, reference: ManifestReference): string[] {
  const tags =
    "tag" in reference ? [reference.tag] : new URL(request.url).searchParams.getAll("tag").slice(0, maxTags);
  const wrong = tags.find((tag) => !isTag(tag));
  if (wrong === undefined) return tags;
  throw new DistributionError("MANIFEST_INVALID", { tag: wrong }, { message: "invalid tag" });
}

export async function deleteManifest(registry: Registry, name: string, reference: string): Promise<Response> {
  await registry.deleteManifest(name, parseReference(reference));
  return new Response(null, { status: 202 });
}

export async function listTags(registry: Registry, request: Request, name: string): Promise<Response> {
  if (!(await registry.metadata.hasRepository(name))) throw new DistributionError("NAME_UNKNOWN", { name });
  const page = await readPage(request, `/v2/${name}/tags/list`, (after, limit) =>
    registry.metadata.tags(name, after, limit),
  );
  return Response.json({ name, tags: page.items }, { headers: page.headers });
}

/** @param sees whether the client may know of a repository */
export async function listRepositories(
  registry: Registry,
  request: Request,
  sees: (repository: string) => boolean,
): Promise<Response> {
  const page = await readPage(request, "/v2/_catalog", async (after, limit) => {
    const visible: string[] = [];
    for (let last: string | undefined = after; last !== undefined && visible.length < limit; ) {
      const names = await registry.metadata.repositories(last, limit);
      visible.push(...names.filter(sees));
      last = names.length < limit ? undefined : names.at(-1);
    }
    return visible.slice(0, limit);
  });
  return Response.json({ repositories: page.items }, { headers: page.headers });
}

async function readBody(request: Request): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of request.body ?? []) {
    size += chunk.length;
    if (size > maxManifestSize) {
      throw new DistributionError("MANIFEST_INVALID", { limit: maxManifestSize }, { status: 413 });
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function matches(bytes: Uint8Array, digest: Digest): boolean {
  return new Bun.CryptoHasher(algorithmOf(digest)).update(bytes).digest("hex") === hexOf(digest);
}
