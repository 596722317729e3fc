import { fstatSync, lstatSync, mkdirSync, readlinkSync, rmSync, type Stats } from "node:fs";
import { basename, dirname, join, posix } from "node:path";
import { finished, type Readable } from "node:stream";
import { Forbidden, InvalidParameter, messageOf, NotFound } from "../../lib/errors.ts";
import type { IdMap } from "../../lib/id-map.ts";
import { Descriptor, O_PATH, openInRoot } from "../../linux/fs.ts";
import { Errno } from "../../linux/libc.ts";
import { resolveUser } from "../../runtime/index.ts";
import { type Context, paths, snapshotKey } from "../context.ts";
import { remapOf } from "../remap.ts";
import { entriesBelow } from "../tree.ts";
import type { ContainerRecord, PathStat } from "../types.ts";
import { isRunning } from "./state.ts";

/** The tree of a container, mounted for as long as it is held; a running one's is there already. */
class Tree implements Disposable {
  readonly root: string;
  /** Owners of its files, and of those in its mounts, are to be seen through this. */
  readonly idMap: IdMap | undefined;
  /** Places that are unmounted at the end. */
  #mounted: string[] = [];
  readonly #view: string | undefined;

  constructor(
    private readonly context: Context,
    record: ContainerRecord,
  ) {
    const remap = remapOf(context.remap, record);
    this.#view = remap?.view;
    this.idMap = isRunning(record) ? record.idMap : remap?.map;
    this.root = isRunning(record)
      ? paths.rootfs(context.options, record.id)
      : this.mount(snapshotKey(record.id));
  }

  /** A snapshot's tree at a place of its own: the container may start meanwhile. */
  mount(key: string): string {
    const place = join(this.context.options.execRoot, "f", crypto.randomUUID());
    this.context.store.snapshots.mountAt(key, place, this.#view);
    this.#mounted.push(place);
    return place;
  }

  [Symbol.dispose](): void {
    for (const place of this.#mounted.splice(0)) {
      this.context.store.snapshots.unmount(place);
      rmSync(place, { recursive: true, force: true });
    }
  }
}

/** Where a path of the container is: in a volume, image or bind mount, or in its own tree. */
function locate(
  record: ContainerRecord,
  tree: Tree,
  path: string,
): { root: string; path: string; readOnly: boolean } {
  const clean = posix.normalize(`/${path}`);
  const mount = record.mounts
    .filter(
      ({ type, destination }) =>
        type !== "tmpfs" && (clean === destination || clean.startsWith(`${destination}/`)),
    )
    .sort((a, b) => b.destination.length - a.destination.length)[0];
  if (mount)
    return {
      root: mount.image ? tree.mount(mount.image.chain) : mount.source,
      path: posix.join("/", mount.subpath ?? "", clean.slice(mount.destination.length)),
      readOnly: !mount.rw,
    };
  return { root: tree.root, path: clean, readOnly: record.hostConfig.ReadonlyRootfs };
}

/** @throws NotFound `Could not find the file x in container y` */
export function statPath(context: Context, record: ContainerRecord, path: string): PathStat {
  using tree = new Tree(context, record);
  return statIn(record, locate(record, tree, path), path);
}

/** A tar of a file or directory, as `docker cp` reads it. The tree is let go when the stream ends. */
export function getArchive(
  context: Context,
  record: ContainerRecord,
  path: string,
): { stat: PathStat; tar: Readable } {
  const tree = new Tree(context, record);
  try {
    const place = locate(record, tree, path);
    const stat = statIn(record, place, path);
    // `/src/.` asks for what is in the directory, and the client names it as it likes.
    const as = /(^|\/)\.$/.test(path) ? "." : stat.name;
    const tar = context.store.layers.archive(place.root, place.path, { as, idMap: tree.idMap });
    finished(tar, () => tree[Symbol.dispose]());
    return { stat, tar };
  } catch (error) {
    tree[Symbol.dispose]();
    throw error;
  }
}

/** Unpacks a tar into a directory of the container. @throws NotFound, InvalidParameter, Forbidden */
export async function putArchive(
  context: Context,
  record: ContainerRecord,
  path: string,
  tar: Readable,
  options: { noOverwriteDirNonDir: boolean; copyUidGid: boolean },
): Promise<void> {
  using tree = new Tree(context, record);
  const place = locate(record, tree, path);
  using target = openInside(record, place.root, place.path, path);
  if (!fstatSync(target.fd).isDirectory()) throw new InvalidParameter("extraction point is not a directory");
  if (place.readOnly)
    throw new Forbidden(
      place.root === tree.root
        ? "container rootfs is marked read-only"
        : "mounted volume is marked read-only",
    );
  // What Docker's name for it doesn't say: the files become those of the user that the container runs as.
  const { User } = record.config;
  const owner = options.copyUidGid && User ? await resolveUser(tree.root, User, []) : undefined;
  // By its descriptor: a process in the container could put a link in the path's way meanwhile.
  await context.store.layers.extract(tar, `/proc/self/fd/${target.fd}`, {
    idMap: tree.idMap,
    noOverwriteDirNonDir: options.noOverwriteDirNonDir,
    owner: owner && { uid: owner.uid, gid: owner.gid },
  });
}

/**
 * What `path` means to a process whose root is `root`; links never lead out, whatever changes meanwhile.
 * @param asked how the caller named it
 */
function openInside(record: ContainerRecord, root: string, path: string, asked: string): Descriptor {
  using directory = Descriptor.directory(root);
  try {
    return new Descriptor(openInRoot(directory.fd, path, O_PATH));
  } catch (error) {
    if (!(error instanceof Errno)) throw error;
    if (error.code === "ENOENT")
      throw new NotFound(`Could not find the file ${asked} in container ${record.name}`);
    if (error.code === "ENOTDIR") throw new NotFound(`${asked}: not a directory`);
    throw new InvalidParameter(`invalid path ${asked}: ${error.code}`, { cause: error });
  }
}

/** The whole tree as a tar, volumes left out, as `docker export`. */
export function exportTree(context: Context, record: ContainerRecord): Readable {
  const tree = new Tree(context, record);
  const tar = context.store.layers.archive(tree.root, "/", { as: ".", idMap: tree.idMap });
  finished(tar, () => tree[Symbol.dispose]());
  return tar;
}

/** What the container's own layer changes: 0 modified, 1 added, 2 deleted; sorted by path. */
export async function changes(
  context: Context,
  record: ContainerRecord,
): Promise<{ path: string; kind: 0 | 1 | 2 }[]> {
  const { snapshots } = context.store;
  const key = snapshotKey(record.id);
  const upper = snapshots.upperDir(key);
  const parent = snapshots.stat(key)?.parent;
  const lower = join(context.options.execRoot, "f", crypto.randomUUID());
  mkdirSync(lower, { recursive: true });
  if (parent) snapshots.mountAt(parent, lower);
  try {
    const found: { path: string; kind: 0 | 1 | 2 }[] = [];
    for await (const entry of entriesBelow(upper)) {
      const path = join(entry.parentPath, entry.name).slice(upper.length);
      const stat = lstatSync(join(upper, path), { throwIfNoEntry: false });
      if (!stat) continue;
      if (stat.isCharacterDevice() && stat.rdev === 0) found.push({ path, kind: 2 });
      else found.push({ path, kind: lstatSync(join(lower, path), { throwIfNoEntry: false }) ? 0 : 1 });
    }
    return found.sort((a, b) => (a.path < b.path ? -1 : 1));
  } finally {
    if (parent) snapshots.unmount(lower);
    rmSync(lower, { recursive: true, force: true });
  }
}

function statIn(record: ContainerRecord, place: { root: string; path: string }, asked: string): PathStat {
  // The last component is not followed (unless the path ends in a slash): a link is copied as a link.
  const follow = asked.endsWith("/") || place.path === "/";
  using opened = openInside(record, place.root, follow ? place.path : dirname(place.path), asked);
  const target = `/proc/self/fd/${opened.fd}/${basename(place.path)}`;
  const stat = follow ? fstatSync(opened.fd) : statOf(target);
  if (!stat) throw new NotFound(`Could not find the file ${asked} in container ${record.name}`);
  if (asked.endsWith("/") && !stat.isDirectory()) throw new InvalidParameter(`${asked}: not a directory`);
  return {
    name: basename(posix.normalize(`/${asked}`)) || "/",
    size: stat.size,
    mode: goFileMode(stat),
    mtime: stat.mtimeMs,
    linkTarget: stat.isSymbolicLink() ? readlinkSync(target) : "",
  };
}

function statOf(path: string): Stats | undefined {
  try {
    return lstatSync(path, { throwIfNoEntry: false });
  } catch (error) {
    // A file in the place of a directory, or a name that no file can have.
    throw new NotFound(`Could not find the file: ${messageOf(error)}`, { cause: error });
  }
}

/** Go's os.FileMode: its own type bits above the nine permission bits. */
function goFileMode(stat: Stats): number {
  let mode = stat.mode & 0o777;
  if (stat.isDirectory()) mode += 2 ** 31;
  if (stat.isSymbolicLink()) mode += 2 ** 27;
  if (stat.isBlockDevice() || stat.isCharacterDevice()) mode += 2 ** 26;
  if (stat.isFIFO()) mode += 2 ** 25;
  if (stat.isSocket()) mode += 2 ** 24;
  if (stat.mode & 0o4000) mode += 2 ** 23;
  if (stat.mode & 0o2000) mode += 2 ** 22;
  if (stat.isCharacterDevice()) mode += 2 ** 21;
  if (stat.mode & 0o1000) mode += 2 ** 20;
  return mode;
}
