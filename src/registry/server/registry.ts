/** The registry without HTTP: keeps bytes and names in step. */
import { randomUUID } from "node:crypto";
import type { Digest } from "../../lib/digest.ts";
import { KeyedMutex } from "../../lib/mutex.ts";
import { ByteCache } from "./byte-cache.ts";
import { DistributionError } from "./errors.ts";
import { algorithmOf } from "./hash.ts";
import type { ManifestBody } from "./manifest-body.ts";
import type { BlobBytes, BlobIngest, BlobStore, ManifestRecord, MetadataStore, References } from "./types.ts";
import { UploadSessions } from "./uploads.ts";

/** Manifests kept in memory; their bytes never change. Bytes. */
const manifestCacheSize = 16 * 1024 * 1024;

/** A tag or a digest: what follows `manifests/`. */
export type ManifestReference = { digest: Digest } | { tag: string };

/** A blob that can be read. */
export interface OpenBlob {
  /** Bytes. */
  readonly size: number;
  /** Bytes `start` to `end`, exclusive. */
  read(start: number, end: number): BlobBytes;
}

/** Where a pull gets its content: the registry itself, or a cache of another one. */
export interface ContentSource {
  /** @throws DistributionError MANIFEST_UNKNOWN */
  manifest(repository: string, reference: ManifestReference): Promise<ManifestRecord>;
  /** @throws DistributionError BLOB_UNKNOWN */
  openBlob(repository: string, digest: Digest): Promise<OpenBlob>;
  /** Sees that what refers to a manifest is here, as far as it can. */
  bringReferrers(repository: string, subject: Digest): Promise<void>;
}

export class Registry implements ContentSource {
  readonly uploads: UploadSessions;
  /** Held from looking whether bytes are still named to removing them, and from placing bytes to naming them. */
  readonly #naming = new KeyedMutex<Digest>();
  readonly #manifests = new ByteCache(manifestCacheSize);

  constructor(
    readonly blobs: BlobStore,
    readonly metadata: MetadataStore,
    private readonly now: () => number = Date.now,
  ) {
    this.uploads = new UploadSessions(blobs, metadata, now);
  }

  /**
   * Ends an ingest: the bytes are in the repository when it returns.
   * @throws DistributionError DIGEST_INVALID; the bytes are gone then
   */
  async commitBlob(repository: string, ingest: BlobIngest, digest: Digest): Promise<void> {
    await this.#commit(ingest, digest, () => this.metadata.linkBlob(repository, digest, this.now()));
  }

  /** Makes a blob of `from` one of `to` as well. @returns false when `from` does not have it */
  async mountBlob(from: string, to: string, digest: Digest): Promise<boolean> {
    return await this.#naming.run(digest, async () => {
      if (!(await this.metadata.hasBlob(from, digest))) return false;
      await this.metadata.linkBlob(to, digest, this.now());
      return true;
    });
  }

  /** @throws DistributionError BLOB_UNKNOWN */
  /** All that there is, is here. */
  async bringReferrers(): Promise<void> {}

  async openBlob(repository: string, digest: Digest): Promise<OpenBlob> {
    const size = (await this.metadata.hasBlob(repository, digest))
      ? await this.blobs.size(digest)
      : undefined;
    if (size === undefined) throw new DistributionError("BLOB_UNKNOWN", { digest });
    return { size, read: (start, end) => this.blobs.read(digest, start, end) };
  }

  /** Makes bytes that are here for another repository this one's as well. @returns false when they are not here */
  async adoptBlob(repository: string, digest: Digest): Promise<boolean> {
    return await this.#naming.run(digest, async () => {
      if ((await this.blobs.size(digest)) === undefined) return false;
      await this.metadata.linkBlob(repository, digest, this.now());
      return true;
    });
  }

  /** A client that asks whether a blob is there may be about to name it: collection shall wait. */
  async renewBlob(repository: string, digest: Digest): Promise<void> {
    await this.metadata.renewBlob(repository, digest, this.now());
  }

  /** @throws DistributionError BLOB_UNKNOWN */
  async deleteBlob(repository: string, digest: Digest): Promise<void> {
    if (!(await this.metadata.unlinkBlob(repository, digest))) {
      throw new DistributionError("BLOB_UNKNOWN", { digest });
    }
    await this.removeIfUnnamed(digest);
  }

  /**
   * @param references what must be in the repository; a cache of another registry asks for nothing
   * @throws DistributionError MANIFEST_BLOB_UNKNOWN, DIGEST_INVALID
   */
  async putManifest(
    repository: string,
    digest: Digest,
    bytes: Uint8Array,
    body: ManifestBody,
    tags: string[],
    references: References = body,
  ): Promise<void> {
    const { mediaType, subject, artifactType, annotations } = body;
    const record = { digest, mediaType, subject, artifactType, annotations, size: bytes.length };
    const ingest = await this.blobs.ingest(randomUUID(), algorithmOf(digest));
    await ingest.append(once(bytes));
    let missing: Digest | undefined;
    await this.#commit(ingest, digest, async () => {
      missing = await this.metadata.putManifest(repository, record, tags, references, this.now());
    });
    if (missing === undefined) return;
    await this.removeIfUnnamed(digest);
    throw new DistributionError("MANIFEST_BLOB_UNKNOWN", { digest: missing });
  }

  /** @throws DistributionError MANIFEST_UNKNOWN */
  async manifest(repository: string, reference: ManifestReference): Promise<ManifestRecord> {
    const digest =
      "digest" in reference ? reference.digest : await this.metadata.tag(repository, reference.tag);
    const found = digest && (await this.metadata.manifest(repository, digest));
    if (!found) throw new DistributionError("MANIFEST_UNKNOWN", reference);
    return found;
  }

  /** @throws DistributionError MANIFEST_UNKNOWN when it was deleted meanwhile */
  async manifestBytes({ digest, size }: ManifestRecord): Promise<Uint8Array<ArrayBuffer>> {
    const cached = this.#manifests.get(digest);
    if (cached) return cached;
    const bytes = await this.#readManifest(digest, size);
    this.#manifests.set(digest, bytes);
    return bytes;
  }

  /** A tag goes alone; a digest takes its tags with it. @throws DistributionError MANIFEST_UNKNOWN */
  async deleteManifest(repository: string, reference: ManifestReference): Promise<void> {
    const done =
      "digest" in reference
        ? await this.metadata.deleteManifest(repository, reference.digest)
        : await this.metadata.deleteTag(repository, reference.tag);
    if (!done) throw new DistributionError("MANIFEST_UNKNOWN", reference);
    if ("digest" in reference) await this.removeIfUnnamed(reference.digest);
  }

  /** @returns whether the bytes were named by nothing, and are gone */
  async removeIfUnnamed(digest: Digest): Promise<boolean> {
    return await this.#naming.run(digest, async () => {
      if (await this.metadata.isReferenced(digest)) return false;
      await this.blobs.remove(digest);
      return true;
    });
  }

  async #readManifest(digest: Digest, size: number): Promise<Uint8Array<ArrayBuffer>> {
    try {
      return new Uint8Array(await new Response(this.blobs.read(digest, 0, size)).arrayBuffer());
    } catch (error) {
      if (await this.metadata.isReferenced(digest)) throw error;
      throw new DistributionError("MANIFEST_UNKNOWN", { digest });
    }
  }

  async #commit(ingest: BlobIngest, digest: Digest, name: () => Promise<void>): Promise<void> {
    try {
      if (!(await ingest.verify(digest))) throw new DistributionError("DIGEST_INVALID", { digest });
      await this.#naming.run(digest, async () => {
        await ingest.publish(digest);
        await name();
      });
    } finally {
      await ingest.discard();
    }
  }
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
