import type { Digest } from "../../lib/digest.ts";
import { readable, type TarEntry, type TarHandler } from "../../lib/tar/index.ts";
import * as fs from "../../linux/fs.ts";
import { Arrival, type ArrivingFile } from "./arriving.ts";
import { isCompressed } from "./decompress.ts";
import type { Unpacker } from "./unpacker.ts";

/** Smaller layers are unpacked soon enough when the archive is there (bytes). */
const smallestArriving = 4 << 20;

interface CurrentFile {
  entry: TarEntry;
  id: string;
  fd: number;
  hasher: Bun.CryptoHasher;
  next: number;
  layer?: { key: number; arrival: Arrival };
}

/**
 * Unpacks and takes the digest of each file on the way, while its bytes are at hand. The digest belongs to the inode:
 * every file is written once, when it is made, so that later entries can't bring a digest and other bytes together.
 */
export class DigestingUnpacker implements TarHandler, Disposable {
  readonly digests = new Map<string, Digest>();
  /** Of the layers that were announced, by key. */
  readonly layers = new Map<number, Digest>();
  #announced = 0;
  #file: CurrentFile | undefined;

  /** @param onLayer hears of large files that look like layers, as soon as they begin */
  constructor(
    private readonly unpacker: Unpacker,
    private readonly onLayer: (file: ArrivingFile) => void,
  ) {}

  entry(entry: TarEntry): void {
    this.unpacker.entry(entry);
    const { descriptor: fd, made } = this.unpacker;
    if (fd === undefined || !made) return;
    const { id } = made;
    // The number may have been that of a file that is gone.
    this.digests.delete(id);
    this.#file = { entry, id, fd, hasher: new Bun.CryptoHasher("sha256"), next: 0 };
  }

  data(bytes: Uint8Array, offset: number): void {
    this.unpacker.data(bytes, offset);
    const file = this.#file;
    // Of a sparse file the holes are not heard of; it does without a digest.
    if (file?.next !== offset) return;
    if (offset === 0 && file.entry.size >= smallestArriving) this.#announce(file, bytes);
    file.next += bytes.length;
    file.layer?.arrival.wrote(file.next);
    file.hasher.update(bytes);
  }

  #announce(file: CurrentFile, start: Uint8Array): void {
    const compressed = isCompressed(start);
    if (!compressed && !looksLikeTar(start)) return;
    const key = this.#announced++;
    file.layer = { key, arrival: new Arrival(file.entry.size) };
    this.onLayer(file.layer.arrival.file(file.fd, { path: readable(file.entry.path), key, compressed }));
  }

  end(): void {
    const file = this.#file;
    this.#file = undefined;
    file?.layer?.arrival[Symbol.dispose]();
    if (file && file.next === file.entry.size) {
      const digest: Digest = `sha256:${file.hasher.digest("hex")}`;
      this.digests.set(file.id, digest);
      if (file.layer) this.layers.set(file.layer.key, digest);
      // It will be synced; with its bytes on their way already, that is waiting for the last of them only.
      fs.startWriting(file.fd);
    }
    this.unpacker.end();
  }

  /** An archive that breaks off leaves nobody waiting. */
  [Symbol.dispose](): void {
    this.#file?.layer?.arrival[Symbol.dispose]();
  }
}

/** Every tar of today has this in its first header (POSIX.1-2017, pax, "ustar Interchange Format"). */
const looksLikeTar = (bytes: Uint8Array) =>
  Buffer.from(bytes.subarray(257, 262)).toString("latin1") === "ustar";
