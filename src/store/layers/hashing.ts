import { ContentHasher } from "../../lib/content-hash.ts";
import type { TarEntry, TarHandler } from "../../lib/tar/index.ts";
import type { Unpacker } from "./unpacker.ts";

/**
 * Unpacks, and hashes the content of each file while its bytes are at hand. The hash belongs to the inode: every file
 * is written once, when it is made.
 */
export class HashingUnpacker implements TarHandler {
  /** By inode number. Of sparse files there is none. */
  readonly hashes = new Map<number, string>();
  #file: { inode: number; size: number; hasher: ContentHasher; next: number } | undefined;

  constructor(private readonly unpacker: Unpacker) {}

  entry(entry: TarEntry): void {
    this.unpacker.entry(entry);
    const inode = this.unpacker.made?.inode;
    // What is no exact number would stand for others too.
    if (inode === undefined || !Number.isSafeInteger(inode)) return;
    // The number may have been that of a file that is gone.
    this.hashes.delete(inode);
    this.#file = { inode, size: entry.size, hasher: new ContentHasher(entry.size), next: 0 };
  }

  data(bytes: Uint8Array, offset: number): void {
    this.unpacker.data(bytes, offset);
    if (this.#file?.next !== offset) return;
    this.#file.next += bytes.length;
    this.#file.hasher.update(bytes);
  }

  end(): void {
    const file = this.#file;
    this.#file = undefined;
    if (file && file.next === file.size) this.hashes.set(file.inode, file.hasher.digest());
    this.unpacker.end();
  }
}
