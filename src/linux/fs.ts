/**
 * File system calls that node:fs has not: relative to a directory's descriptor, inside a root, with names as raw
 * bytes, times in nanoseconds, extended attributes. Names given as strings are UTF-8; bytes pass as they are.
 * What works on a plain descriptor (read, fchmod, fsync, close …) is node's.
 */
import { chmodSync, closeSync, openSync } from "node:fs";
import { constants } from "node:os";
import { check, cstring, Errno, errno, libc } from "./libc.ts";

const symbols = libc({
  syscall: { args: ["i64", "i64", "ptr", "ptr", "i64"], returns: "i64" },
  openat: { args: ["i32", "ptr", "i32", "u32"], returns: "i32" },
  mkdirat: { args: ["i32", "ptr", "u32"], returns: "i32" },
  mknodat: { args: ["i32", "ptr", "u32", "u64"], returns: "i32" },
  symlinkat: { args: ["ptr", "i32", "ptr"], returns: "i32" },
  linkat: { args: ["i32", "ptr", "i32", "ptr", "i32"], returns: "i32" },
  unlinkat: { args: ["i32", "ptr", "i32"], returns: "i32" },
  fchownat: { args: ["i32", "ptr", "u32", "u32", "i32"], returns: "i32" },
  utimensat: { args: ["i32", "ptr", "ptr", "i32"], returns: "i32" },
  futimens: { args: ["i32", "ptr"], returns: "i32" },
  readlinkat: { args: ["i32", "ptr", "ptr", "u64"], returns: "i64" },
  statx: { args: ["i32", "ptr", "i32", "u32", "ptr"], returns: "i32" },
  getdents64: { args: ["i32", "ptr", "u64"], returns: "i64" },
  lsetxattr: { args: ["ptr", "ptr", "ptr", "u64", "i32"], returns: "i32" },
  lgetxattr: { args: ["ptr", "ptr", "ptr", "u64"], returns: "i64" },
  llistxattr: { args: ["ptr", "ptr", "u64"], returns: "i64" },
  fsetxattr: { args: ["i32", "ptr", "ptr", "u64", "i32"], returns: "i32" },
  fgetxattr: { args: ["i32", "ptr", "ptr", "u64"], returns: "i64" },
  flistxattr: { args: ["i32", "ptr", "u64"], returns: "i64" },
  sync_file_range: { args: ["i32", "i64", "i64", "u32"], returns: "i32" },
  flock: { args: ["i32", "i32"], returns: "i32" },
});

export type Name = string | Uint8Array;

/** openat(2) flags; node's constants lack some, and these differ between architectures. */
const arm = process.arch === "arm64";
export const O_RDONLY = 0;
export const O_WRONLY = 1;
export const O_CREAT = 0o100;
export const O_EXCL = 0o200;
export const O_NONBLOCK = 0o4000;
export const O_DIRECTORY = arm ? 0o40000 : 0o200000;
export const O_NOFOLLOW = arm ? 0o100000 : 0o400000;
export const O_CLOEXEC = 0o2000000;
export const O_PATH = 0o10000000;

/** Not a descriptor: the working directory. */
export const AT_FDCWD = -100;
export const AT_REMOVEDIR = 0x200;
const AT_SYMLINK_NOFOLLOW = 0x100;
const AT_EMPTY_PATH = 0x1000;

export const S_IFMT = 0o170000;
export const S_IFSOCK = 0o140000;
export const S_IFLNK = 0o120000;
export const S_IFREG = 0o100000;
export const S_IFBLK = 0o060000;
export const S_IFDIR = 0o040000;
export const S_IFCHR = 0o020000;
export const S_IFIFO = 0o010000;

const RESOLVE_NO_MAGICLINKS = 0x02;
const RESOLVE_IN_ROOT = 0x10;
// The same on every architecture.
const openat2Number = 437;

const text = (name: Name) => (typeof name === "string" ? name : Buffer.from(name).toString());

/**
 * Opens `path` as a process whose root is the directory `root` would: links and `..` never lead out (openat2,
 * RESOLVE_IN_ROOT), whatever others change meanwhile.
 * @param flags `O_*`; O_CLOEXEC is added
 * @returns a descriptor, the caller's to close
 * @throws Errno
 */
export function openInRoot(root: number, path: Name, flags: number, mode = 0): number {
  const how = new BigUint64Array([
    BigInt(flags | O_CLOEXEC),
    BigInt(mode),
    BigInt(RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS),
  ]);
  for (;;) {
    const fd = symbols.syscall(openat2Number, root, cstring(path), how, how.byteLength);
    if (Number(fd) >= 0) return Number(fd);
    const failed = errno();
    // A `..` that raced with a rename: the kernel asks to try again.
    if (failed !== constants.errno.EAGAIN && failed !== constants.errno.EINTR)
      throw new Errno(failed, "openat2", text(path));
  }
}

/** openat(2); O_CLOEXEC is added. @throws Errno */
export function openAt(directory: number, name: Name, flags: number, mode = 0): number {
  return check(symbols.openat(directory, cstring(name), flags | O_CLOEXEC, mode), "openat", name);
}

/** A descriptor that `using` closes. */
export class Descriptor implements Disposable {
  constructor(readonly fd: number) {}

  static directory(path: string): Descriptor {
    return new Descriptor(openSync(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  }

  [Symbol.dispose](): void {
    closeSync(this.fd);
  }
}

/** @throws Errno */
export function mkdirAt(directory: number, name: Name, mode: number): void {
  check(symbols.mkdirat(directory, cstring(name), mode), "mkdirat", name);
}

/** @param mode with the type's `S_IF*` @throws Errno */
export function mknodAt(directory: number, name: Name, mode: number, major = 0, minor = 0): void {
  check(symbols.mknodat(directory, cstring(name), mode, makeDevice(major, minor)), "mknodat", name);
}

/** A pipe, socket or device. @param mode with the type's `S_IF*` @param device as `stat` gives it (`rdev`) @throws Errno */
export function makeNode(path: string, mode: number, device: number): void {
  check(symbols.mknodat(AT_FDCWD, cstring(path), mode, BigInt(device)), "mknod", path);
}

/** glibc's 64-bit dev_t (gnu_dev_makedev). */
function makeDevice(major: number, minor: number): bigint {
  const [M, m] = [BigInt(major), BigInt(minor)];
  return ((M & 0xfffff000n) << 32n) | ((M & 0xfffn) << 8n) | ((m & 0xffffff00n) << 12n) | (m & 0xffn);
}

/** @throws Errno */
export function symlinkAt(target: Name, directory: number, name: Name): void {
  check(symbols.symlinkat(cstring(target), directory, cstring(name)), "symlinkat", name);
}

/** A hard link; a symbolic link at `from` is linked itself. @throws Errno */
export function linkAt(fromDirectory: number, from: Name, directory: number, name: Name): void {
  check(symbols.linkat(fromDirectory, cstring(from), directory, cstring(name), 0), "linkat", name);
}

/** @param flags 0 or AT_REMOVEDIR @throws Errno */
export function unlinkAt(directory: number, name: Name, flags = 0): void {
  check(symbols.unlinkat(directory, cstring(name), flags), "unlinkat", name);
}

/** Links are not followed. @throws Errno */
export function chownAt(directory: number, name: Name, uid: number, gid: number): void {
  check(symbols.fchownat(directory, cstring(name), uid, gid, AT_SYMLINK_NOFOLLOW), "fchownat", name);
}

/** Changes the mode of what is itself no link; a link put in its place meanwhile is not followed. @throws Errno */
export function chmodAt(directory: number, name: Name, mode: number): void {
  const fd = openAt(directory, name, O_PATH | O_NOFOLLOW);
  try {
    // A descriptor of O_PATH takes no fchmod; on a link this fails with EOPNOTSUPP.
    chmodSync(`/proc/self/fd/${fd}`, mode);
  } finally {
    closeSync(fd);
  }
}

const UTIME_OMIT = 0x3ffffffen;
const times = new BigInt64Array([0n, UTIME_OMIT, 0n, 0n]);

function mtimeOnly(nanoseconds: bigint): BigInt64Array {
  const rest = ((nanoseconds % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n;
  times[2] = (nanoseconds - rest) / 1_000_000_000n;
  times[3] = rest;
  return times;
}

/** Sets the modification time (nanoseconds since the epoch); links are not followed. @throws Errno */
export function setMtimeAt(directory: number, name: Name, nanoseconds: bigint): void {
  check(
    symbols.utimensat(directory, cstring(name), mtimeOnly(nanoseconds), AT_SYMLINK_NOFOLLOW),
    "utimensat",
    name,
  );
}

/** @throws Errno */
export function setMtime(fd: number, nanoseconds: bigint): void {
  check(symbols.futimens(fd, mtimeOnly(nanoseconds)), "futimens");
}

/** The target's bytes. @throws Errno */
export function readlinkAt(directory: number, name: Name): Buffer {
  const buffer = Buffer.allocUnsafe(4096);
  const length = symbols.readlinkat(directory, cstring(name), buffer, buffer.length);
  return buffer.subarray(0, check(Number(length), "readlinkat", name));
}

const statxBasic = 0x7ff;
const statBuffer = new ArrayBuffer(256);
const statBytes = new Uint8Array(statBuffer);
const stat = new DataView(statBuffer);

/** What statx(2) has just told. */
export class FileStat {
  /** Type (`S_IF*`) and permissions. */
  readonly mode = stat.getUint16(28, true);
  readonly uid = stat.getUint32(20, true);
  readonly gid = stat.getUint32(24, true);
  readonly nlink = stat.getUint32(16, true);
  /** As exactly as a number goes. */
  readonly inode = wide(32);
  /** Bytes. */
  readonly size = wide(40);
  /** Nanoseconds since the epoch. */
  readonly mtime = stat.getBigInt64(112, true) * 1_000_000_000n + BigInt(stat.getUint32(120, true));
  /** Of a device node. */
  readonly device = { major: stat.getUint32(128, true), minor: stat.getUint32(132, true) };
  readonly #major = stat.getUint32(136, true);
  readonly #minor = stat.getUint32(140, true);
  readonly #high = stat.getUint32(36, true);
  readonly #low = stat.getUint32(32, true);

  /** Device and inode: equal for hard links of one file. */
  get id(): string {
    const inode = this.#high === 0 ? this.#low : (BigInt(this.#high) << 32n) | BigInt(this.#low);
    return `${this.#major}:${this.#minor}:${inode}`;
  }
}

/** 64 bits. */
function wide(at: number): number {
  return stat.getUint32(at, true) + stat.getUint32(at + 4, true) * 2 ** 32;
}

/** Status of `name` in `directory`, a link's own; with an empty name that of the descriptor. @throws Errno */
export function statAt(directory: number, name: Name): FileStat {
  const flags = AT_SYMLINK_NOFOLLOW | (name.length === 0 ? AT_EMPTY_PATH : 0);
  check(symbols.statx(directory, cstring(name), flags, statxBasic, statBytes), "statx", name);
  return new FileStat();
}

/** As `statAt`, undefined when there is nothing of that name. @throws Errno */
export function tryStatAt(directory: number, name: Name): FileStat | undefined {
  return unlessMissing(() => statAt(directory, name));
}

/** The result of `call`, undefined when it fails because nothing is there (ENOENT, ENOTDIR). */
export function unlessMissing<T>(call: () => T): T | undefined {
  try {
    return call();
  } catch (error) {
    if (error instanceof Errno && (error.code === "ENOENT" || error.code === "ENOTDIR")) return undefined;
    throw error;
  }
}

const DT_UNKNOWN = 0;

/** Whether the open directory's file system says with a name what it is, as overlayfs wants it. @throws Errno */
export function tellsTypes(directory: number): boolean {
  const buffer = Buffer.allocUnsafe(64 << 10);
  const length = check(Number(symbols.getdents64(directory, buffer, buffer.length)), "getdents64");
  for (let at = 0; at < length; at += buffer.readUInt16LE(at + 16))
    if (buffer[at + 18] === DT_UNKNOWN) return false;
  return true;
}

/** Names in the open directory, without `.` and `..`, in the kernel's order. @throws Errno */
export function readNames(directory: number): Buffer[] {
  return readEntries(directory).map(({ name }) => name);
}

/** As `readNames`, with the type's `S_IF*`, 0 where the file system doesn't tell. @throws Errno */
export function readEntries(directory: number): { name: Buffer; type: number }[] {
  const entries: { name: Buffer; type: number }[] = [];
  const buffer = Buffer.allocUnsafe(64 << 10);
  for (;;) {
    const length = check(Number(symbols.getdents64(directory, buffer, buffer.length)), "getdents64");
    if (length === 0) return entries;
    for (let at = 0; at < length; at += buffer.readUInt16LE(at + 16)) {
      const name = buffer.subarray(at + 19, buffer.indexOf(0, at + 19));
      if (name.equals(dot) || name.equals(dotdot)) continue;
      // DT_* of getdents(2) are S_IF* without their low bits.
      entries.push({ name: Buffer.from(name), type: buffer[at + 18]! << 12 });
    }
  }
}
const dot = Buffer.from(".");
const dotdot = Buffer.from("..");

/** There is no `at` form of the xattr calls; the descriptor's entry in /proc stands for the directory. */
function through(directory: number, name: Name): Buffer {
  return cstring(Buffer.concat([Buffer.from(`/proc/self/fd/${directory}/`), Buffer.from(name)]));
}

/**
 * Sets an extended attribute of `name` in `directory`, or with an empty name of what the descriptor itself has open;
 * links are not followed. @throws Errno
 */
export function setXattrAt(directory: number, name: Name, attribute: Name, value: Uint8Array): void {
  // An empty array has no address to pass.
  const bytes = value.length === 0 ? Buffer.alloc(1) : value;
  const result =
    name.length === 0
      ? symbols.fsetxattr(directory, cstring(attribute), bytes, value.length, 0)
      : symbols.lsetxattr(through(directory, name), cstring(attribute), bytes, value.length, 0);
  check(result, `setxattr(${text(attribute)})`, text(name));
}

/** undefined when the file hasn't that attribute, or the file system has none at all. @throws Errno */
export function getXattrAt(directory: number, name: Name, attribute: Name): Buffer | undefined {
  const buffer = xattrBuffer;
  const length = Number(
    name.length === 0
      ? symbols.fgetxattr(directory, cstring(attribute), buffer, buffer.length)
      : symbols.lgetxattr(through(directory, name), cstring(attribute), buffer, buffer.length),
  );
  if (length >= 0) return Buffer.from(buffer.subarray(0, length));
  return noXattr("getxattr", name);
}

/** Names of the extended attributes. @throws Errno */
export function listXattrsAt(directory: number, name: Name): Buffer[] {
  const buffer = xattrBuffer;
  const length = Number(
    name.length === 0
      ? symbols.flistxattr(directory, buffer, buffer.length)
      : symbols.llistxattr(through(directory, name), buffer, buffer.length),
  );
  if (length < 0) return noXattr("listxattr", name) ?? [];
  const names: Buffer[] = [];
  for (let at = 0; at < length; ) {
    const end = buffer.indexOf(0, at);
    names.push(Buffer.from(buffer.subarray(at, end)));
    at = end + 1;
  }
  return names;
}
// XATTR_LIST_MAX and XATTR_SIZE_MAX.
const xattrBuffer = Buffer.allocUnsafe(64 << 10);

function noXattr(syscall: string, name: Name): undefined {
  const failed = errno();
  if (failed === constants.errno.ENODATA || failed === constants.errno.EOPNOTSUPP) return undefined;
  throw new Errno(failed, syscall, text(name));
}

/**
 * Lets the kernel begin to write an open file's bytes to the disk (sync_file_range(2)); they're safe after an fsync
 * only. A file system that can't has nothing to begin.
 */
export function startWriting(fd: number): void {
  const SYNC_FILE_RANGE_WRITE = 2;
  symbols.sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE);
}

/** Takes the exclusive flock of an open file; false when another process has it. @throws Errno */
export function tryLock(fd: number): boolean {
  const [LOCK_EX, LOCK_NB] = [2, 4];
  if (symbols.flock(fd, LOCK_EX | LOCK_NB) === 0) return true;
  const failed = errno();
  if (failed === constants.errno.EWOULDBLOCK) return false;
  throw new Errno(failed, "flock");
}
