/** A cache of another registry: what is not here is fetched once, kept, and sent on while it arrives. */
import { randomUUID } from "node:crypto";
import type { Digest } from "../../lib/digest.ts";
import { Forbidden, messageOf, NotFound, Unauthorized } from "../../lib/errors.ts";
import type { RepositoryClient } from "../types.ts";
import { BlobFetch } from "./blob-fetch.ts";
import type { CacheLimit } from "./cache-limit.ts";
import { DistributionError } from "./errors.ts";
import { algorithmOf } from "./hash.ts";
import { parseManifest } from "./manifest-body.ts";
import type { Metrics } from "./metrics.ts";
import type { ContentSource, ManifestReference, OpenBlob, Registry } from "./registry.ts";
import type { ManifestRecord } from "./types.ts";

/** Tags whose freshness is remembered. */
const maxFresh = 100_000;
/** Of one subject; who wants more asks upstream itself. */
const maxReferrers = 100;
/** For upstream's list of them; the client waits meanwhile. */
const referrersTimeoutMs = 10_000;

export class PullThrough implements ContentSource {
  /** When each tag was last compared with upstream, ms since the epoch. */
  readonly #fresh = new Map<string, number>();
  readonly #manifests = new Map<string, Promise<ManifestRecord>>();
  readonly #blobs = new Map<string, Promise<BlobFetch>>();

  /**
   * @param upstream the repository of that name at the other registry
   * @param ttlMs how long a tag is taken as it is here
   */
  constructor(
    private readonly registry: Registry,
    private readonly upstream: (repository: string) => RepositoryClient,
    private readonly ttlMs: number,
    private readonly metrics: Metrics,
    private readonly limit?: CacheLimit,
    private readonly now: () => number = Date.now,
  ) {}

  async manifest(repository: string, reference: ManifestReference): Promise<ManifestRecord> {
    const text = "digest" in reference ? reference.digest : reference.tag;
    const key = `${repository} ${text}`;
    const local = await ifKnown(this.registry.manifest(repository, reference));
    const isFresh = "digest" in reference || this.#isFresh(key);
    this.#count("manifest", local !== undefined && isFresh);
    if (local && isFresh) return local;
    try {
      const record = await shared(this.#manifests, key, () =>
        this.#fetchManifest(repository, reference, local),
      );
      this.#compared(key);
      return record;
    } catch (error) {
      if (isRefusal(error)) throw new DistributionError("MANIFEST_UNKNOWN", reference);
      if (local) return local;
      throw unavailable(error);
    }
  }

  /** When upstream has none, or does not answer, those that are here are all. */
  async bringReferrers(repository: string, subject: Digest): Promise<void> {
    const key = `${repository} referrers of ${subject}`;
    if (this.#isFresh(key)) return;
    try {
      const listed = await this.upstream(repository).referrers(
        subject,
        AbortSignal.timeout(referrersTimeoutMs),
      );
      for (const { digest } of listed.slice(0, maxReferrers)) await this.manifest(repository, { digest });
      this.#compared(key);
    } catch (error) {
      console.error(`registry: referrers of ${repository}@${subject}: ${messageOf(error)}`);
    }
  }

  #isFresh(key: string): boolean {
    return (this.#fresh.get(key) ?? 0) + this.ttlMs > this.now();
  }

  #compared(key: string): void {
    if (this.#fresh.size >= maxFresh) this.#fresh.clear();
    this.#fresh.set(key, this.now());
  }

  async openBlob(repository: string, digest: Digest): Promise<OpenBlob> {
    const local = await ifKnown(this.registry.openBlob(repository, digest));
    this.#count("blob", local !== undefined);
    this.limit?.used(digest);
    if (local) return local;
    const key = `${repository} ${digest}`;
    const running = this.#blobs.get(key);
    if (running) return await running;
    const size = await this.#upstreamSize(repository, digest);
    if (await this.registry.adoptBlob(repository, digest)) {
      return await this.registry.openBlob(repository, digest);
    }
    // Nothing is fetched before somebody reads.
    const fetched = () => this.#blobs.get(key) ?? this.#fetch(key, repository, digest, size);
    return { size, read: (start, end) => later(async () => (await fetched()).read(start, end)) };
  }

  async #upstreamSize(repository: string, digest: Digest): Promise<number> {
    let size: number | undefined;
    try {
      size = await this.upstream(repository).hasBlob(digest);
    } catch (error) {
      if (!isRefusal(error)) throw unavailable(error);
    }
    if (size === undefined) throw new DistributionError("BLOB_UNKNOWN", { digest });
    return size;
  }

  #fetch(key: string, repository: string, digest: Digest, size: number): Promise<BlobFetch> {
    const running = this.#beginFetch(repository, digest, size);
    this.#blobs.set(key, running);
    void running
      .then((fetch) => fetch.done)
      .then(() => this.limit?.added(digest, size))
      .catch((error) => console.error(`registry: ${repository}@${digest}: ${messageOf(error)}`))
      .finally(() => this.#blobs.delete(key));
    return running;
  }

  async #beginFetch(repository: string, digest: Digest, size: number): Promise<BlobFetch> {
    const ingest = await this.registry.blobs.ingest(randomUUID(), algorithmOf(digest));
    const descriptor = { mediaType: "application/octet-stream", digest, size };
    const client = this.upstream(repository);
    return new BlobFetch(ingest, size, {
      open: (offset) => client.blob(descriptor, offset),
      commit: () => this.registry.commitBlob(repository, ingest, digest),
      stored: (start, end) => this.registry.blobs.read(digest, start, end),
    });
  }

  async #fetchManifest(
    repository: string,
    reference: ManifestReference,
    local: ManifestRecord | undefined,
  ): Promise<ManifestRecord> {
    const text = "digest" in reference ? reference.digest : reference.tag;
    const client = this.upstream(repository);
    // A HEAD is no pull where those are counted (Docker Hub's limits).
    if (local && (await client.manifestDigest(text)) === local.digest) return local;
    const { descriptor, bytes } = await client.manifest(text);
    if (local?.digest === descriptor.digest) return local;
    const body = parseManifest(bytes, descriptor.mediaType);
    const tags = "tag" in reference ? [reference.tag] : [];
    const nothing = { blobs: [], manifests: [] };
    await this.registry.putManifest(repository, descriptor.digest, bytes, body, tags, nothing);
    return await this.registry.manifest(repository, { digest: descriptor.digest });
  }

  #count(kind: string, isHit: boolean): void {
    this.metrics.count("proxy_total", `kind="${kind}",result="${isHit ? "hit" : "miss"}"`);
  }
}

/** One run of `task` for all who ask for `key` meanwhile; a failed one is forgotten, a finished one too. */
async function shared<T>(running: Map<string, Promise<T>>, key: string, task: () => Promise<T>): Promise<T> {
  const current = running.get(key) ?? task();
  running.set(key, current);
  try {
    return await current;
  } finally {
    if (running.get(key) === current) running.delete(key);
  }
}

/** A stream that is opened when it is first read. */
function later(open: () => Promise<ReadableStream<Uint8Array>>): ReadableStream<Uint8Array> {
  let opened: AsyncIterator<Uint8Array> | undefined;
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        opened ??= (await open())[Symbol.asyncIterator]();
        const { done, value } = await opened.next();
        if (done) controller.close();
        else controller.enqueue(value);
      },
      async cancel() {
        await opened?.return?.();
      },
    },
    { highWaterMark: 0 },
  );
}

async function ifKnown<T>(found: Promise<T>): Promise<T | undefined> {
  try {
    return await found;
  } catch (error) {
    if (error instanceof DistributionError && error.status === 404) return undefined;
    throw error;
  }
}

/** Upstream has answered, and the answer is no. */
function isRefusal(error: unknown): boolean {
  return error instanceof NotFound || error instanceof Unauthorized || error instanceof Forbidden;
}

function unavailable(error: unknown): Error {
  if (error instanceof DistributionError) return error;
  return new DistributionError("UNAVAILABLE", undefined, { message: `upstream: ${messageOf(error)}` });
}
