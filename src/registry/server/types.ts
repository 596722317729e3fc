/**
 * What the registry keeps, and what keeps it. Bytes live in a `BlobStore`, everything that gives them a name in a
 * `MetadataStore`; a byte string is there once, however many repositories hold it.
 */
import type { Digest } from "../../lib/digest.ts";

/** Content by digest. */
export interface BlobStore {
  /** Size in bytes; undefined: not there. */
  size(digest: Digest): Promise<number | undefined>;
  /** A lazy handle on bytes `start` to `end` (exclusive) of a blob that is there; nothing is read yet. */
  read(digest: Digest, start: number, end: number): BlobBytes;
  /** Begins to write a blob whose digest is not known yet. `id` is a UUID; `algorithm` the likely one of the digest. */
  ingest(id: string, algorithm?: HashAlgorithm): Promise<BlobIngest>;
  /** Takes up an ingest that this or an earlier process began; undefined: there is none. */
  resume(id: string): Promise<BlobIngest | undefined>;
  remove(digest: Digest): Promise<void>;
  /** Every blob, in no order. */
  list(): AsyncIterable<Digest>;
  /** Every ingest that is neither published nor discarded, with the time of its last write, ms since the epoch. */
  ingests(): AsyncIterable<{ id: string; writtenAt: number }>;
}

/** What a `Response` takes as its body; files are sent by the kernel. */
export type BlobBytes = Blob | ReadableStream<Uint8Array>;
export type HashAlgorithm = "sha256" | "sha512";

/** One blob on its way in; not visible before `publish`, and there after a restart. */
export interface BlobIngest {
  readonly id: string;
  /** Bytes that have arrived. */
  readonly offset: number;
  /** Appends; when `chunks` fails, what came before stays and `offset` counts it; when writing fails, it is over. */
  append(chunks: AsyncIterable<Uint8Array>): Promise<void>;
  /** Bytes `start` to `end` (exclusive) of those that have arrived. Fails once the ingest is over. */
  read(start: number, end: number): BlobBytes;
  /** Makes the bytes durable and gives whether they have this digest. Call `publish` or `discard` next. */
  verify(digest: Digest): Promise<boolean>;
  /** Puts the verified bytes under their digest at once. The ingest is over. */
  publish(digest: Digest): Promise<void>;
  /** Lets go of what is open, and keeps the bytes for `resume`. */
  close(): Promise<void>;
  /** Drops the bytes. The ingest is over; after `publish` it does nothing. */
  discard(): Promise<void>;
}

export interface ManifestRecord {
  digest: Digest;
  mediaType: string;
  size: number;
  /** What this manifest is about (image-spec, "subject"). */
  subject?: Digest;
  artifactType?: string;
  annotations?: Record<string, string>;
}

/** What a manifest needs in its repository. */
export interface References {
  blobs: Digest[];
  manifests: Digest[];
}

/** Which repository holds which blobs, manifests and tags. A repository exists while it holds something. */
export interface MetadataStore {
  hasRepository(repository: string): Promise<boolean>;
  /** Names of repositories with manifests in byte order, after `after`, at most `limit`. */
  repositories(after: string, limit: number): Promise<string[]>;

  /** Makes the blob one of the repository's. `now`: ms since the epoch, as all times here. */
  linkBlob(repository: string, digest: Digest, now: number): Promise<void>;
  /** Puts the time of the link to `now`, so that collection waits. @returns whether it is linked */
  renewBlob(repository: string, digest: Digest, now: number): Promise<boolean>;
  hasBlob(repository: string, digest: Digest): Promise<boolean>;
  /** `before`: only when it was linked, and last renewed, before that time. @returns whether it was unlinked */
  unlinkBlob(repository: string, digest: Digest, before?: number): Promise<boolean>;
  /** Blobs that were linked, and last renewed, before `time`. */
  blobsLinkedBefore(repository: string, time: number): Promise<Digest[]>;

  /**
   * Adds the manifest, points `tags` at it and renews what it refers to, all or nothing.
   * @returns what `references` names and the repository does not hold; nothing was changed then
   */
  putManifest(
    repository: string,
    manifest: ManifestRecord,
    tags: string[],
    references: References,
    now: number,
  ): Promise<Digest | undefined>;
  manifest(repository: string, digest: Digest): Promise<ManifestRecord | undefined>;
  /** Takes its tags with it. `untaggedBefore`: only when it has none and was pushed before. @returns whether it went */
  deleteManifest(repository: string, digest: Digest, untaggedBefore?: number): Promise<boolean>;
  /** All manifests of the repository, for collection. */
  manifests(repository: string): Promise<{ digest: Digest; isTagged: boolean; pushedAt: number }[]>;
  /** Manifests with this subject, in order of their digests. */
  referrers(repository: string, subject: Digest): Promise<ManifestRecord[]>;

  tag(repository: string, tag: string): Promise<Digest | undefined>;
  tags(repository: string, after: string, limit: number): Promise<string[]>;
  deleteTag(repository: string, tag: string): Promise<boolean>;

  /** Names of repositories that hold blobs, manifests or both. */
  allRepositories(): Promise<string[]>;

  /** Which repository an upload belongs to. Ids are UUIDs. */
  beginUpload(id: string, repository: string): Promise<void>;
  uploadRepository(id: string): Promise<string | undefined>;
  endUpload(id: string): Promise<void>;

  /** Whether any repository holds this digest as blob or manifest. */
  isReferenced(digest: Digest): Promise<boolean>;
  close(): void;
}
