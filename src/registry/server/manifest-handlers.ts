/** Manifests, tags, referrers and the catalog (distribution-spec end-3, 7 to 9, 12). */
import { type Digest, digestOf, hexOf } from "../../lib/digest.ts";
import { mediaTypes } from "../../lib/oci.ts";
import { isTag } from "../../lib/reference.ts";
import { isUnchanged, requireDigest } from "./blob-handlers.ts";
import { DistributionError } from "./errors.ts";
import { parseManifest } from "./manifest-body.ts";
import type { Registry } from "./registry.ts";

/** The spec's example of a limit ("Pushing Manifests"), and what other registries take. */
const maxManifestSize = 4 * 1024 * 1024;
const maxPage = 1000;

function parseReference(text: string): { digest: Digest } | { tag: string } {
  return text.includes(":") ? { digest: requireDigest(text) } : { tag: text };
}

export async function getManifest(
  registry: Registry,
  request: Request,
  name: string,
  reference: string,
): Promise<Response> {
  const { digest, mediaType, size } = await registry.manifest(name, parseReference(reference));
  const headers = {
    "Docker-Content-Digest": digest,
    ETag: `"${digest}"`,
    "Content-Type": mediaType,
    "Content-Length": String(size),
  };
  if (isUnchanged(request, digest)) return new Response(null, { status: 304, headers });
  if (request.method === "HEAD") return new Response(null, { headers });
  return new Response(await registry.blobs.read(digest, 0, size).arrayBuffer(), { headers });
}

export async function putManifest(
  registry: Registry,
  request: Request,
  name: string,
  text: string,
): Promise<Response> {
  const reference = parseReference(text);
  if ("tag" in reference && !isTag(reference.tag)) {
    throw new DistributionError("MANIFEST_INVALID", { tag: reference.tag }, { message: "invalid tag" });
  }
  const bytes = await readBody(request);
  const digest = "digest" in reference ? reference.digest : digestOf(bytes);
  const body = parseManifest(bytes, request.headers.get("content-type"));
  // Before the references: the wrong bytes must not be blamed on a missing layer.
  if (!matches(bytes, digest)) throw new DistributionError("DIGEST_INVALID", { digest });
  await registry.putManifest(name, digest, bytes, body, "tag" in reference ? reference.tag : undefined);
  const headers: Record<string, string> = {
    Location: `/v2/${name}/manifests/${digest}`,
    "Docker-Content-Digest": digest,
  };
  if (body.subject) headers["OCI-Subject"] = body.subject;
  return new Response(null, { status: 201, headers });
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

export async function listRepositories(registry: Registry, request: Request): Promise<Response> {
  const page = await readPage(request, "/v2/_catalog", (after, limit) =>
    registry.metadata.repositories(after, limit),
  );
  return Response.json({ repositories: page.items }, { headers: page.headers });
}

export async function listReferrers(
  registry: Registry,
  request: Request,
  name: string,
  digest: string,
): Promise<Response> {
  const wanted = new URL(request.url).searchParams.get("artifactType");
  const found = await registry.metadata.referrers(name, requireDigest(digest));
  const manifests = found
    .filter((manifest) => wanted === null || manifest.artifactType === wanted)
    .map(({ mediaType, digest, size, artifactType, annotations }) => ({
      mediaType,
      digest,
      size,
      artifactType,
      annotations,
    }));
  const headers: Record<string, string> = { "Content-Type": mediaTypes.ociIndex };
  if (wanted !== null) headers["OCI-Filters-Applied"] = "artifactType";
  return Response.json({ schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests }, { headers });
}

/** One page of a list as `n` and `last` ask, with the Link to the next one (RFC 5988). */
async function readPage(
  request: Request,
  path: string,
  list: (after: string, limit: number) => Promise<string[]>,
): Promise<{ items: string[]; headers: Record<string, string> }> {
  const query = new URL(request.url).searchParams;
  const n = query.get("n") ?? String(maxPage);
  if (!/^\d{1,9}$/.test(n)) {
    throw new DistributionError("UNSUPPORTED", { n }, { status: 400, message: "invalid number of results" });
  }
  const limit = Math.min(Number(n), maxPage);
  // One more than asked tells whether there is a next page.
  const found = limit === 0 ? [] : await list(query.get("last") ?? "", limit + 1);
  const items = found.slice(0, limit);
  const last = items.at(-1);
  if (found.length <= limit || last === undefined) return { items, headers: {} };
  return { items, headers: { Link: `<${path}?n=${limit}&last=${encodeURIComponent(last)}>; rel="next"` } };
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
  const algorithm = digest.startsWith("sha512:") ? "sha512" : "sha256";
  return new Bun.CryptoHasher(algorithm).update(bytes).digest("hex") === hexOf(digest);
}
