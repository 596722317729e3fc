/** A tree as tar entries, in the order of names, safe against whoever changes it meanwhile. */
import { closeSync, readSync } from "node:fs";
import { InvalidParameter } from "../../lib/errors.ts";
import { type IdMap, toInside } from "../../lib/id-map.ts";
import {
  type ByteString,
  type EntryType,
  fromText,
  paddingOf,
  type TarEntry,
  toByteString,
} from "../../lib/tar/index.ts";
import * as fs from "../../linux/fs.ts";
import { isOverlayXattr, opaqueMarker, opaqueXattr, whiteoutPrefix } from "./whiteout.ts";

/** Each level holds a descriptor open. */
const maxDepth = 500;
const readSize = 1 << 20;

export interface WalkOptions {
  /** The tree is an overlay layer: its whiteouts become `.wh.` entries. */
  layer?: {
    /** Trees of the layers below, nearest first. */
    lower: string[];
  };
  /** Later modification times become this one (seconds since the epoch). */
  epoch?: number;
  /** Owners are told as this namespace sees them. */
  idMap?: IdMap;
}

export type Walked = { entry: TarEntry } | { data: Uint8Array };

const entryTypes = new Map<number, EntryType>([
  [fs.S_IFREG, "file"],
  [fs.S_IFDIR, "directory"],
  [fs.S_IFLNK, "symlink"],
  [fs.S_IFCHR, "char"],
  [fs.S_IFBLK, "block"],
  [fs.S_IFIFO, "fifo"],
]);

export class Walker {
  /** Files with several names: the first one met has the content, the others link to it. */
  readonly #seen = new Map<string, ByteString>();
  readonly #buffer = Buffer.allocUnsafe(readSize);
  readonly #latest: bigint | undefined;

  constructor(private readonly options: WalkOptions) {
    this.#latest = options.epoch === undefined ? undefined : BigInt(options.epoch) * 1_000_000_000n;
  }

  /** All that is in the open directory; entry names begin with `prefix`. */
  *inside(directory: number, prefix: ByteString, depth = 0): Generator<Walked> {
    if (depth > maxDepth) throw new InvalidParameter(`directories nested deeper than ${maxDepth}`);
    const entries = fs.readEntries(directory).sort((a, b) => Buffer.compare(a.name, b.name));
    for (const { name, type } of entries) {
      const path = prefix + toByteString(name);
      // What is opened anyway is looked at then, once.
      if (type === fs.S_IFREG) yield* this.#file(directory, name, path);
      else yield* this.one(directory, name, path, depth);
    }
  }

  /** `name` in the open directory, and all in it, as `path`. Nothing when it's gone or a socket. */
  *one(directory: number, name: Buffer, path: ByteString, depth = 0): Generator<Walked> {
    const stat = fs.tryStatAt(directory, name);
    if (!stat) return;
    const type = entryTypes.get(stat.mode & fs.S_IFMT);
    if (type === undefined) return;
    if (this.options.layer && type === "char" && stat.device.major === 0 && stat.device.minor === 0) {
      yield { entry: this.#marker(insertPrefix(path), stat) };
      return;
    }
    if (type === "file") yield* this.#file(directory, name, path);
    else if (type === "directory") yield* this.#directory(directory, name, path, depth);
    else {
      const first = stat.nlink > 1 ? this.#seen.get(stat.id) : undefined;
      if (first !== undefined) {
        yield { entry: { ...this.#entry(path, "link", stat), linkPath: first } };
        return;
      }
      const entry = this.#entry(path, type, stat);
      if (type === "symlink") {
        const target = fs.unlessMissing(() => fs.readlinkAt(directory, name));
        if (target === undefined) return;
        entry.linkPath = toByteString(target);
      }
      entry.xattrs = fs.unlessMissing(() => xattrsOf(directory, name)) ?? new Map();
      if (stat.nlink > 1) this.#seen.set(stat.id, path);
      yield { entry };
    }
  }

  /** An entry for a directory that is open already. */
  directoryEntry(fd: number, path: ByteString): TarEntry {
    const entry = this.#entry(path, "directory", fs.statAt(fd, ""));
    entry.xattrs = xattrsOf(fd, "");
    return entry;
  }

  *#directory(directory: number, name: Buffer, path: ByteString, depth: number): Generator<Walked> {
    const fd = openUnlessChanged(directory, name, fs.O_RDONLY | fs.O_DIRECTORY | fs.O_NOFOLLOW);
    if (fd === undefined) return;
    try {
      const entry = this.directoryEntry(fd, `${path}/`);
      yield { entry };
      if (this.options.layer && this.#hidesLower(fd, path, this.options.layer.lower))
        yield { entry: this.#marker(`${path}/${opaqueMarker}`, fs.statAt(fd, "")) };
      yield* this.inside(fd, `${path}/`, depth + 1);
    } finally {
      closeSync(fd);
    }
  }

  *#file(directory: number, name: Buffer, path: ByteString): Generator<Walked> {
    // O_NONBLOCK: should a fifo have taken the file's place, opening must not wait for its other end.
    const fd = openUnlessChanged(directory, name, fs.O_RDONLY | fs.O_NOFOLLOW | fs.O_NONBLOCK);
    if (fd === undefined) return;
    try {
      const stat = fs.statAt(fd, "");
      if ((stat.mode & fs.S_IFMT) !== fs.S_IFREG) return;
      if (stat.nlink > 1) {
        const first = this.#seen.get(stat.id);
        if (first !== undefined) {
          yield { entry: { ...this.#entry(path, "link", stat), linkPath: first } };
          return;
        }
        this.#seen.set(stat.id, path);
      }
      const entry = this.#entry(path, "file", stat);
      entry.size = stat.size;
      entry.xattrs = xattrsOf(fd, "");
      yield { entry };
      // The size is said already: a file that grows is cut, one that shrinks is filled up with zeros.
      let left = stat.size;
      while (left > 0) {
        const read = readSync(fd, this.#buffer, 0, Math.min(left, this.#buffer.length), null);
        if (read === 0) break;
        left -= read;
        yield { data: this.#buffer.subarray(0, read) };
      }
      for (left += paddingOf(stat.size); left > 0; ) {
        const part = Math.min(left, zeros.length);
        left -= part;
        yield { data: zeros.subarray(0, part) };
      }
    } finally {
      closeSync(fd);
    }
  }

  /** overlayfs marks every new directory as opaque; only where there is something below does it matter. */
  #hidesLower(fd: number, path: ByteString, lower: string[]): boolean {
    if (fs.getXattrAt(fd, "", opaqueXattr)?.toString() !== "y") return false;
    return lower.some((tree) => {
      using root = fs.Descriptor.directory(tree);
      const found = fs.unlessMissing(() =>
        fs.openInRoot(root.fd, Buffer.from(path, "latin1"), fs.O_PATH | fs.O_DIRECTORY | fs.O_NOFOLLOW),
      );
      if (found !== undefined) closeSync(found);
      return found !== undefined;
    });
  }

  #marker(path: ByteString, stat: fs.FileStat): TarEntry {
    return { ...this.#entry(path, "file", stat), mode: 0, uid: 0, gid: 0 };
  }

  #entry(path: ByteString, type: EntryType, stat: fs.FileStat): TarEntry {
    const late = this.#latest !== undefined && stat.mtime > this.#latest;
    const { idMap } = this.options;
    return {
      path,
      type,
      mode: stat.mode & 0o7777,
      uid: idMap ? toInside(idMap.uids, stat.uid) : stat.uid,
      gid: idMap ? toInside(idMap.gids, stat.gid) : stat.gid,
      size: 0,
      mtime: late ? this.#latest! : stat.mtime,
      linkPath: "",
      device: type === "char" || type === "block" ? stat.device : { major: 0, minor: 0 },
      xattrs: new Map(),
    };
  }
}

const zeros = Buffer.alloc(64 << 10);

/** undefined when it's gone, or became a link or a socket since it was looked at. */
function openUnlessChanged(directory: number, name: Buffer, flags: number): number | undefined {
  try {
    return fs.unlessMissing(() => fs.openAt(directory, name, flags));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ELOOP" || code === "ENXIO") return undefined;
    throw error;
  }
}

function xattrsOf(directory: number, name: Buffer | ""): Map<ByteString, ByteString> {
  const xattrs = new Map<ByteString, ByteString>();
  for (const attribute of fs.listXattrsAt(directory, name)) {
    const key = toByteString(attribute);
    const value = isOverlayXattr(key) ? undefined : fs.getXattrAt(directory, name, attribute);
    if (value !== undefined) xattrs.set(key, toByteString(value));
  }
  return xattrs;
}

function insertPrefix(path: ByteString): ByteString {
  const slash = path.lastIndexOf("/") + 1;
  return path.slice(0, slash) + whiteoutPrefix + path.slice(slash);
}

/**
 * `path` below `root`, resolved as in a root of its own; a link at its end is not followed unless the path ends in
 * a slash. Names begin with `as`, by default the path's last component; `.` leaves the tree's own entry out.
 * @throws Errno when there is no such path
 */
export function* walkPath(
  walker: Walker,
  root: string,
  path: string,
  as: string | undefined,
): Generator<Walked> {
  using top = fs.Descriptor.directory(root);
  const parts = path.split("/").filter((part) => part !== "" && part !== ".");
  const base = parts.at(-1);
  const name = fromText(as ?? base ?? ".");
  const follow = base === undefined || base === ".." || /\/\.?$/.test(path);
  const parent = fs.openInRoot(
    top.fd,
    parts.slice(0, follow ? undefined : -1).join("/") || ".",
    fs.O_RDONLY | fs.O_DIRECTORY,
  );
  try {
    if (!follow) {
      fs.statAt(parent, base);
      yield* walker.one(parent, Buffer.from(base), name);
      return;
    }
    const prefix = name.endsWith("/") ? name : `${name}/`;
    if (name !== ".") yield { entry: walker.directoryEntry(parent, prefix) };
    yield* walker.inside(parent, name === "." ? "" : prefix);
  } finally {
    closeSync(parent);
  }
}
