/**
 * Writes the entries of a tar into a directory, synchronously and only below it: every path is opened by openat2
 * with the directory as root, so neither names nor links in the archive nor whoever changes the tree meanwhile
 * lead out of it.
 */
import { closeSync, fchmodSync, fchownSync, ftruncateSync, writeSync } from "node:fs";
import { InvalidParameter } from "../../lib/errors.ts";
import { type IdMap, toOutside } from "../../lib/id-map.ts";
import { type ByteString, readable, type TarEntry, type TarHandler, toBytes } from "../../lib/tar/index.ts";
import * as fs from "../../linux/fs.ts";
import { Errno } from "../../linux/libc.ts";
import type { LayerLimits } from "../types.ts";
import { cleanPath, explain } from "./entries.ts";
import { removeTree } from "./remove-tree.ts";
import { SizeGuard } from "./size-guard.ts";
import { isOverlayXattr, opaqueMarker, opaqueXattr, whiteoutPrefix } from "./whiteout.ts";

export interface UnpackOptions {
  /** The tree is an overlay layer: `.wh.` entries become overlay's whiteouts and opaque directories. */
  layer?: boolean;
  limits?: LayerLimits;
  owner?: { uid: number; gid: number };
  /** Extended attributes are left out. */
  withoutXattrs?: boolean;
  /** Owners, in the archive or given, are ids of this namespace. */
  idMap?: IdMap;
  /** Docker's rule for `docker cp`: a directory never takes the place of a file, nor a file that of a directory. */
  noOverwriteDirNonDir?: boolean;
}

const openDirectory = fs.O_RDONLY | fs.O_DIRECTORY;
const createFile = fs.O_WRONLY | fs.O_CREAT | fs.O_EXCL | fs.O_NOFOLLOW;
const typeBits = { char: fs.S_IFCHR, block: fs.S_IFBLK, fifo: fs.S_IFIFO } as const;

export class Unpacker implements TarHandler, Disposable {
  readonly #root: fs.Descriptor;
  /** The directory of the last entry stays open: the next one is mostly beside it. */
  #parent: { path: ByteString; fd: number } | undefined;
  /** Set last, because every file made inside changes them. */
  readonly #directoryTimes = new Map<ByteString, bigint>();
  #file: { fd: number; entry: TarEntry; end: number; made?: fs.FileStat } | undefined;
  readonly #guard: SizeGuard;
  /** Directories made because something was to go into them; see `implied`. */
  readonly #implied = new Set<ByteString>([""]);
  #bytes = 0;
  #replaced = false;

  constructor(
    directory: string,
    private readonly options: UnpackOptions,
  ) {
    this.#guard = new SizeGuard(options.limits);
    this.#root = fs.Descriptor.directory(directory);
  }

  /** So many more bytes of the archive, as it is stored, have come. */
  archiveBytes(bytes: number): void {
    this.#guard.archive(bytes);
  }

  /** Content bytes written; undefined when entries replaced others, so that only a look at the tree tells. */
  get size(): number | undefined {
    return this.#replaced ? undefined : this.#bytes;
  }

  /** Directories that the archive needed and did not describe, the outer first; the root is the empty path. */
  get implied(): ByteString[] {
    return [...this.#implied];
  }

  /** Of the file whose content is coming; undefined for what has none. */
  get descriptor(): number | undefined {
    return this.#file?.fd;
  }

  /** That file as it was when it had just been made. */
  get made(): fs.FileStat | undefined {
    return this.#file?.made;
  }

  entry(entry: TarEntry): void {
    this.#guard.entry(entry.size);
    this.#bytes += entry.size;
    try {
      this.#place(cleanPath(entry.path), entry);
    } catch (error) {
      throw explain(error, entry);
    }
  }

  data(bytes: Uint8Array, offset: number): void {
    if (!this.#file) return;
    this.#guard.data(bytes.length);
    for (let at = 0; at < bytes.length; )
      at += writeSync(this.#file.fd, bytes, at, bytes.length - at, offset + at);
    this.#file.end = offset + bytes.length;
  }

  end(): void {
    if (!this.#file) return;
    const { fd, entry, end, made } = this.#file;
    this.#file = undefined;
    try {
      // A sparse file may end in a hole.
      if (end < entry.size) ftruncateSync(fd, entry.size);
      this.#describe(fd, entry, made);
      fs.setMtime(fd, entry.mtime);
    } catch (error) {
      throw explain(error, entry);
    } finally {
      closeSync(fd);
    }
  }

  /** The archive is complete: gives directories their times. */
  finish(): void {
    for (const [path, mtime] of [...this.#directoryTimes].reverse()) {
      const fd = fs.unlessMissing(() =>
        fs.openInRoot(this.#root.fd, toBytes(path || "."), openDirectory | fs.O_NOFOLLOW),
      );
      if (fd === undefined) continue;
      try {
        fs.setMtime(fd, mtime);
      } finally {
        closeSync(fd);
      }
    }
  }

  [Symbol.dispose](): void {
    if (this.#file) closeSync(this.#file.fd);
    this.#file = undefined;
    this.#forgetParent();
    this.#root[Symbol.dispose]();
  }

  #place(path: ByteString, entry: TarEntry): void {
    if (path === "") {
      if (entry.type !== "directory") throw new InvalidParameter("the root is not a directory");
      this.#describe(this.#root.fd, entry);
      this.#directoryTimes.set("", entry.mtime);
      this.#implied.delete("");
      return;
    }
    const slash = path.lastIndexOf("/");
    const directory = this.#openParent(path.slice(0, Math.max(slash, 0)));
    const base = path.slice(slash + 1);
    if (this.options.layer && base.startsWith(whiteoutPrefix)) {
      this.#whiteout(directory, base);
      return;
    }
    const name = toBytes(base);
    switch (entry.type) {
      case "file":
        this.#file = {
          fd: this.#create(directory, name, entry, () =>
            fs.openAt(directory, name, createFile, entry.mode & 0o777),
          ),
          entry,
          end: 0,
        };
        this.#file.made = fs.statAt(this.#file.fd, "");
        break;
      case "directory":
        this.#directory(directory, name, entry);
        this.#directoryTimes.set(path, entry.mtime);
        this.#implied.delete(path);
        break;
      case "symlink":
        this.#create(directory, name, entry, () => fs.symlinkAt(toBytes(entry.linkPath), directory, name));
        this.#describeAt(directory, name, entry);
        break;
      case "link":
        this.#link(directory, name, path, entry);
        break;
      default:
        this.#special(directory, name, entry, typeBits[entry.type]);
    }
  }

  #special(directory: number, name: Buffer, entry: TarEntry, type: number): void {
    const { major, minor } = entry.device;
    const mode = type | entry.mode;
    this.#create(directory, name, entry, () => fs.mknodAt(directory, name, mode, major, minor));
    this.#describeAt(directory, name, entry);
  }

  #link(directory: number, name: Buffer, path: ByteString, entry: TarEntry): void {
    const target = cleanPath(entry.linkPath);
    if (target === path) throw new InvalidParameter("hard link to itself");
    const slash = target.lastIndexOf("/");
    const from = fs.openInRoot(
      this.#root.fd,
      toBytes(slash < 0 ? "." : target.slice(0, slash)),
      fs.O_PATH | fs.O_DIRECTORY,
    );
    try {
      const source = toBytes(target.slice(slash + 1));
      this.#create(directory, name, entry, () => fs.linkAt(from, source, directory, name));
    } finally {
      closeSync(from);
    }
  }

  #directory(directory: number, name: Buffer, entry: TarEntry): void {
    let hidesLower = false;
    try {
      fs.mkdirAt(directory, name, 0o700);
    } catch (error) {
      if (!isExists(error)) throw error;
      const there = fs.statAt(directory, name);
      if ((there.mode & fs.S_IFMT) !== fs.S_IFDIR) {
        hidesLower = this.options.layer === true && isWhiteout(there);
        this.#clear(directory, name, entry);
        fs.mkdirAt(directory, name, 0o700);
      }
    }
    const fd = fs.openAt(directory, name, openDirectory | fs.O_NOFOLLOW);
    try {
      this.#describe(fd, entry);
      // The whiteout said that nothing below is to be seen here; the directory in its place says so too.
      if (hidesLower) setOpaque(fd);
    } finally {
      closeSync(fd);
    }
  }

  /** Makes something new; what is in the way goes. */
  #create<T>(directory: number, name: Buffer, entry: TarEntry, make: () => T): T {
    try {
      return make();
    } catch (error) {
      if (!isExists(error)) throw error;
      this.#clear(directory, name, entry);
      return make();
    }
  }

  #clear(directory: number, name: Buffer, entry: TarEntry): void {
    const there = fs.statAt(directory, name);
    const isDirectory = (there.mode & fs.S_IFMT) === fs.S_IFDIR;
    if (this.options.noOverwriteDirNonDir && isDirectory !== (entry.type === "directory")) {
      const path = JSON.stringify(readable(entry.path));
      throw new InvalidParameter(
        isDirectory
          ? `cannot overwrite directory ${path} with non-directory`
          : `cannot overwrite non-directory ${path} with directory`,
      );
    }
    this.#replaced = true;
    removeTree(directory, name, isDirectory);
  }

  #whiteout(directory: number, base: ByteString): void {
    if (base === opaqueMarker) {
      setOpaque(directory);
      return;
    }
    // aufs kept notes of its own under this double prefix; they mean nothing elsewhere.
    if (base.startsWith(whiteoutPrefix + whiteoutPrefix)) return;
    const hidden = base.slice(whiteoutPrefix.length);
    if (hidden === "" || hidden === "." || hidden === "..") throw new InvalidParameter("whiteout of nothing");
    const name = toBytes(hidden);
    try {
      fs.mknodAt(directory, name, fs.S_IFCHR);
    } catch (error) {
      if (!isExists(error)) throw error;
      // Whiteouts are about the layers below; what this layer brings itself stays.
      const fd = fs.unlessMissing(() => fs.openAt(directory, name, openDirectory | fs.O_NOFOLLOW));
      if (fd === undefined) return;
      try {
        setOpaque(fd);
      } finally {
        closeSync(fd);
      }
    }
  }

  /** Descriptor of the directory at `path`, made if missing. Stays this object's. */
  #openParent(path: ByteString): number {
    if (this.#parent?.path === path) return this.#parent.fd;
    // Also for the root: what replaces a directory beside the remembered one must not leave a stale memory.
    this.#forgetParent();
    if (path === "") return this.#root.fd;
    const fd = this.#openOrMake(path);
    this.#parent = { path, fd };
    return fd;
  }

  #openOrMake(path: ByteString): number {
    const open = () => fs.openInRoot(this.#root.fd, toBytes(path), openDirectory);
    try {
      return open();
    } catch (error) {
      if (!(error instanceof Errno) || error.code !== "ENOENT") throw error;
    }
    const slash = path.lastIndexOf("/");
    const parent = slash < 0 ? undefined : this.#openOrMake(path.slice(0, slash));
    try {
      const name = toBytes(path.slice(slash + 1));
      fs.mkdirAt(parent ?? this.#root.fd, name, 0o755);
      this.#implied.add(path);
      if (this.options.idMap) {
        const { uid, gid } = this.#ownerOf({ uid: 0, gid: 0 });
        fs.chownAt(parent ?? this.#root.fd, name, uid, gid);
      }
    } finally {
      if (parent !== undefined) closeSync(parent);
    }
    return open();
  }

  /** @throws InvalidParameter for an id that the namespace doesn't have */
  #ownerOf(entry: { uid: number; gid: number }): { uid: number; gid: number } {
    const { owner = entry, idMap } = this.options;
    if (!idMap) return owner;
    const uid = toOutside(idMap.uids, owner.uid);
    const gid = toOutside(idMap.gids, owner.gid);
    if (uid === undefined || gid === undefined)
      throw new InvalidParameter(
        `owner ${owner.uid}:${owner.gid} has no place in the container's user namespace`,
      );
    return { uid, gid };
  }

  /**
   * Owner, then what a change of owner would clear: mode, attributes.
   * @param now what it has of these already; most files have all
   */
  #describe(fd: number, entry: TarEntry, now?: fs.FileStat): void {
    const { uid, gid } = this.#ownerOf(entry);
    const owned = now?.uid === uid && now.gid === gid;
    if (!owned) fchownSync(fd, uid, gid);
    if (!owned || (now.mode & 0o7777) !== entry.mode) fchmodSync(fd, entry.mode);
    this.#xattrs(fd, "", entry);
  }

  /** For what can't be opened: links, devices. Its mode was given when it was made, short of the umask. */
  #describeAt(directory: number, name: Buffer, entry: TarEntry): void {
    const { uid, gid } = this.#ownerOf(entry);
    fs.chownAt(directory, name, uid, gid);
    if (entry.type !== "symlink") fs.chmodAt(directory, name, entry.mode);
    this.#xattrs(directory, name, entry);
    fs.setMtimeAt(directory, name, entry.mtime);
  }

  #xattrs(directory: number, name: Buffer | "", entry: TarEntry): void {
    if (this.options.withoutXattrs) return;
    for (const [attribute, value] of entry.xattrs) {
      // From an archive, overlay's own attributes could redirect lookups; only markers are turned into them.
      if (isOverlayXattr(attribute)) continue;
      try {
        fs.setXattrAt(directory, name, toBytes(attribute), toBytes(value));
      } catch (error) {
        // As Docker and GNU tar: a file system without such attributes still gets the file.
        if (!(error instanceof Errno) || !unsupportedXattr.has(error.code)) throw error;
      }
    }
  }

  #forgetParent(): void {
    if (this.#parent) closeSync(this.#parent.fd);
    this.#parent = undefined;
  }
}

const unsupportedXattr = new Set(["EOPNOTSUPP", "EPERM"]);

function setOpaque(directory: number): void {
  fs.setXattrAt(directory, "", opaqueXattr, toBytes("y"));
}

const isExists = (error: unknown) => error instanceof Errno && error.code === "EEXIST";

const isWhiteout = ({ mode, device }: fs.FileStat) =>
  (mode & fs.S_IFMT) === fs.S_IFCHR && device.major === 0 && device.minor === 0;
