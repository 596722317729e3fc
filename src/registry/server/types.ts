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
  read(digest: Digest, start: number, end: number): Blob;
  /** Begins to write a blob whose digest is not known yet. */
  ingest(): Promise<BlobIngest>;
  remove(digest: Digest): Promise<void>;
  /** Every blob, in no order. */
  list(): AsyncIterable<Digest>;
}

/** One blob on its way in; not visible before `commit`. */
export interface BlobIngest {
  /** Bytes that have arrived. */
  readonly offset: number;
  /** Appends; when `chunks` fails, what came before stays and `offset` counts it; when writing fails, it is over. */
  append(chunks: AsyncIterable<Uint8Array>): Promise<void>;
  /** Makes the bytes durable and gives whether they have this digest. Call `publish` or `discard` next. */
  verify(digest: Digest): Promise<boolean>;
  /** Puts the verified bytes under their digest at once. The ingest is over. */
  publish(digest: Digest): Promise<void>;
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

/** Which repository holds which blobs, manifests and tags. A repository exists while it holds something. */
export interface MetadataStore {
  hasRepository(repository: string): Promise<boolean>;
  /** Names in byte order, after `after`, at most `limit`. */
  repositories(after: string, limit: number): Promise<string[]>;

  linkBlob(repository: string, digest: Digest): Promise<void>;
  hasBlob(repository: string, digest: Digest): Promise<boolean>;
  /** @returns whether it was linked */
  unlinkBlob(repository: string, digest: Digest): Promise<boolean>;

  /** Adds the manifest and points `tag` at it, both or neither. */
  putManifest(repository: string, manifest: ManifestRecord, tag?: string): Promise<void>;
  manifest(repository: string, digest: Digest): Promise<ManifestRecord | undefined>;
  /** Takes its tags with it. @returns whether it was there */
  deleteManifest(repository: string, digest: Digest): Promise<boolean>;
  /** Manifests with this subject. */
  referrers(repository: string, subject: Digest): Promise<ManifestRecord[]>;

  tag(repository: string, tag: string): Promise<Digest | undefined>;
  tags(repository: string, after: string, limit: number): Promise<string[]>;
  deleteTag(repository: string, tag: string): Promise<boolean>;

  /** Whether any repository holds this digest as blob or manifest. */
  isReferenced(digest: Digest): Promise<boolean>;
  close(): void;
}
