/**
 * Reads tar archives: v7, ustar, pax (POSIX.1-2017, pax "Interchange Format") and GNU's long names, binary numbers
 * and sparse files. Push-driven and synchronous: bytes go in as they come, entries and contents come out at once.
 */
import { InvalidParameter } from "../errors.ts";
import {
  type ByteString,
  blockSize,
  type EntryType,
  paddingOf,
  readable,
  type TarEntry,
  toByteString,
} from "./entry.ts";
import { parsePax } from "./pax.ts";
import { checkMap, type Extent, type MapBlocks, oldGnuMap, paxMap, paxMapBlocks } from "./sparse.ts";

export interface TarHandler {
  entry(entry: TarEntry): void;
  /**
   * Part of the current file's content, `offset` bytes from its beginning; the bytes are valid during the call
   * only. What a sparse file leaves out between and behind the parts is zeros.
   */
  data(bytes: Uint8Array, offset: number): void;
  /** The current entry is complete. */
  end(): void;
}

/** Of a pax header or a GNU long name; the file system takes far less. */
const maxExtension = 1 << 20;

const types: Record<string, EntryType> = {
  "0": "file",
  "\0": "file",
  "7": "file",
  "1": "link",
  "2": "symlink",
  "3": "char",
  "4": "block",
  "5": "directory",
  "6": "fifo",
  S: "file",
};

type State =
  | { at: "header" }
  /** Inside one extent of a file's data; `later` are those behind it, the last first. */
  | { at: "content"; offset: number; left: number; later: Extent[] }
  /** Blocks that tell where the data of a sparse file belong; `inside` when they count as its content. */
  | { at: "map"; take: MapBlocks; entry: TarEntry; stored: number; inside: boolean }
  /** A pax header or GNU long name, gathered whole. */
  | { at: "extension"; flag: string; chunks: Uint8Array[]; left: number; padding: number }
  | { at: "padding"; left: number }
  | { at: "end" };

export class TarReader {
  #state: State = { at: "header" };
  readonly #block = Buffer.alloc(blockSize);
  #filled = 0;
  /** Bytes taken so far, for messages. */
  #position = 0;
  #global = new Map<ByteString, ByteString>();
  #pax = new Map<ByteString, ByteString>();

  constructor(private readonly handler: TarHandler) {}

  /** @throws InvalidParameter and whatever the handler throws */
  push(chunk: Uint8Array): void {
    for (let at = 0; at < chunk.length; ) {
      const used = this.#take(at === 0 ? chunk : chunk.subarray(at));
      at += used;
      this.#position += used;
    }
  }

  /** The archive has no more bytes. @throws InvalidParameter when it stops in the middle of something */
  finish(): void {
    const state = this.#state;
    // Some writers leave out the two zero blocks, and docker build -f with a Dockerfile from elsewhere also what fills up
    // the last file's block; everyone accepts that.
    const between = (state.at === "header" && this.#filled === 0) || state.at === "padding";
    const complete = state.at === "end" || (between && this.#pax.size === 0);
    if (!complete) throw new InvalidParameter("unexpected EOF");
  }

  #take(chunk: Uint8Array): number {
    const state = this.#state;
    switch (state.at) {
      case "header":
        return this.#gather(chunk, (block) => this.#header(block));
      case "map":
        return this.#gather(chunk, (block) => this.#map(state, block));
      case "content": {
        const part = chunk.length > state.left ? chunk.subarray(0, state.left) : chunk;
        this.handler.data(part, state.offset);
        state.offset += part.length;
        state.left -= part.length;
        if (state.left === 0) this.#content(state.later);
        return part.length;
      }
      case "extension": {
        const part = chunk.subarray(0, state.left);
        // A copy, which the `slice` of a Buffer is not.
        state.chunks.push(new Uint8Array(part));
        state.left -= part.length;
        if (state.left === 0) {
          this.#extension(state.flag, Buffer.concat(state.chunks));
          this.#skip(state.padding);
        }
        return part.length;
      }
      case "padding": {
        const used = Math.min(state.left, chunk.length);
        state.left -= used;
        if (state.left === 0) this.#state = { at: "header" };
        return used;
      }
      case "end":
        return chunk.length;
    }
  }

  /** Hands over whole blocks, wherever the chunks are cut. */
  #gather(chunk: Uint8Array, use: (block: Buffer) => void): number {
    if (this.#filled === 0 && chunk.length >= blockSize) {
      use(Buffer.from(chunk.buffer, chunk.byteOffset, blockSize));
      return blockSize;
    }
    const part = chunk.subarray(0, blockSize - this.#filled);
    this.#block.set(part, this.#filled);
    this.#filled += part.length;
    if (this.#filled === blockSize) {
      this.#filled = 0;
      use(this.#block);
    }
    return part.length;
  }

  #padding = 0;

  /** Goes on with the next extent, or ends the entry. */
  #content(later: Extent[]): void {
    const next = later.pop();
    if (next) {
      this.#state = { at: "content", offset: next.offset, left: next.length, later };
      return;
    }
    this.handler.end();
    this.#skip(this.#padding);
  }

  #map(state: State & { at: "map" }, block: Buffer): void {
    const { take, entry, inside } = state;
    if (inside) state.stored -= blockSize;
    const extents = this.#mapped(entry.path, () => {
      if (state.stored < 0) throw new RangeError("sparse map longer than the file's data");
      return take(block);
    });
    if (extents) this.#begin(entry, state.stored, extents);
  }

  #mapped<T>(path: ByteString, read: () => T): T {
    try {
      return read();
    } catch (error) {
      return error instanceof RangeError ? this.#fail(`${readable(path)}: ${error.message}`) : raise(error);
    }
  }

  /** @param stored bytes of data that the archive has; a sparse file is larger */
  #begin(entry: TarEntry, stored: number, extents?: Extent[]): void {
    const whole = stored > 0 ? [{ offset: 0, length: stored }] : [];
    const parts = extents ? this.#mapped(entry.path, () => checkMap(extents, stored, entry.size)) : whole;
    this.#padding = paddingOf(stored);
    this.handler.entry(entry);
    this.#content(parts.reverse());
  }

  #skip(bytes: number): void {
    this.#state = bytes > 0 ? { at: "padding", left: bytes } : { at: "header" };
  }

  #header(block: Buffer): void {
    if (isZero(block)) {
      this.#state = { at: "end" };
      return;
    }
    this.#checkSum(block);
    const flag = String.fromCharCode(block[156]!);
    const ownSize = this.#number(block, 124, 12, "size");
    if ("xgLK".includes(flag)) {
      if (ownSize > maxExtension) this.#fail(`extended header of ${ownSize} bytes`);
      const padding = (blockSize - (ownSize % blockSize)) % blockSize;
      if (ownSize === 0) this.#skip(0);
      else this.#state = { at: "extension", flag, chunks: [], left: ownSize, padding };
      return;
    }
    const pax = this.#global.size > 0 ? new Map([...this.#global, ...this.#pax]) : this.#pax;
    this.#pax = new Map();
    const entry = this.#entry(block, flag, pax, ownSize);
    const stored = entry.size;
    if (flag === "S") {
      entry.size = this.#number(block, 483, 12, "size");
      const { extents, more } = this.#mapped(entry.path, () =>
        oldGnuMap(block, (from, at) => this.#number(from, at, 12, "sparse map")),
      );
      if (more) this.#state = { at: "map", take: more, entry, stored, inside: false };
      else this.#begin(entry, stored, extents);
      return;
    }
    const sparseSize = this.#paxNumber(pax, "GNU.sparse.realsize", entry.path);
    const map = pax.get("GNU.sparse.map");
    if (pax.get("GNU.sparse.major") === "1" && sparseSize !== undefined) {
      entry.size = sparseSize;
      this.#state = { at: "map", take: paxMapBlocks(), entry, stored, inside: true };
    } else if (map !== undefined) {
      entry.size = this.#paxNumber(pax, "GNU.sparse.size", entry.path) ?? stored;
      const extents = this.#mapped(entry.path, () => paxMap(map));
      this.#begin(entry, stored, extents);
    } else {
      this.#begin(entry, stored);
    }
  }

  #entry(block: Buffer, flag: string, pax: Map<ByteString, ByteString>, ownSize: number): TarEntry {
    const posix = block.toString("latin1", 257, 263) === "ustar\0";
    const prefix = posix ? text(block, 345, 155) : "";
    const name = text(block, 0, 100);
    const path = pax.get("GNU.sparse.name") ?? pax.get("path") ?? (prefix ? `${prefix}/${name}` : name);
    let type = types[flag];
    if (type === undefined)
      throw new InvalidParameter(`${readable(path)}: entry type ${JSON.stringify(flag)} is not supported`);
    // v7 knew no directories but by name.
    if (flag === "\0" && path.endsWith("/")) type = "directory";
    const isLink = type === "link" || type === "symlink";
    const isDevice = type === "char" || type === "block";
    const xattrs = new Map<ByteString, ByteString>();
    for (const [key, value] of pax) {
      if (key.startsWith(xattrPrefix)) xattrs.set(key.slice(xattrPrefix.length), value);
    }
    const size = this.#paxNumber(pax, "size", path) ?? ownSize;
    if (size < 0) this.#fail(`negative size of ${readable(path)}`);
    return {
      path,
      type,
      mode: this.#number(block, 100, 8, "mode") & 0o7777,
      uid: this.#owner(this.#paxNumber(pax, "uid", path) ?? this.#number(block, 108, 8, "uid"), path),
      gid: this.#owner(this.#paxNumber(pax, "gid", path) ?? this.#number(block, 116, 8, "gid"), path),
      // Only files have content; what others say of their size means nothing.
      size: type === "file" ? size : 0,
      mtime: this.#paxTime(pax, path) ?? BigInt(this.#number(block, 136, 12, "mtime")) * 1_000_000_000n,
      linkPath: isLink ? (pax.get("linkpath") ?? text(block, 157, 100)) : "",
      device: isDevice
        ? { major: this.#number(block, 329, 8, "device"), minor: this.#number(block, 337, 8, "device") }
        : { major: 0, minor: 0 },
      xattrs,
    };
  }

  #extension(flag: string, bytes: Buffer): void {
    if (flag === "L" || flag === "K") {
      const end = bytes.indexOf(0);
      const value = toByteString(end < 0 ? bytes : bytes.subarray(0, end));
      this.#pax.set(flag === "L" ? "path" : "linkpath", value);
      return;
    }
    let records: Map<ByteString, ByteString>;
    try {
      records = parsePax(bytes);
    } catch (error) {
      this.#fail((error as Error).message);
    }
    const target = flag === "g" ? this.#global : this.#pax;
    for (const [key, value] of records) {
      // An empty value takes a global record back.
      if (value === "" && !key.startsWith(xattrPrefix)) target.delete(key);
      else target.set(key, value);
    }
  }

  #checkSum(block: Buffer): void {
    const want = this.#number(block, 148, 8, "checksum");
    // Its own field counts as blanks.
    let sum = 8 * 32;
    let high = 0;
    for (let at = 0; at < blockSize; at++) {
      if (at === 148) at = 156;
      const byte = block[at]!;
      sum += byte;
      if (byte >= 128) high++;
    }
    // Some old writers summed signed characters.
    if (want !== sum && want !== sum - 256 * high) this.#fail("wrong checksum");
  }

  /** Octal digits, or GNU's big-endian two's complement when the first bit is set. */
  #number(block: Buffer, at: number, length: number, what: string): number {
    const first = block[at]!;
    if (first & 0x80) {
      const negative = first === 0xff;
      let value = negative ? -1n : 0n;
      for (let i = 1; i < length; i++) value = (value << 8n) | BigInt(block[at + i]!);
      if (!negative) value |= BigInt(first & 0x7f) << BigInt(8 * (length - 1));
      if (value > BigInt(Number.MAX_SAFE_INTEGER) || value < BigInt(Number.MIN_SAFE_INTEGER))
        this.#fail(`${what} out of range`);
      return Number(value);
    }
    const end = at + length;
    let value = 0;
    let i = at;
    for (; i < end; i++) {
      const digit = block[i]! - 0x30;
      if (digit < 0 || digit > 7) break;
      value = value * 8 + digit;
    }
    // As nearly all archives have it; the others are looked at more closely.
    if (i === end || block[i] === 0) return value;
    const digits = text(block, at, length).trim();
    if (digits === "") return 0;
    if (!/^[0-7]+$/.test(digits)) this.#fail(`${what} is not a number`);
    return Number.parseInt(digits, 8);
  }

  #paxNumber(pax: Map<ByteString, ByteString>, key: string, path: ByteString): number | undefined {
    const value = pax.get(key);
    if (value === undefined) return undefined;
    const number = Number(value);
    if (!/^\d+$/.test(value) || !Number.isSafeInteger(number)) this.#fail(`${key} of ${readable(path)}`);
    return number;
  }

  #paxTime(pax: Map<ByteString, ByteString>, path: ByteString): bigint | undefined {
    const value = pax.get("mtime");
    if (value === undefined) return undefined;
    const match = /^(-?)(\d{1,18})(?:\.(\d*))?$/.exec(value);
    if (!match) return this.#fail(`mtime of ${readable(path)}`);
    const [, sign, seconds, fraction = ""] = match;
    const time = BigInt(seconds!) * 1_000_000_000n + BigInt(fraction.slice(0, 9).padEnd(9, "0"));
    return sign ? -time : time;
  }

  #owner(id: number, path: ByteString): number {
    // 2^32-1 is chown's "leave as it is".
    if (id < 0 || id >= 0xffffffff) this.#fail(`owner of ${readable(path)}`);
    return id;
  }

  #fail(what: string): never {
    throw new InvalidParameter(`archive/tar: invalid tar header near byte ${this.#position}: ${what}`);
  }
}

function raise(error: unknown): never {
  throw error;
}

const xattrPrefix = "SCHILY.xattr.";

/** Up to the first NUL. */
function text(block: Buffer, at: number, length: number): ByteString {
  const end = block.indexOf(0, at);
  return block.toString("latin1", at, end < 0 || end > at + length ? at + length : end);
}

function isZero(block: Buffer): boolean {
  return block[0] === 0 && block.every((byte) => byte === 0);
}
