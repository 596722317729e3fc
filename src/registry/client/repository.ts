/** One repository: the contract's operations over one or more endpoints. */
import { Readable } from "node:stream";
import * as v from "valibot";
import { type Digest, digestOf, hexOf, isDigest } from "../../lib/digest.ts";
import { Cancelled, type GantryError, Internal, messageOf, NotFound, Unavailable } from "../../lib/errors.ts";
import { type Descriptor, mediaTypes } from "../../lib/oci.ts";
import { familiar, familiarName, isTag, type RepositoryName } from "../../lib/reference.ts";
import type { RepositoryClient } from "../types.ts";
import { parseJson, readLimited } from "./body.ts";
import { errorOf, type RegistryFault, readFault } from "./errors.ts";
import { nextPage } from "./pages.ts";
import { addToFallback, listReferrers, subjectOf } from "./referrers.ts";
import type { RegistryRequest, Transport } from "./transport.ts";
import { uploadBlob } from "./upload.ts";

const acceptedManifests = [
  mediaTypes.ociIndex,
  mediaTypes.dockerList,
  mediaTypes.ociManifest,
  mediaTypes.dockerManifest,
].join(", ");
/** Types that a server gives when it does not know better. */
const vagueTypes = new Set(["", "application/json", "application/octet-stream", "text/plain"]);

/** Tags that are asked for at once, and how many such pages are read. */
const pageSize = 1000;
const maxPages = 1000;
/** Names come from outside; what is no tag could lead to another path. */
const tagsBody = v.object({ tags: v.nullish(v.array(v.pipe(v.string(), v.check(isTag)))) });
const typedBody = v.object({ mediaType: v.optional(v.string()), manifests: v.optional(v.unknown()) });

export class Repository implements RepositoryClient {
  #answered: Transport | undefined;

  /** `mirrors` are asked before `registry`, and never written to. */
  constructor(
    private readonly name: RepositoryName,
    private readonly transports: () => Promise<{ mirrors: Transport[]; registry: Transport }>,
  ) {}

  get endpoint(): string {
    return this.#answered?.origin ?? `https://${this.name.domain}`;
  }

  async manifest(
    reference: string,
    signal?: AbortSignal,
  ): Promise<{ descriptor: Descriptor; bytes: Uint8Array }> {
    return await this.#pull(async (transport) => {
      const response = await transport.send({
        ...this.#request("GET", `manifests/${reference}`, "pull", signal),
        headers: { accept: acceptedManifests },
      });
      if (response.status !== 200) throw this.#pullError(await readFault(response), reference);
      const bytes = await readLimited(response, "manifest");
      const digest = verifiedDigest(bytes, reference, response.headers.get("docker-content-digest"));
      return { descriptor: { mediaType: manifestType(response, bytes), digest, size: bytes.length }, bytes };
    });
  }

  async manifestDigest(reference: string, signal?: AbortSignal): Promise<Digest | undefined> {
    return await this.#pull(async (transport) => {
      const response = await transport.send({
        ...this.#request("HEAD", `manifests/${reference}`, "pull", signal),
        headers: { accept: acceptedManifests },
      });
      if (response.status !== 200) throw this.#pullError(await readFault(response), reference);
      const claimed = response.headers.get("docker-content-digest");
      return claimed !== null && isDigest(claimed) ? claimed : undefined;
    });
  }

  async tags(signal?: AbortSignal): Promise<string[]> {
    return await this.#pull(async (transport) => {
      const tags: string[] = [];
      let target: string | URL | undefined = `/v2/${this.name.path}/tags/list?n=${pageSize}`;
      for (let page = 1; target; page++) {
        if (page > maxPages) throw new Unavailable(`${transport.origin} gives tags without an end`);
        const scopes = [`repository:${this.name.path}:pull`];
        const response = await transport.send({ method: "GET", target, scopes, signal });
        if (response.status !== 200) throw this.#pullError(await readFault(response));
        const parsed = v.safeParse(tagsBody, parseJson(await readLimited(response, "list of tags")));
        if (!parsed.success)
          throw new Unavailable(`${transport.origin} answered with something else than tags`);
        tags.push(...(parsed.output.tags ?? []));
        target = nextPage(response, transport.origin);
      }
      return tags;
    });
  }

  async referrers(subject: Digest, signal?: AbortSignal): Promise<Descriptor[]> {
    // Who gave the manifest knows what refers to it: another endpoint would only be waited for in vain.
    const transport = this.#answered ?? (await this.transports()).registry;
    return await listReferrers(transport, this.name.path, subject, signal);
  }

  async hasBlob(digest: Digest, signal?: AbortSignal): Promise<number | undefined> {
    const { registry } = await this.transports();
    return await this.#hasBlob(registry, digest, "pull", signal);
  }

  async blob(descriptor: Descriptor, offset = 0, signal?: AbortSignal): Promise<Readable> {
    const { digest, size } = descriptor;
    if (offset >= size) return Readable.from([]);
    return await this.#pull(async (transport) => {
      // A layer is taken as it is stored: an encoding on the way would change its bytes.
      const headers: Record<string, string> = { "accept-encoding": "identity" };
      if (offset > 0) headers.range = `bytes=${offset}-`;
      const response = await transport.send({
        ...this.#request("GET", `blobs/${digest}`, "pull", signal),
        headers,
      });
      if (response.status !== 200 && response.status !== 206) {
        throw this.#pullError(await readFault(response), digest);
      }
      const start = response.status === 206 ? startOf(response) : 0;
      if (start > offset || !response.body) {
        await response.body?.cancel();
        throw new Unavailable(`${transport.origin} answered a request for bytes ${offset}- with other ones`);
      }
      const rest = bounded(response.body, offset - start, size - start);
      return Readable.from(named(rest, digest, signal), { objectMode: false });
    });
  }

  async pushBlob(
    descriptor: Descriptor,
    open: () => Readable,
    options: { mountFrom?: string; onProgress?: (bytes: number) => void; signal?: AbortSignal } = {},
  ): Promise<"pushed" | "exists" | "mounted"> {
    const { registry } = await this.transports();
    const there = await this.#hasBlob(registry, descriptor.digest, "pull,push", options.signal);
    if (there !== undefined) return "exists";
    return await uploadBlob({
      ...options,
      transport: registry,
      repository: this.name.path,
      descriptor,
      open,
    });
  }

  async pushManifest(
    reference: string,
    bytes: Uint8Array,
    mediaType: string,
    signal?: AbortSignal,
  ): Promise<Digest> {
    const { registry } = await this.transports();
    const response = await registry.send({
      ...this.#request("PUT", `manifests/${reference}`, "pull,push", signal),
      headers: { "content-type": mediaType },
      body: bytes,
    });
    this.#answered = registry;
    if (!response.ok) throw errorOf(await readFault(response));
    await response.body?.cancel();
    const digest = verifiedDigest(bytes, reference, response.headers.get("docker-content-digest"));
    const subject = subjectOf(bytes);
    if (subject && !response.headers.has("oci-subject")) {
      const referrer = { mediaType, digest, size: bytes.length };
      await addToFallback(registry, this.name.path, subject, referrer, bytes, signal);
    }
    return digest;
  }

  async #hasBlob(
    transport: Transport,
    digest: Digest,
    actions: string,
    signal?: AbortSignal,
  ): Promise<number | undefined> {
    const response = await transport.send(this.#request("HEAD", `blobs/${digest}`, actions, signal));
    this.#answered = transport;
    if (response.status === 404) return undefined;
    if (!response.ok) throw errorOf(await readFault(response));
    const length = response.headers.get("content-length");
    if (length === null) throw new Unavailable(`${transport.origin} does not give the size of ${digest}`);
    return Number(length);
  }

  #request(
    method: RegistryRequest["method"],
    path: string,
    actions: string,
    signal?: AbortSignal,
  ): RegistryRequest {
    const { path: name } = this.name;
    return { method, target: `/v2/${name}/${path}`, scopes: [`repository:${name}:${actions}`], signal };
  }

  /** The first endpoint that can; a mirror's failure of any kind only means that the next one is asked. */
  async #pull<T>(task: (transport: Transport) => Promise<T>): Promise<T> {
    const { mirrors, registry } = await this.transports();
    const failed: string[] = [];
    for (const mirror of mirrors) {
      try {
        const result = await task(mirror);
        this.#answered = mirror;
        return result;
      } catch (error) {
        if (!isFault(error)) throw error;
        failed.push(`${mirror.origin}: ${messageOf(error)}`);
      }
    }
    try {
      const result = await task(registry);
      this.#answered = registry;
      return result;
    } catch (error) {
      if (!(error instanceof Unavailable) || failed.length === 0) throw error;
      throw new Unavailable(`${error.message} (mirror ${failed.join(", ")})`, { cause: error });
    }
  }

  /** Docker's words for what a pull can meet. */
  #pullError(fault: RegistryFault, reference?: string): GantryError {
    const named =
      reference && isDigest(reference)
        ? { ...this.name, digest: reference }
        : { ...this.name, tag: reference };
    switch (fault.code) {
      case "DENIED":
        return new NotFound(
          `pull access denied for ${familiarName(this.name)}, repository does not exist or may require 'docker login': ${fault.text}`,
        );
      case "MANIFEST_UNKNOWN":
        return new NotFound(`manifest for ${familiar(named)} not found: manifest unknown: manifest unknown`);
      case "NAME_UNKNOWN":
        return new NotFound(`repository ${familiarName(this.name)} not found: ${fault.text}`);
    }
    return errorOf(fault);
  }
}

function isFault(error: unknown): error is GantryError {
  return error instanceof Error && "kind" in error && error.kind !== "cancelled";
}

/** @throws Internal when the bytes are not what was asked for, or not what the registry says they are */
function verifiedDigest(bytes: Uint8Array, reference: string, header: string | null): Digest {
  const asked = isDigest(reference) ? reference : undefined;
  const claimed = header !== null && isDigest(header) ? header : undefined;
  for (const digest of [asked, claimed]) {
    if (digest && !hasDigest(bytes, digest)) {
      throw new Internal(`manifest verification failed for digest ${digest}`);
    }
  }
  return asked ?? digestOf(bytes);
}

function hasDigest(bytes: Uint8Array, digest: Digest): boolean {
  const algorithm = digest.startsWith("sha512:") ? "sha512" : "sha256";
  return new Bun.CryptoHasher(algorithm).update(bytes).digest("hex") === hexOf(digest);
}

/** @throws Internal when header and body name different types: another client could read another image in it */
function manifestType(response: Response, bytes: Uint8Array): string {
  const header = response.headers.get("content-type")?.split(";", 1)[0]?.trim() ?? "";
  const parsed = v.safeParse(typedBody, parseJson(bytes));
  if (!parsed.success) throw new Internal("manifest is not a JSON object");
  const { mediaType, manifests } = parsed.output;
  if (vagueTypes.has(header)) {
    return mediaType ?? (manifests === undefined ? mediaTypes.ociManifest : mediaTypes.ociIndex);
  }
  if (mediaType !== undefined && mediaType !== header) {
    throw new Internal(`manifest has media type ${mediaType}, its registry says ${header}`);
  }
  return header;
}

/** The first byte's offset as `Content-Range` gives it; beyond any when it does not. */
function startOf(response: Response): number {
  const match = /^bytes (\d+)-/.exec(response.headers.get("content-range") ?? "");
  return match ? Number(match[1]) : Number.POSITIVE_INFINITY;
}

/** A body without its first `skip` bytes; fails when it is not `length` bytes long. */
async function* bounded(
  body: AsyncIterable<Uint8Array>,
  skip: number,
  length: number,
): AsyncGenerator<Uint8Array> {
  let position = 0;
  for await (const chunk of body) {
    const rest = chunk.subarray(Math.min(Math.max(skip - position, 0), chunk.length));
    position += chunk.length;
    if (position > length) throw new Unavailable("longer than the manifest says");
    if (rest.length > 0) yield rest;
  }
  if (position < length) throw new Unavailable("unexpected EOF");
}

/** Whatever breaks a blob's stream becomes an error of its kind that says which blob. */
async function* named(
  chunks: AsyncIterable<Uint8Array>,
  digest: Digest,
  signal?: AbortSignal,
): AsyncGenerator<Uint8Array> {
  try {
    yield* chunks;
  } catch (error) {
    if (signal?.aborted) throw new Cancelled("context canceled", { cause: error });
    throw new Unavailable(`blob ${digest}: ${messageOf(error)}`, { cause: error });
  }
}
