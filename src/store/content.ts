/** Blobs by digest on disk. A blob's file appears by rename only, complete, verified and synced. */
import { createReadStream, existsSync, mkdirSync, readdirSync, rmSync, statSync } from "node:fs";
import { type FileHandle, open, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { type Digest, digestOf, hexOf, isDigest } from "../lib/digest.ts";
import { explainFullDisk, InvalidParameter, NotFound, TooLarge } from "../lib/errors.ts";
import { statAt } from "../linux/fs.ts";
import { GroupCommit } from "./group-commit.ts";
import type { ContentStore, FileDigests, Ingest } from "./types.ts";

const defaultBytesLimit = 8 << 20;
const readSize = 1 << 20;
/** So long (milliseconds) partial ingests wait for who resumes them. */
export const ingestLifetime = 24 * 60 * 60 * 1000;

export class FileContentStore implements ContentStore {
  readonly #blobs: string;
  readonly #ingests: string;
  /** Refs being ingested, each with the end of its turn. */
  readonly #turns = new Map<string, Promise<void>>();
  readonly #directorySync: GroupCommit;
  /** Blobs whose writers have not heard of their commit yet; they can't have leased them. */
  readonly #arriving = new Set<Digest>();

  /** @param root `<store>/content` */
  constructor(root: string) {
    this.#blobs = join(root, "blobs/sha256");
    this.#ingests = join(root, "ingest");
    mkdirSync(this.#blobs, { recursive: true, mode: 0o700 });
    mkdirSync(this.#ingests, { recursive: true, mode: 0o700 });
    this.#directorySync = new GroupCommit(async () => {
      await using directory = await open(this.#blobs);
      await directory.sync();
    });
  }

  /** Drops partial ingests that nobody will resume. Only while nothing is being ingested. */
  clearStale(): void {
    for (const name of readdirSync(this.#ingests))
      if (!name.endsWith(".resume")) rmSync(join(this.#ingests, name), { force: true });
    this.dropPartial(new Set(), ingestLifetime);
  }

  /**
   * Drops partial ingests that rest for longer than `age` (milliseconds), but those of `refs`. @returns bytes freed
   */
  dropPartial(refs: ReadonlySet<string>, age: number): number {
    const kept = new Set([...refs].map((ref) => this.#ingestPath(ref, true)));
    let bytes = 0;
    for (const name of readdirSync(this.#ingests)) {
      const path = join(this.#ingests, name);
      const stat = statSync(path, { throwIfNoEntry: false });
      if (!stat || !name.endsWith(".resume") || this.#turns.has(path) || kept.has(path)) continue;
      if (Date.now() - stat.mtimeMs < age) continue;
      rmSync(path, { force: true });
      bytes += stat.size;
    }
    return bytes;
  }

  #ingestPath(ref: string, resume?: boolean): string {
    return join(this.#ingests, `${hexOf(digestOf(ref))}${resume ? ".resume" : ""}`);
  }

  has(digest: Digest): boolean {
    return existsSync(this.#file(digest));
  }

  size(digest: Digest): number {
    const stat = statSync(this.#file(digest), { throwIfNoEntry: false });
    if (!stat) throw new NotFound(`content ${digest}: not found`);
    return stat.size;
  }

  path(digest: Digest): string {
    if (!this.has(digest)) throw new NotFound(`content ${digest}: not found`);
    return this.#file(digest);
  }

  open(digest: Digest, range: { start?: number; end?: number } = {}): Readable {
    const path = this.path(digest);
    const { start = 0, end } = range;
    // node counts the end inclusively, so that it knows no empty range.
    if (end !== undefined && end <= start) return Readable.from([]);
    const last = end === undefined ? undefined : end - 1;
    return createReadStream(path, { start, end: last, highWaterMark: 256 << 10 });
  }

  async bytes(digest: Digest, limit = defaultBytesLimit): Promise<Uint8Array> {
    const size = this.size(digest);
    if (size > limit) throw new TooLarge(`content ${digest}: ${size} bytes, over the limit of ${limit}`);
    return readFile(this.#file(digest));
  }

  async ingest(ref: string, options: { resume?: boolean } = {}): Promise<Ingest> {
    const path = this.#ingestPath(ref, options.resume);
    const endTurn = await this.#turn(path);
    let file: FileHandle | undefined;
    try {
      file = await open(path, options.resume ? "a+" : "w+", 0o600);
      const hasher = new Bun.CryptoHasher("sha256");
      const offset = await hashFile(file, hasher);
      return new FileIngest(this, path, file, hasher, offset, endTurn);
    } catch (error) {
      await file?.close();
      endTurn();
      throw error;
    }
  }

  async take(path: string, expected: Expected = {}, known?: FileDigests): Promise<Digest> {
    await using file = await open(path);
    const found = known?.get(statAt(file.fd, "").id);
    const hasher = new Bun.CryptoHasher("sha256");
    const size = found ? (await file.stat()).size : await hashFile(file, hasher);
    const digest = verified(found ?? digestFrom(hasher), size, expected);
    await file.chmod(0o600);
    await this.adopt(path, digest);
    return digest;
  }

  async put(bytes: Uint8Array | string): Promise<Digest> {
    const digest = digestOf(bytes);
    if (this.has(digest)) return digest;
    const ingest = await this.ingest(`put ${digest}`);
    try {
      await ingest.write(typeof bytes === "string" ? Buffer.from(bytes) : bytes);
      await ingest.commit();
      return digest;
    } finally {
      await ingest.close();
    }
  }

  remove(digest: Digest): void {
    rmSync(this.#file(digest), { force: true });
  }

  *list(): Generator<{ digest: Digest; size: number }> {
    for (const name of readdirSync(this.#blobs)) {
      const digest = `sha256:${name}`;
      const stat = statSync(join(this.#blobs, name), { throwIfNoEntry: false });
      if (stat && isDigest(digest)) yield { digest, size: stat.size };
    }
  }

  /** True while the commit of this blob has not been told to who wrote it. */
  isArriving(digest: Digest): boolean {
    return this.#arriving.has(digest);
  }

  /** A path for a worker to write a blob to; it goes in by `adopt`. */
  scratchPath(): string {
    return join(this.#ingests, `scratch-${crypto.randomUUID()}`);
  }

  /** Takes the complete file at `path`, whose digest the caller has computed, as a blob. */
  async adopt(path: string, digest: Digest): Promise<void> {
    await using file = await open(path);
    await file.sync();
    this.#arriving.add(digest);
    try {
      await rename(path, this.#file(digest));
      await this.#directorySync.run();
    } finally {
      // After the continuation of who awaits this, which may lease the blob.
      setImmediate(() => this.#arriving.delete(digest));
    }
  }

  #file(digest: Digest): string {
    // sha512 has no place here: no registry or builder makes such layers.
    if (!isDigest(digest) || !digest.startsWith("sha256:"))
      throw new InvalidParameter(`unsupported digest ${JSON.stringify(digest)}: sha256 is wanted`);
    return join(this.#blobs, hexOf(digest));
  }

  /** Waits until no other ingest has the path; the result ends this one's turn. */
  async #turn(path: string): Promise<() => void> {
    while (this.#turns.has(path)) await this.#turns.get(path);
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#turns.set(path, promise);
    return () => {
      this.#turns.delete(path);
      resolve();
    };
  }
}

interface Expected {
  digest?: Digest;
  size?: number;
}

const digestFrom = (hasher: Bun.CryptoHasher): Digest => `sha256:${hasher.digest("hex")}`;

/** The digest that was found. @throws InvalidParameter when it or the size is not what is expected */
function verified(digest: Digest, size: number, expected: Expected): Digest {
  if (expected.size !== undefined && expected.size !== size)
    throw new InvalidParameter(
      `content ${expected.digest ?? ""}: expected ${expected.size} bytes, got ${size}`.replace("  ", " "),
    );
  if (expected.digest !== undefined && expected.digest !== digest)
    throw new InvalidParameter(`content digest mismatch: expected ${expected.digest}, got ${digest}`);
  return digest;
}

async function hashFile(file: FileHandle, hasher: Bun.CryptoHasher): Promise<number> {
  const buffer = Buffer.allocUnsafe(readSize);
  for (let offset = 0; ; ) {
    const { bytesRead } = await file.read(buffer, 0, buffer.length, offset);
    if (bytesRead === 0) return offset;
    hasher.update(buffer.subarray(0, bytesRead));
    offset += bytesRead;
  }
}

class FileIngest implements Ingest {
  #offset: number;
  #open = true;

  constructor(
    private readonly store: FileContentStore,
    private readonly path: string,
    private readonly file: FileHandle,
    private readonly hasher: Bun.CryptoHasher,
    offset: number,
    private readonly endTurn: () => void,
  ) {
    this.#offset = offset;
  }

  get offset(): number {
    return this.#offset;
  }

  async write(chunk: Uint8Array): Promise<void> {
    for (let at = 0; at < chunk.length; ) {
      const { bytesWritten } = await this.file
        .write(chunk, at, chunk.length - at, this.#offset)
        .catch((error: unknown) => {
          throw explainFullDisk(error, "cannot store content");
        });
      // What a resume finds in the file is hashed again, so hash and file never part.
      this.hasher.update(chunk.subarray(at, at + bytesWritten));
      at += bytesWritten;
      this.#offset += bytesWritten;
    }
  }

  async commit(expected: Expected = {}): Promise<{ digest: Digest; size: number }> {
    if (!this.#open) throw new InvalidParameter("the ingest is closed");
    const size = this.#offset;
    try {
      const digest = verified(digestFrom(this.hasher), size, expected);
      await this.store.adopt(this.path, digest);
      return { digest, size };
    } finally {
      await this.close();
    }
  }

  async close(options: { keep?: boolean } = {}): Promise<void> {
    if (!this.#open) return;
    this.#open = false;
    try {
      await this.file.close();
      // After a commit the path is gone already.
      if (!options.keep) await rm(this.path, { force: true });
    } finally {
      this.endTurn();
    }
  }
}
