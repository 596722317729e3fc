/** The local end of `cp`: files to a tar stream and back. */
import {
  chmodSync,
  chownSync,
  closeSync,
  constants,
  ftruncateSync,
  lchownSync,
  linkSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  openSync,
  readlinkSync,
  realpathSync,
  rmSync,
  type Stats,
  statSync,
  symlinkSync,
  utimesSync,
  writeSync,
} from "node:fs";
import { lstat, open, readdir, readlink } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { InvalidParameter, NotFound } from "../../lib/errors.ts";
import {
  endOfArchive,
  formatHeader,
  fromText,
  paddingOf,
  plainEntry,
  readable,
  type TarEntry,
  TarReader,
} from "../../lib/tar/index.ts";
import type { CopyPlace, CopySource, PathInfo } from "./copy-paths.ts";

/**
 * Where a local path leads when links are followed, and what is there.
 * @throws NotFound when not even its directory is there, InvalidParameter for a device, in whose place a file would come
 */
export function localDestination(path: string): { path: string; info: PathInfo | undefined } {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat?.isBlockDevice() || stat?.isCharacterDevice())
    throw new InvalidParameter(
      `invalid output path: ${JSON.stringify(resolve(path))} must be a directory or a regular file: got a device`,
    );
  if (stat?.isDirectory()) return { path, info: { isDirectory: true } };
  if (stat) return { path: path.endsWith("/") ? path : realpathSync(path), info: { isDirectory: false } };
  if (lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink())
    return localDestination(resolve(dirname(resolve(path)), readlinkSync(path)));
  const parent = dirname(resolve(path));
  if (!statSync(parent, { throwIfNoEntry: false })?.isDirectory())
    throw new NotFound(`invalid output path: directory ${JSON.stringify(parent)} does not exist`);
  return { path, info: undefined };
}

/** The file to copy, with the path to read it by when links are followed. @throws NotFound */
export function sourceInfo(path: string, follow: boolean): CopySource & { real: string } {
  const link = lstatSync(path, { throwIfNoEntry: false });
  if (!link) throw new NotFound(`lstat ${resolve(path)}: no such file or directory`);
  const suffix = path === "." ? "/." : (/\/\.?$/.exec(path)?.[0] ?? "");
  const follows = follow || suffix !== "";
  const isDirectory = (follows ? statSync(path) : link).isDirectory();
  const named = resolve(path);
  return { path: named + suffix, isDirectory, real: follows ? realpathSync(path) : named };
}

const chunkSize = 256 * 1024;

/** A file or tree as tar, under `name`; without one, what is in the directory. */
export async function* packCopy(path: string, name: string | undefined): AsyncGenerator<Uint8Array> {
  if (name !== undefined) yield* packEntry(path, name);
  else for (const child of (await readdir(path)).sort()) yield* packEntry(join(path, child), child);
  yield endOfArchive;
}

async function* packEntry(path: string, name: string): AsyncGenerator<Uint8Array> {
  const stat = await lstat(path);
  const header = {
    mode: stat.mode & 0o7777,
    uid: stat.uid,
    gid: stat.gid,
    mtime: BigInt(Math.trunc(stat.mtimeMs)) * 1_000_000n,
  };
  if (stat.isDirectory()) {
    yield formatHeader(plainEntry({ ...header, path: fromText(`${name}/`), type: "directory" }));
    for (const child of (await readdir(path)).sort()) yield* packEntry(join(path, child), `${name}/${child}`);
  } else if (stat.isSymbolicLink()) {
    const linkPath = fromText(await readlink(path));
    yield formatHeader(plainEntry({ ...header, path: fromText(name), type: "symlink", linkPath }));
  } else if (stat.isFile()) {
    yield formatHeader(plainEntry({ ...header, path: fromText(name), size: stat.size }));
    yield* contentOf(path, stat);
    yield Buffer.alloc(paddingOf(stat.size));
  }
}

/** Exactly as many bytes as the header says, whatever happens to the file meanwhile. */
async function* contentOf(path: string, { size }: Stats): AsyncGenerator<Uint8Array> {
  const file = await open(path, "r");
  try {
    for (let left = size; left > 0; ) {
      const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(Math.min(left, chunkSize)));
      if (bytesRead === 0) throw new InvalidParameter(`${path}: file became shorter while it was copied`);
      left -= bytesRead;
      yield buffer.subarray(0, bytesRead);
    }
  } finally {
    await file.close();
  }
}

/**
 * Unpacks an archive of one file or tree to its place. Whatever the archive says, nothing is written outside.
 * @param options `whole`: the archive is not of one thing, but of all that goes into the place
 * @returns the bytes of the archive
 * @throws InvalidParameter for an archive that isn't one
 */
export async function unpackCopy(
  tar: AsyncIterable<Uint8Array>,
  place: CopyPlace,
  options: { owners: boolean; whole?: boolean },
): Promise<number> {
  const target = new Target(place, options.owners, options.whole ? "" : undefined);
  const reader = new TarReader(target);
  let bytes = 0;
  try {
    for await (const chunk of tar) {
      bytes += chunk.length;
      reader.push(chunk);
    }
    reader.finish();
    target.finish();
  } finally {
    target.close();
  }
  return bytes;
}

class Target {
  readonly #base: string;
  readonly #name: string | undefined;
  /** All entries lie below it; the first one's path when it isn't known before. */
  #root: string | undefined;
  /** Directories that are real ones, made or seen by us. */
  readonly #directories = new Set<string>();
  /** Times of directories are set when all is in them. */
  readonly #times: [path: string, entry: TarEntry][] = [];
  #open: { fd: number; path: string; entry: TarEntry } | undefined;

  constructor(
    place: CopyPlace,
    private readonly owners: boolean,
    root: string | undefined,
  ) {
    this.#root = root;
    this.#base = realpathSync(place.directory);
    this.#name = place.name;
    this.#directories.add(this.#base);
  }

  entry(entry: TarEntry): void {
    const path = this.#pathOf(readable(entry.path));
    if (path === this.#base) {
      if (entry.type !== "directory") throw new InvalidParameter("invalid archive: its root is no directory");
      return;
    }
    this.#enter(dirname(path));
    const before = lstatSync(path, { throwIfNoEntry: false });
    if (entry.type === "directory") {
      if (before && !before.isDirectory()) rmSync(path);
      if (!before?.isDirectory()) mkdirSync(path);
      this.#directories.add(path);
      this.#times.push([path, entry]);
      return;
    }
    if (before?.isDirectory())
      throw new InvalidParameter(`cannot overwrite directory ${path} with non-directory`);
    if (before) rmSync(path);
    if (entry.type === "file") {
      const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
      this.#open = { fd: openSync(path, flags, 0o600), path, entry };
    } else if (entry.type === "symlink") {
      symlinkSync(readable(entry.linkPath), path);
      if (this.owners) lchownSync(path, entry.uid, entry.gid);
      lutimesSync(path, seconds(entry), seconds(entry));
    } else if (entry.type === "link") {
      const existing = this.#pathOf(readable(entry.linkPath));
      this.#enter(dirname(existing));
      if (!lstatSync(existing, { throwIfNoEntry: false })?.isFile())
        throw new InvalidParameter(`invalid archive: hard link to ${entry.linkPath}`);
      linkSync(existing, path);
    }
    // Devices and pipes stay behind.
  }

  data(bytes: Uint8Array, offset: number): void {
    if (!this.#open) return;
    for (let at = 0; at < bytes.length; )
      at += writeSync(this.#open.fd, bytes, at, bytes.length - at, offset + at);
  }

  end(): void {
    if (!this.#open) return;
    const { fd, path, entry } = this.#open;
    // A sparse file may end in a hole.
    ftruncateSync(fd, entry.size);
    this.close();
    this.#attributes(path, entry);
  }

  /** The directories' own attributes, the deepest first. */
  finish(): void {
    for (const [path, entry] of this.#times.reverse()) this.#attributes(path, entry);
  }

  close(): void {
    if (this.#open) closeSync(this.#open.fd);
    this.#open = undefined;
  }

  #attributes(path: string, entry: TarEntry): void {
    if (this.owners) chownSync(path, entry.uid, entry.gid);
    chmodSync(path, this.owners ? entry.mode : entry.mode & 0o1777);
    utimesSync(path, seconds(entry), seconds(entry));
  }

  /** The path on this machine; the archive's root gets the new name. @throws InvalidParameter */
  #pathOf(name: string): string {
    const parts = name.split("/").filter((part) => part !== "" && part !== ".");
    if (parts.includes("..")) throw new InvalidParameter(`invalid archive: path ${JSON.stringify(name)}`);
    this.#root ??= parts.join("/");
    const depth = this.#root === "" ? 0 : this.#root.split("/").length;
    if (parts.slice(0, depth).join("/") !== this.#root)
      throw new InvalidParameter(`invalid archive: ${JSON.stringify(name)} is outside of what was asked for`);
    return join(this.#base, this.#name ?? "", ...parts.slice(depth));
  }

  /** Makes sure that a directory is a real one: a link could lead anywhere. */
  #enter(path: string): void {
    if (this.#directories.has(path)) return;
    this.#enter(dirname(path));
    const stat = lstatSync(path, { throwIfNoEntry: false });
    if (!stat) mkdirSync(path);
    else if (!stat.isDirectory())
      throw new InvalidParameter(`invalid archive: ${basename(path)} is no directory`);
    this.#directories.add(path);
  }
}

const seconds = ({ mtime }: TarEntry): number => Number(mtime / 1_000_000n) / 1000;
