/** Blobs and their uploads (distribution-spec end-2, 4 to 6, 10, 11, 13). */
import { type Digest, isDigest } from "../../lib/digest.ts";
import { isRepositoryPath } from "../../lib/reference.ts";
import { DistributionError } from "./errors.ts";
import { algorithmOf } from "./hash.ts";
import { parseContentRange, parseRange } from "./range.ts";
import type { ContentSource, Registry } from "./registry.ts";
import type { HashAlgorithm } from "./types.ts";
import type { UploadSession } from "./uploads.ts";

/** @throws DistributionError DIGEST_INVALID */
export function requireDigest(text: string): Digest {
  if (!isDigest(text)) {
    throw new DistributionError("DIGEST_INVALID", { digest: text }, { message: "invalid digest" });
  }
  return text;
}

/** Whether the client already has the content whose entity tag is its digest (RFC 9110, If-None-Match). */
export function isUnchanged(request: Request, digest: Digest): boolean {
  const tags = request.headers.get("if-none-match")?.split(",") ?? [];
  return tags
    .map((tag) => tag.trim().replace(/^W\//, ""))
    .some((tag) => tag === "*" || tag === `"${digest}"`);
}

export async function getBlob(
  registry: Registry,
  source: ContentSource,
  request: Request,
  name: string,
  text: string,
): Promise<Response> {
  const digest = requireDigest(text);
  const { size, read } = await source.openBlob(name, digest);
  const headers: Record<string, string> = {
    "Docker-Content-Digest": digest,
    ETag: `"${digest}"`,
    "Cache-Control": "max-age=31536000",
    "Accept-Ranges": "bytes",
    "Content-Type": "application/octet-stream",
  };
  if (isUnchanged(request, digest)) return new Response(null, { status: 304, headers });
  const condition = request.headers.get("if-range");
  const header = condition === null || condition === headers.ETag ? request.headers.get("range") : null;
  const range = parseRange(header, size);
  if (range === "unsatisfiable") {
    throw new DistributionError("SIZE_INVALID", undefined, {
      status: 416,
      headers: { "Content-Range": `bytes */${size}` },
      message: "the requested range is outside of the blob",
    });
  }
  const { start, end } = range ?? { start: 0, end: size };
  if (range) headers["Content-Range"] = `bytes ${start}-${end - 1}/${size}`;
  headers["Content-Length"] = String(end - start);
  if (request.method === "HEAD") await registry.renewBlob(name, digest);
  const body = request.method === "HEAD" ? null : read(start, end);
  return new Response(body, { status: range ? 206 : 200, headers });
}

export async function deleteBlob(registry: Registry, name: string, digest: string): Promise<Response> {
  await registry.deleteBlob(name, requireDigest(digest));
  return new Response(null, { status: 202 });
}

/**
 * POST: a mount, a whole blob in one request, or the begin of an upload.
 * @param mayPull whether the client may read a repository; of others nothing is mounted
 */
export async function beginUpload(
  registry: Registry,
  request: Request,
  name: string,
  mayPull: (repository: string) => boolean,
): Promise<Response> {
  const query = new URL(request.url).searchParams;
  const mount = query.get("mount");
  const from = query.get("from");
  if (mount !== null && from !== null) {
    const digest = requireDigest(mount);
    if (!isRepositoryPath(from)) throw new DistributionError("NAME_INVALID", { name: from });
    if (mayPull(from) && (await registry.mountBlob(from, name, digest))) return created(name, digest);
  }
  const whole = query.get("digest");
  const digest = whole === null ? undefined : requireDigest(whole);
  const session = await registry.uploads.begin(name, digest ? algorithmOf(digest) : algorithmAsked(query));
  if (!digest) return progress(session, 202);
  return await registry.uploads.write(session, () => finish(registry, request, session, digest));
}

/** `?digest-algorithm=` (distribution-spec end-4c, after 1.1.1). @throws DistributionError DIGEST_INVALID */
function algorithmAsked(query: URLSearchParams): HashAlgorithm | undefined {
  const name = query.get("digest-algorithm");
  if (name === null || name === "sha256" || name === "sha512") return name ?? undefined;
  throw new DistributionError(
    "DIGEST_INVALID",
    { algorithm: name },
    { message: "unsupported digest algorithm" },
  );
}

export async function uploadStatus(registry: Registry, name: string, id: string): Promise<Response> {
  return progress(await registry.uploads.find(name, id), 204);
}

export async function cancelUpload(registry: Registry, name: string, id: string): Promise<Response> {
  const session = await registry.uploads.find(name, id);
  return await registry.uploads.write(session, async () => {
    await registry.uploads.end(session);
    return new Response(null, { status: 204 });
  });
}

/** PATCH: the next bytes. */
export async function appendUpload(
  registry: Registry,
  request: Request,
  name: string,
  id: string,
): Promise<Response> {
  const session = await registry.uploads.find(name, id);
  return await registry.uploads.write(session, async () => {
    await append(registry, request, session);
    return progress(session, 202);
  });
}

/** PUT: the last bytes, if any, and the digest of all. */
export async function finishUpload(
  registry: Registry,
  request: Request,
  name: string,
  id: string,
): Promise<Response> {
  const session = await registry.uploads.find(name, id);
  const digest = requireDigest(new URL(request.url).searchParams.get("digest") ?? "");
  return await registry.uploads.write(session, () => finish(registry, request, session, digest));
}

async function finish(
  registry: Registry,
  request: Request,
  session: UploadSession,
  digest: Digest,
): Promise<Response> {
  // Out of order is the client's to mend: the session stays.
  checkOrder(request, session);
  try {
    await append(registry, request, session);
    await registry.commitBlob(session.repository, session.ingest, digest);
    return created(session.repository, digest);
  } finally {
    await registry.uploads.end(session);
  }
}

async function append(registry: Registry, request: Request, session: UploadSession): Promise<void> {
  checkOrder(request, session);
  if (!request.body) return;
  const before = session.ingest.offset;
  try {
    await session.ingest.append(request.body);
  } catch (error) {
    if (request.signal.aborted) throw new DistributionError("BLOB_UPLOAD_INVALID", "the body was cut off");
    await registry.uploads.end(session);
    throw error;
  }
  const length = request.headers.get("content-length");
  if (length !== null && Number(length) !== session.ingest.offset - before) {
    throw new DistributionError("SIZE_INVALID");
  }
}

/** A chunk that says where it belongs must belong at the end of what is there. */
function checkOrder(request: Request, session: UploadSession): void {
  const header = request.headers.get("content-range");
  if (header === null) return;
  const range = parseContentRange(header);
  if (!range) throw new DistributionError("BLOB_UPLOAD_INVALID", { "Content-Range": header });
  if (range.start !== session.ingest.offset) {
    const message = "the chunk is out of order";
    throw new DistributionError("BLOB_UPLOAD_INVALID", undefined, {
      status: 416,
      headers: progressHeaders(session),
      message,
    });
  }
  const length = request.headers.get("content-length");
  if (length !== null && Number(length) !== range.end - range.start)
    throw new DistributionError("SIZE_INVALID");
}

function progress(session: UploadSession, status: number): Response {
  return new Response(null, { status, headers: progressHeaders(session) });
}

function progressHeaders({ repository, id, ingest }: UploadSession): Record<string, string> {
  return {
    Location: `/v2/${repository}/blobs/uploads/${id}`,
    // Both ends are included; for nothing at all clients expect 0-0 too.
    Range: `0-${Math.max(0, ingest.offset - 1)}`,
    "Docker-Upload-UUID": id,
  };
}

function created(name: string, digest: Digest): Response {
  const headers = { Location: `/v2/${name}/blobs/${digest}`, "Docker-Content-Digest": digest };
  return new Response(null, { status: 201, headers });
}
