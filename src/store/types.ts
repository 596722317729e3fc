/**
 * What the store promises. Content is immutable bytes named by their digest; a snapshot is a directory tree
 * made of overlay layers; metadata is SQLite. Garbage is what no image, container, build record or lease reaches.
 */
import type { Readable } from "node:stream";
import type { Digest } from "../lib/digest.ts";
import type { IdMap } from "../lib/id-map.ts";
import type { Descriptor, ImageConfig, Platform } from "../lib/oci.ts";

/** Content-addressed blobs on disk: `<root>/content/blobs/sha256/<hex>`, ingests in `<root>/content/ingest/`. */
export interface ContentStore {
  has(digest: Digest): boolean;
  /** Size in bytes. @throws NotFound */
  size(digest: Digest): number;
  /** Absolute path of the blob, for readers that want a file. @throws NotFound */
  path(digest: Digest): string;
  /** Streams the blob, optionally a byte range (end exclusive). @throws NotFound */
  open(digest: Digest, range?: { start?: number; end?: number }): Readable;
  /** The whole blob; refuses one over `limit` bytes (default 8 MiB). @throws NotFound, TooLarge */
  bytes(digest: Digest, limit?: number): Promise<Uint8Array>;
  /**
   * Starts or resumes the ingest named `ref` (any string; stored hashed). Two live ingests of one ref wait for
   * each other. `resume: true` keeps what an interrupted ingest left: `offset` says how much.
   */
  ingest(ref: string, options?: { resume?: boolean }): Promise<Ingest>;
  /**
   * Takes a file that nobody writes any more, on the store's filesystem, as a blob: it is hashed, verified, synced and
   * moved in, not copied. @throws InvalidParameter when digest or size differ from what is expected
   * @param known what was computed while the files were written, so that this one need not be read again
   */
  take(path: string, expected?: { digest?: Digest; size?: number }, known?: FileDigests): Promise<Digest>;
  /** Stores bytes already in memory. */
  put(bytes: Uint8Array | string): Promise<Digest>;
  remove(digest: Digest): void;
  list(): Iterable<{ digest: Digest; size: number }>;
}

/** Digests of files by their identity (`FileStat.id`): no name, link or rename can lend one to another file. */
export type FileDigests = ReadonlyMap<string, Digest>;

export interface Ingest {
  /** Bytes already written. */
  readonly offset: number;
  write(chunk: Uint8Array): Promise<void>;
  /**
   * fsync, verify, rename into place. @throws InvalidParameter when digest or size differ from what is
   * expected (the ingest is then discarded).
   */
  commit(expected?: { digest?: Digest; size?: number }): Promise<{ digest: Digest; size: number }>;
  /** Closes; keeps the partial bytes for a resume when `keep`. Safe after commit. */
  close(options?: { keep?: boolean }): Promise<void>;
}

/** A mount as mount(2) takes it. */
export interface Mount {
  type: string;
  source: string;
  /** Comma-separated data and flag words: `lowerdir=...`, `ro`, `nosuid`. */
  options: string[];
}

export type SnapshotKind = "committed" | "active";
export interface SnapshotInfo {
  key: string;
  parent?: string;
  kind: SnapshotKind;
  /** Bytes and inodes in this snapshot's own layer; set at commit. */
  size?: number;
  createdAt: number;
}

/**
 * Overlay snapshots. A committed one is read-only and named by chain id (OCI image-spec, config.md "Layer
 * ChainID") or by the builder's own key; an active one is writable. State is in the metadata database, trees in
 * `<root>/snapshots/<n>/{fs,work}`.
 */
export interface Snapshots {
  /** The directory that all trees are in. */
  readonly root: string;
  stat(key: string): SnapshotInfo | undefined;
  /** A writable snapshot on `parent` (none: an empty tree). @throws NotFound parent, Conflict key taken */
  prepare(key: string, parent?: string): SnapshotInfo;
  /** The mounts that give the whole tree; read-only for a committed key. Many layers are handled. @throws NotFound */
  mounts(key: string): Mount[];
  /** The directory of the snapshot's own layer (overlay "upper"). */
  upperDir(key: string): string;
  /** Makes the active `key` the committed `name`; its size is measured (or given). @throws Conflict name taken */
  commit(name: string, key: string, size?: number): Promise<SnapshotInfo>;
  /** Removes a snapshot that no other has as parent. @throws NotFound, Conflict when it is a parent */
  remove(key: string): void;
  /** Bytes used by the snapshot's own layer, measured now for an active one. */
  usage(key: string): Promise<{ bytes: number; inodes: number }>;
  list(): SnapshotInfo[];
  /**
   * Mounts `key` at `target` (created if missing); release unmounts.
   * @param view another mount of `root` to take the trees from
   */
  mountAt(key: string, target: string, view?: string): void;
  unmount(target: string): void;
}

/** What an archive may unpack to before it is refused. */
export interface LayerLimits {
  /** Bytes; when not given, 4 GiB or 100 times the archive's own size, whichever is more. */
  maxBytes?: number;
  /** Files, directories and links; two million when not given. */
  maxEntries?: number;
}

/** Bytes are of files' contents, uncompressed. */
export interface LayerWeight {
  bytes: number;
  files: number;
  /** Of `bytes`, what later layers overwrite or delete. */
  wasted: number;
}

export interface WeighedFile {
  path: string;
  size: number;
  /** Index of the layer that has it. */
  layer: number;
}

export interface WeighedWaste extends WeighedFile {
  /** Index of the layer that made it useless. */
  by: number;
  how: "overwritten" | "deleted";
}

export interface Weights {
  layers: LayerWeight[];
  files: WeighedFile[];
  waste: WeighedWaste[];
}

/** Layer tars to trees and back; runs in workers, so the daemon's thread stays free. */
export interface Layers {
  /**
   * Unpacks a layer blob (gzip, zstd or plain, told by content) over `parent` as committed snapshot `chainId`;
   * a no-op when that snapshot is there. Checks the uncompressed digest. Paths and links never leave the root.
   * The parent needs to be there only when `below` resolves: the layers of an image unpack side by side, and are
   * committed base first. `onRead` hears from time to time how many bytes of the blob have been read.
   * @throws InvalidParameter wrong diffId, truncated or malformed archive, escaping path; TooLarge over the store's
   *   limits; NoSpace. Nothing stays behind
   */
  unpack(
    blob: Digest,
    expect: {
      diffId: Digest;
      chainId: string;
      parent?: string;
      below?: Promise<void>;
      onRead?: (bytes: number) => void;
    },
    signal?: AbortSignal,
  ): Promise<void>;
  /**
   * Packs the own layer of an active or committed snapshot as a layer tar (overlay whiteouts become `.wh.`
   * entries, OCI image-spec layer.md), compressed, into the content store.
   */
  pack(
    key: string,
    options?: { compression?: "gzip" | "zstd" | "none"; level?: number; epoch?: number },
    signal?: AbortSignal,
  ): Promise<{ descriptor: Descriptor; diffId: Digest }>;
  /** A layer blob's content, compressed otherwise, into the content store. @throws NotFound, InvalidParameter, NoSpace */
  recompress(
    blob: Digest,
    options: { compression: "gzip" | "zstd" | "none"; level?: number },
    signal?: AbortSignal,
  ): Promise<{ descriptor: Descriptor; diffId: Digest }>;
  /** Extracts a tar stream (any compression) into a directory; for ADD and archive PUT. */
  extract(
    tar: Readable,
    directory: string,
    options?: {
      limits?: LayerLimits;
      owner?: { uid: number; gid: number };
      /** Owners in the archive are ids of this namespace. */
      idMap?: IdMap;
      noOverwriteDirNonDir?: boolean;
    },
    signal?: AbortSignal,
  ): Promise<void>;
  /**
   * Extracts a build context (any compression) as root's files without extended attributes.
   * @returns hashes of the files' content (lib/content-hash.ts) by inode number; those of sparse files are left out
   */
  receiveContext(
    archive: Readable,
    directory: string,
    signal?: AbortSignal,
  ): Promise<ReadonlyMap<number, string>>;
  /**
   * Extracts an archive of images (any compression) into a directory, as root's files. Layers in it are unpacked while
   * the archive still comes, ahead of `unpack`; what that has not asked for when the result is disposed is dropped.
   * @param onLayer hears of large layers as they begin
   * @throws as `extract`
   */
  receive(
    archive: Readable,
    directory: string,
    signal?: AbortSignal,
    onLayer?: (layer: ArrivingLayer) => void,
  ): Promise<ReceivedArchive>;
  /** Bytes of the files and number of inodes below a directory; hard links count once. */
  measure(directory: string, signal?: AbortSignal): Promise<{ bytes: number; inodes: number }>;
  /**
   * What each of an image's layer blobs (base first) adds, the `limit` biggest files, and the biggest of what later
   * layers overwrite or delete. @throws NotFound a blob, InvalidParameter malformed archive
   */
  weigh(blobs: Digest[], limit: number, signal?: AbortSignal): Promise<Weights>;
  /**
   * A tar stream of `path` below `root`, resolved inside root; entry names start with `as` (default: basename), and
   * owners are those that a namespace with `idMap` sees.
   */
  archive(root: string, path: string, options?: { as?: string; idMap?: IdMap }): Readable;
}

/** A layer that an archive is bringing. */
export interface ArrivingLayer {
  /** Path in the archive. */
  path: string;
  /** Bytes that it will have. */
  size: number;
  /** Bytes that have come. */
  arrived(): number;
}

/** An archive of images that has been extracted. */
export interface ReceivedArchive extends AsyncDisposable {
  /** Those of sparse files are left out. */
  readonly digests: FileDigests;
}

/** An image, or an artifact, as the store knows it. `id` is the digest of its config, as Docker's image id. */
export interface ImageRecord {
  id: Digest;
  manifest: Digest;
  manifestMediaType: string;
  config: ImageConfig;
  platform: Platform;
  /** In order, base first. */
  layers: { descriptor: Descriptor; diffId: Digest; chainId: string }[];
  /** Sum of the uncompressed sizes of the layers. */
  size: number;
  createdAt: number;
  /** It came as one of several of an index, beside the one that bears the names. */
  beside?: boolean;
  /** Set for what is no image, but is kept and named like one. Its id is its manifest's digest. */
  artifact?: { type: string; blobs: Digest[] };
}

/** One manifest of a target, and what of it is here. */
export interface TargetManifest {
  descriptor: Descriptor;
  kind: "image" | "attestation" | "unknown";
  /** The image's id, when it is here and unpacked. */
  image?: Digest;
  /** Digests of config and layers; set when all of them are here. */
  blobs?: Digest[];
  /** Of a referrer: the manifest or index that it is about. */
  subject?: Digest;
}

/**
 * What a name stands for: a manifest, or an index (whose bytes are kept) with its manifests in order. What an index
 * inside lists stands before that one, whose own `blobs` are empty when its bytes are here. Last come the referrers
 * that are here.
 */
export interface Target {
  descriptor: Descriptor;
  manifests: TargetManifest[];
}

/** A name, the image it is shown and run as, and the digest of its target. */
export interface ImageName {
  reference: string;
  id: Digest;
  target: Digest;
}

/**
 * Names to images. References are normalized (`docker.io/library/busybox:latest`,
 * `host:port/name@sha256:...`).
 */
export interface Images {
  /**
   * Registers a manifest whose blobs are all in the content store, unpacking its layers if it is an image's. `onLayer`
   * hears of each layer unpacked.
   */
  register(
    manifest: Descriptor,
    options?: { signal?: AbortSignal; onLayer?: (diffId: Digest) => void },
  ): Promise<ImageRecord>;
  /**
   * Registers an index whose bytes are in the content store, with all images of it that are here; names of the index
   * follow to the image that suits the host best. Call it again when more of it has come.
   * @throws NotFound when none of its images is here
   */
  registerIndex(
    index: Descriptor,
    options?: { signal?: AbortSignal },
  ): Promise<{ target: Target; image: ImageRecord }>;
  /** Keeps manifests that refer to a target, or to something of it, with it. @throws NotFound the target */
  refer(target: Digest, referrers: TargetManifest[]): void;
  get(id: Digest): ImageRecord | undefined;
  list(): ImageRecord[];
  /** All names; both tags and `name@digest`. */
  names(): ImageName[];
  /** The names that an image is shown under. */
  namesOf(id: Digest): ImageName[];
  nameOf(reference: string): ImageName | undefined;
  byName(reference: string): ImageRecord | undefined;
  /** Ids that begin with `prefix` (hex, without algorithm). */
  byPrefix(prefix: string): ImageRecord[];
  /** The target with that digest, or of the image whose manifest it is. */
  target(digest: Digest): Target | undefined;
  /** Images that names reach through an index only, and under another image's name. */
  members(): Set<Digest>;
  /** Images of indexes that no name speaks of any more. */
  orphans(): ImageRecord[];
  /** `target` is the image's own manifest when not given. */
  tag(reference: string, id: Digest, target?: Digest): void;
  untag(reference: string): void;
  /** Forgets the image and its names; layers that nothing else reaches are removed by `collect`. */
  remove(id: Digest): void;
  /**
   * Removes content and snapshots that no image, active snapshot, lease or pin reaches, and what interrupted ingests
   * have left a day ago, or at any time if `interrupted`. Returns bytes freed.
   */
  collect(options?: { interrupted?: boolean }): Promise<{ removed: Digest[]; bytes: number }>;
  /** Keeps blobs and committed snapshots from `collect` until released. In memory: for work in progress. */
  lease(): Lease;
  /** Names committed snapshots that `collect` must keep besides images', e.g. the build cache's. */
  addRoots(roots: () => Iterable<string>): void;
}

export interface Lease extends Disposable {
  addBlob(digest: Digest): void;
  addSnapshot(key: string): void;
}

/**
 * A table of JSON documents in SQLite with a primary key and optional unique columns computed from the document.
 */
export interface Table<T> {
  get(key: string): T | undefined;
  list(): T[];
  /** Insert or replace. @throws Conflict when a unique column is taken by another key */
  put(key: string, value: T): void;
  delete(key: string): boolean;
  by(column: string, value: string): T | undefined;
}

/** `<root>/gantry.db`, WAL, synchronous=NORMAL. */
export interface Metadata extends Disposable {
  table<T>(name: string, unique?: Record<string, (value: T) => string | undefined>): Table<T>;
  /** Runs `work` in one transaction; a throw rolls back. */
  transaction<R>(work: () => R): R;
}

export interface Store extends AsyncDisposable {
  readonly root: string;
  readonly metadata: Metadata;
  readonly content: ContentStore;
  readonly snapshots: Snapshots;
  readonly layers: Layers;
  readonly images: Images;
  /** What the file system below the snapshots is and can: names and values, as `docker info` has them. */
  driverStatus(): [string, string][];
  /** Reads a blob and compares it with its digest. @returns false also when it is gone */
  verify(digest: Digest, signal?: AbortSignal): Promise<boolean>;
}

/** Opens (creating) the store at `root`, and clears what a crash left half-done. Exported by store/index.ts. */
export type OpenStore = (root: string, options?: { limits?: LayerLimits }) => Promise<Store>;
