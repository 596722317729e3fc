/** Blobs as files: `blobs/sha256/ab/abcd…`, and `ingest/<uuid>` for those on their way in. */
import { type FileHandle, mkdir, open, readdir, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { type Digest, hexOf, isDigest } from "../../lib/digest.ts";
import { algorithmOf, RunningHash } from "./hash.ts";
import type { BlobIngest, BlobStore, HashAlgorithm } from "./types.ts";

/** Opens the store below `root`, which it makes. */
export async function openFileBlobs(root: string): Promise<BlobStore> {
  const ingestDir = join(root, "ingest");
  await mkdir(ingestDir, { recursive: true });
  await mkdir(join(root, "blobs"), { recursive: true });
  return new FileBlobs(root, ingestDir);
}

class FileBlobs implements BlobStore {
  constructor(
    private readonly root: string,
    private readonly ingestDir: string,
  ) {}

  async size(digest: Digest): Promise<number | undefined> {
    const found = await stat(this.#path(digest)).catch(undefinedIfMissing);
    return found?.size;
  }

  read(digest: Digest, start: number, end: number): Blob {
    return Bun.file(this.#path(digest)).slice(start, end);
  }

  async ingest(id: string, algorithm: HashAlgorithm = "sha256"): Promise<BlobIngest> {
    const path = join(this.ingestDir, id);
    const file = await open(path, "wx+", 0o644);
    return new FileIngest(id, path, file, 0, new RunningHash(algorithm), (digest) => this.#path(digest));
  }

  async resume(id: string): Promise<BlobIngest | undefined> {
    const path = join(this.ingestDir, id);
    const file = await open(path, "r+").catch(undefinedIfMissing);
    if (!file) return undefined;
    const { size } = await file.stat();
    return new FileIngest(id, path, file, size, undefined, (digest) => this.#path(digest));
  }

  async remove(digest: Digest): Promise<void> {
    await rm(this.#path(digest), { force: true });
  }

  async *list(): AsyncGenerator<Digest> {
    for await (const path of new Bun.Glob("sha*/*/*").scan(join(this.root, "blobs"))) {
      const [algorithm, , hex] = path.split("/");
      const digest = `${algorithm}:${hex}`;
      if (isDigest(digest)) yield digest;
    }
  }

  async *ingests(): AsyncGenerator<{ id: string; writtenAt: number }> {
    for (const id of await readdir(this.ingestDir)) {
      const found = await stat(join(this.ingestDir, id)).catch(undefinedIfMissing);
      if (found) yield { id, writtenAt: found.mtimeMs };
    }
  }

  #path(digest: Digest): string {
    const hex = hexOf(digest);
    return join(this.root, "blobs", algorithmOf(digest), hex.slice(0, 2), hex);
  }
}

class FileIngest implements BlobIngest {
  #offset: number;
  #open = true;

  /** `hash`: of the bytes so far; undefined when another process wrote them. */
  constructor(
    readonly id: string,
    private readonly path: string,
    private readonly file: FileHandle,
    offset: number,
    private readonly hash: RunningHash | undefined,
    private readonly pathOf: (digest: Digest) => string,
  ) {
    this.#offset = offset;
  }

  get offset(): number {
    return this.#offset;
  }

  async append(chunks: AsyncIterable<Uint8Array>): Promise<void> {
    for await (const chunk of chunks) {
      // The write goes on in another thread while this one hashes.
      const written = writeAll(this.file, chunk, this.#offset);
      this.hash?.update(chunk);
      try {
        await written;
      } catch (error) {
        // The hash is ahead of the file now, so nothing more may be added to either.
        await this.discard();
        throw error;
      }
      this.#offset += chunk.length;
    }
  }

  read(start: number, end: number): Blob {
    return Bun.file(this.path).slice(start, end);
  }

  async verify(digest: Digest): Promise<boolean> {
    await this.file.datasync();
    const hash = this.hash?.algorithm === algorithmOf(digest) ? this.hash : await this.#rehash(digest);
    return hash.matches(digest);
  }

  async publish(digest: Digest): Promise<void> {
    const target = this.pathOf(digest);
    await mkdir(dirname(target), { recursive: true });
    await this.close();
    // Over a file of the same digest: the same bytes.
    await rename(this.path, target);
  }

  async discard(): Promise<void> {
    if (!this.#open) return;
    await this.close();
    await rm(this.path, { force: true });
  }

  async close(): Promise<void> {
    if (!this.#open) return;
    this.#open = false;
    await this.file.close();
  }

  async #rehash(digest: Digest): Promise<RunningHash> {
    const hash = new RunningHash(algorithmOf(digest));
    for await (const chunk of Bun.file(this.path).stream()) hash.update(chunk);
    return hash;
  }
}

async function writeAll(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, position + done);
    done += bytesWritten;
  }
}

function undefinedIfMissing(error: unknown): undefined {
  if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
  throw error;
}
