/** The registry without HTTP: keeps bytes and names in step. */
import type { Digest } from "../../lib/digest.ts";
import { Mutex } from "../../lib/mutex.ts";
import { DistributionError } from "./errors.ts";
import type { ManifestBody } from "./manifest-body.ts";
import type { BlobIngest, BlobStore, ManifestRecord, MetadataStore } from "./types.ts";
import { UploadSessions } from "./uploads.ts";

export class Registry {
  readonly uploads: UploadSessions;
  /** Held from looking whether bytes are still named to removing them, and from placing bytes to naming them. */
  readonly #naming = new Mutex();

  constructor(
    readonly blobs: BlobStore,
    readonly metadata: MetadataStore,
  ) {
    this.uploads = new UploadSessions(blobs);
  }

  /**
   * Ends an ingest: the bytes are in the repository when it returns.
   * @throws DistributionError DIGEST_INVALID; the bytes are gone then
   */
  async commitBlob(repository: string, ingest: BlobIngest, digest: Digest): Promise<void> {
    await this.#commit(ingest, digest, () => this.metadata.linkBlob(repository, digest));
  }

  /** Makes a blob of `from` one of `to` as well. @returns false when `from` does not have it */
  async mountBlob(from: string, to: string, digest: Digest): Promise<boolean> {
    return await this.#naming.run(async () => {
      if (!(await this.metadata.hasBlob(from, digest))) return false;
      await this.metadata.linkBlob(to, digest);
      return true;
    });
  }

  /** @throws DistributionError BLOB_UNKNOWN */
  async blobSize(repository: string, digest: Digest): Promise<number> {
    const size = (await this.metadata.hasBlob(repository, digest))
      ? await this.blobs.size(digest)
      : undefined;
    if (size === undefined) throw new DistributionError("BLOB_UNKNOWN", { digest });
    return size;
  }

  /** @throws DistributionError BLOB_UNKNOWN */
  async deleteBlob(repository: string, digest: Digest): Promise<void> {
    await this.#naming.run(async () => {
      if (!(await this.metadata.unlinkBlob(repository, digest))) {
        throw new DistributionError("BLOB_UNKNOWN", { digest });
      }
      await this.#removeIfUnnamed(digest);
    });
  }

  /** @throws DistributionError MANIFEST_BLOB_UNKNOWN, DIGEST_INVALID */
  async putManifest(
    repository: string,
    digest: Digest,
    bytes: Uint8Array,
    body: ManifestBody,
    tag?: string,
  ): Promise<void> {
    await this.#checkReferences(repository, body);
    const { mediaType, subject, artifactType, annotations } = body;
    const record = { digest, mediaType, subject, artifactType, annotations, size: bytes.length };
    const ingest = await this.blobs.ingest();
    await ingest.append(once(bytes));
    await this.#commit(ingest, digest, () => this.metadata.putManifest(repository, record, tag));
  }

  /** `reference`: a digest, or a tag. @throws DistributionError MANIFEST_UNKNOWN */
  async manifest(
    repository: string,
    reference: { digest: Digest } | { tag: string },
  ): Promise<ManifestRecord> {
    const digest =
      "digest" in reference ? reference.digest : await this.metadata.tag(repository, reference.tag);
    const found = digest && (await this.metadata.manifest(repository, digest));
    if (!found) throw new DistributionError("MANIFEST_UNKNOWN", reference);
    return found;
  }

  /** A tag goes alone; a digest takes its tags with it. @throws DistributionError MANIFEST_UNKNOWN */
  async deleteManifest(repository: string, reference: { digest: Digest } | { tag: string }): Promise<void> {
    await this.#naming.run(async () => {
      const done =
        "digest" in reference
          ? await this.metadata.deleteManifest(repository, reference.digest)
          : await this.metadata.deleteTag(repository, reference.tag);
      if (!done) throw new DistributionError("MANIFEST_UNKNOWN", reference);
      if ("digest" in reference) await this.#removeIfUnnamed(reference.digest);
    });
  }

  /** Removes bytes that nothing names: what a crash left between placing and naming. */
  async sweep(): Promise<void> {
    for await (const digest of this.blobs.list()) {
      await this.#naming.run(() => this.#removeIfUnnamed(digest));
    }
  }

  async #commit(ingest: BlobIngest, digest: Digest, name: () => Promise<void>): Promise<void> {
    try {
      if (!(await ingest.verify(digest))) throw new DistributionError("DIGEST_INVALID", { digest });
      await this.#naming.run(async () => {
        await ingest.publish(digest);
        await name();
      });
    } finally {
      await ingest.discard();
    }
  }

  async #removeIfUnnamed(digest: Digest): Promise<void> {
    if (!(await this.metadata.isReferenced(digest))) await this.blobs.remove(digest);
  }

  async #checkReferences(repository: string, { blobs, manifests }: ManifestBody): Promise<void> {
    const isThere = await Promise.all([
      ...blobs.map((digest) => this.metadata.hasBlob(repository, digest)),
      ...manifests.map(async (digest) => (await this.metadata.manifest(repository, digest)) !== undefined),
    ]);
    const missing = [...blobs, ...manifests].find((_, i) => !isThere[i]);
    if (missing) throw new DistributionError("MANIFEST_BLOB_UNKNOWN", { digest: missing });
  }
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
