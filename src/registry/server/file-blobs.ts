/** Blobs as files: `blobs/sha256/ab/abcd…`, and `ingest/<uuid>` for those on their way in. */
import { randomUUID } from "node:crypto";
import { type FileHandle, mkdir, open, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { type Digest, hexOf, isDigest } from "../../lib/digest.ts";
import type { BlobIngest, BlobStore } from "./types.ts";

/**
 * Opens the store below `root`, which it makes. Uploads that an earlier process left are dropped: their clients
 * begin again.
 */
export async function openFileBlobs(root: string): Promise<BlobStore> {
  const ingestDir = join(root, "ingest");
  await rm(ingestDir, { recursive: true, force: true });
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

  async ingest(): Promise<BlobIngest> {
    const path = join(this.ingestDir, randomUUID());
    return new FileIngest(path, await open(path, "wx+", 0o644), (digest) => this.#path(digest));
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

  #path(digest: Digest): string {
    const hex = hexOf(digest);
    return join(this.root, "blobs", digest.slice(0, digest.indexOf(":")), hex.slice(0, 2), hex);
  }
}

class FileIngest implements BlobIngest {
  #offset = 0;
  readonly #hasher = new Bun.CryptoHasher("sha256");
  #open = true;

  constructor(
    private readonly path: string,
    private readonly file: FileHandle,
    private readonly pathOf: (digest: Digest) => string,
  ) {}

  get offset(): number {
    return this.#offset;
  }

  async append(chunks: AsyncIterable<Uint8Array>): Promise<void> {
    for await (const chunk of chunks) {
      // The write goes on in another thread while this one hashes.
      const written = writeAll(this.file, chunk, this.#offset);
      this.#hasher.update(chunk);
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

  async verify(digest: Digest): Promise<boolean> {
    await this.file.datasync();
    if (digest.startsWith("sha256:")) return this.#hasher.copy().digest("hex") === hexOf(digest);
    const sha512 = new Bun.CryptoHasher("sha512");
    for await (const chunk of Bun.file(this.path).stream()) sha512.update(chunk);
    return sha512.digest("hex") === hexOf(digest);
  }

  async publish(digest: Digest): Promise<void> {
    const target = this.pathOf(digest);
    await mkdir(dirname(target), { recursive: true });
    await this.#close();
    // Over a file of the same digest: the same bytes.
    await rename(this.path, target);
  }

  async discard(): Promise<void> {
    if (!this.#open) return;
    await this.#close();
    await rm(this.path, { force: true });
  }

  async #close(): Promise<void> {
    this.#open = false;
    await this.file.close();
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
