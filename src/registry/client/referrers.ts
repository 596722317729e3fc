/** What refers to a manifest (distribution-spec, "Listing Referrers" and "Referrers Tag Schema"). */
import * as v from "valibot";
import { type Digest, isDigest } from "../../lib/digest.ts";
import { Unavailable } from "../../lib/errors.ts";
import { type Descriptor, mediaTypes } from "../../lib/oci.ts";
import { parseIndex } from "../../lib/oci-schema.ts";
import { parseJson, readLimited } from "./body.ts";
import { errorOf, readFault } from "./errors.ts";
import { nextPage } from "./pages.ts";
import type { Transport } from "./transport.ts";

/** Lists of registries that mean well have no more. */
const maxPages = 100;
/** Other statuses than these, and than 200, are those of registries that don't know the API. */
const busyOrClosed = new Set([401, 403, 429, 500, 502, 503, 504]);

const referring = v.object({
  artifactType: v.optional(v.string()),
  annotations: v.nullish(v.record(v.string(), v.string())),
  config: v.nullish(v.object({ mediaType: v.string() })),
  subject: v.nullish(v.object({ digest: v.custom<Digest>((it) => typeof it === "string" && isDigest(it)) })),
});

/** @throws Unauthorized, Unavailable */
export async function listReferrers(
  transport: Transport,
  path: string,
  subject: Digest,
  signal?: AbortSignal,
): Promise<Descriptor[]> {
  const found: Descriptor[] = [];
  let target: string | URL | undefined = `/v2/${path}/referrers/${subject}`;
  for (let page = 1; target; page++) {
    if (page > maxPages) throw new Unavailable(`${transport.origin} gives referrers without an end`);
    const scopes = [`repository:${path}:pull`];
    // They are not worth waiting for.
    const response: Response = await transport.send({ method: "GET", target, scopes, retry: false, signal });
    const type = response.headers.get("content-type")?.split(";", 1)[0]?.trim();
    if (busyOrClosed.has(response.status)) throw errorOf(await readFault(response));
    if (response.status !== 200 || type !== mediaTypes.ociIndex) {
      await response.body?.cancel();
      return await fallbackOf(transport, path, subject, signal);
    }
    found.push(...parseIndex(await readLimited(response, "list of referrers")).manifests);
    target = nextPage(response, transport.origin);
  }
  return found;
}

/** The subject of a manifest that is to be pushed. */
export function subjectOf(bytes: Uint8Array): Digest | undefined {
  const parsed = v.safeParse(referring, parseJson(bytes));
  return parsed.success ? parsed.output.subject?.digest : undefined;
}

/** Does for a registry without the API what it would do: lists the referrer under the subject's tag. @throws as `send` */
export async function addToFallback(
  transport: Transport,
  path: string,
  subject: Digest,
  { mediaType, digest, size }: Descriptor,
  bytes: Uint8Array,
  signal?: AbortSignal,
): Promise<void> {
  const listed = await fallbackOf(transport, path, subject, signal);
  if (listed.some((known) => known.digest === digest)) return;
  const { artifactType, annotations, config } = v.parse(referring, parseJson(bytes));
  const kind = artifactType ?? config?.mediaType;
  const entry = {
    mediaType,
    digest,
    size,
    ...(kind !== undefined && { artifactType: kind }),
    ...(annotations && { annotations }),
  };
  const index = { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: [...listed, entry] };
  const response = await transport.send({
    method: "PUT",
    target: `/v2/${path}/manifests/${fallbackTag(subject)}`,
    scopes: [`repository:${path}:pull,push`],
    headers: { "content-type": mediaTypes.ociIndex },
    body: Buffer.from(JSON.stringify(index)),
    signal,
  });
  if (!response.ok) throw errorOf(await readFault(response));
  await response.body?.cancel();
}

/** What the tag lists. @throws InvalidParameter when it is no list: somebody's image has that name */
async function fallbackOf(
  transport: Transport,
  path: string,
  subject: Digest,
  signal?: AbortSignal,
): Promise<Descriptor[]> {
  const response = await transport.send({
    method: "GET",
    target: `/v2/${path}/manifests/${fallbackTag(subject)}`,
    scopes: [`repository:${path}:pull`],
    headers: { accept: mediaTypes.ociIndex },
    signal,
  });
  if (response.status === 404) {
    await response.body?.cancel();
    return [];
  }
  if (response.status !== 200) throw errorOf(await readFault(response));
  return parseIndex(await readLimited(response, "list of referrers")).manifests;
}

/** sha256:abc… becomes sha256-abc…; a tag has at most 128 characters. */
const fallbackTag = (subject: Digest) => subject.replace(":", "-").slice(0, 128);
