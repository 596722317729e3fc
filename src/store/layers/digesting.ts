import type { Digest } from "../../lib/digest.ts";
import type { TarEntry, TarHandler } from "../../lib/tar/index.ts";
import * as fs from "../../linux/fs.ts";
import type { Unpacker } from "./unpacker.ts";

/**
 * Unpacks and takes the digest of each file on the way, while its bytes are at hand. The digest belongs to the inode:
 * every file is written once, when it is made, so that later entries can't bring a digest and other bytes together.
 */
export class DigestingUnpacker implements TarHandler {
  readonly digests = new Map<string, Digest>();
  #file: { id: string; fd: number; size: number; hasher: Bun.CryptoHasher; next: number } | undefined;

  constructor(private readonly unpacker: Unpacker) {}

  entry(entry: TarEntry): void {
    this.unpacker.entry(entry);
    const fd = this.unpacker.descriptor;
    if (fd === undefined) return;
    const { id } = fs.statAt(fd, "");
    // The number may have been that of a file that is gone.
    this.digests.delete(id);
    this.#file = { id, fd, size: entry.size, hasher: new Bun.CryptoHasher("sha256"), next: 0 };
  }

  data(bytes: Uint8Array, offset: number): void {
    this.unpacker.data(bytes, offset);
    // Of a sparse file the holes are not heard of; it does without a digest.
    if (this.#file?.next !== offset) return;
    this.#file.hasher.update(bytes);
    this.#file.next += bytes.length;
  }

  end(): void {
    const file = this.#file;
    this.#file = undefined;
    if (file && file.next === file.size) {
      this.digests.set(file.id, `sha256:${file.hasher.digest("hex")}`);
      // It will be synced; with its bytes on their way already, that is waiting for the last of them only.
      fs.startWriting(file.fd);
    }
    this.unpacker.end();
  }
}
