/** Overlay snapshots: rows in SQLite, trees in numbered directories, mounts by mount(2). */
import type { Database } from "bun:sqlite";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
} from "node:fs";
import { rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { Conflict, NotFound } from "../lib/errors.ts";
import { spreadDirectories } from "../linux/inode-flags.ts";
import { Errno } from "../linux/libc.ts";
import { MNT_DETACH, mount, mountDataLimit, umount, umountIfMounted } from "../linux/mount.ts";
import type { SqliteMetadata } from "./metadata.ts";
import type { Mount, SnapshotInfo, SnapshotKind, Snapshots } from "./types.ts";

interface Row {
  id: number;
  key: string;
  parent: number | null;
  parentKey: string | null;
  kind: SnapshotKind;
  size: number | null;
  createdAt: number;
}

/** What becomes a snapshot by `adopt`; `directory` is to be filled. */
export interface UnnamedTree {
  readonly path: string;
  readonly directory: string;
}

/** Adds up the files below a directory; runs elsewhere than on the daemon's thread. */
export type Measure = (directory: string) => Promise<{ bytes: number; inodes: number }>;

/**
 * So that an upper directory is plain, a layer as it stands: no redirects, no metadata-only copies, no index that
 * ties it to its lower ones. `nofollow` also keeps a layer's own attributes from pointing elsewhere.
 */
export const overlayOptions = ["index=off", "redirect_dir=nofollow", "metacopy=off"];

export class OverlaySnapshots implements Snapshots {
  readonly #database: Database;
  readonly #queries;
  /** The lowest layer below every tree: overlayfs wants one even for a snapshot that stands alone. */
  readonly #empty: string;
  readonly #removals = new Set<Promise<void>>();

  /** @param root `<store>/snapshots` */
  constructor(
    readonly root: string,
    private readonly metadata: SqliteMetadata,
    private readonly measure: Measure,
  ) {
    this.#database = metadata.database;
    this.#empty = join(root, "empty");
    mkdirSync(this.#empty, { recursive: true, mode: 0o755 });
    spreadDirectories(root);
    chmodSync(root, 0o711);
    this.#database.run(`CREATE TABLE IF NOT EXISTS snapshots (
      id INTEGER PRIMARY KEY AUTOINCREMENT,
      key TEXT NOT NULL UNIQUE,
      parent INTEGER REFERENCES snapshots (id),
      kind TEXT NOT NULL,
      size INTEGER,
      created_at INTEGER NOT NULL
    ) STRICT`);
    this.#database.run("CREATE INDEX IF NOT EXISTS snapshots_parent ON snapshots (parent)");
    this.#queries = queriesOf(this.#database);
  }

  /**
   * Makes rows and directories agree after a crash: what a row lacks its directory is dropped with all that stand
   * on it, and directories without a row, interrupted unpacking among them, are removed.
   */
  recover(): void {
    this.metadata.transaction(() => {
      for (const { id } of this.#queries.list.all())
        if (!existsSync(this.#upper(id))) this.#queries.removeTree.run(id);
    });
    const known = new Set([basename(this.#empty), ...this.#queries.list.all().map(({ id }) => String(id))]);
    for (const name of readdirSync(this.root))
      if (!known.has(name)) rmSync(join(this.root, name), { recursive: true, force: true });
  }

  stat(key: string): SnapshotInfo | undefined {
    const row = this.#queries.byKey.get(key);
    return row ? infoOf(row) : undefined;
  }

  prepare(key: string, parent?: string): SnapshotInfo {
    const below = parent === undefined ? undefined : this.#row(parent);
    if (below && below.kind !== "committed") throw new Conflict(`snapshot ${parent} is not committed`);
    if (this.#queries.byKey.get(key)) throw new Conflict(`snapshot ${key} already exists`);
    // Whoever begins something that grows leaves room to clear it up.
    this.metadata.reserve.keep();
    let directory: string | undefined;
    try {
      // The directory is there before the row is seen: a crash leaves at most a directory without a row.
      return this.metadata.transaction(() => {
        this.#queries.insert.run(key, below?.id ?? null, Date.now());
        const row = this.#row(key);
        directory = join(this.root, String(row.id));
        rmSync(directory, { recursive: true, force: true });
        mkdirSync(join(directory, "work"), { recursive: true, mode: 0o711 });
        this.#makeUpper(row.id, below?.id);
        return infoOf(row);
      });
    } catch (error) {
      if (directory) rmSync(directory, { recursive: true, force: true });
      throw error;
    }
  }

  /** A tree to be filled that has no name and no parent yet. */
  unnamed(): UnnamedTree {
    this.metadata.reserve.keep();
    const path = join(this.root, `new-${crypto.randomUUID()}`);
    const directory = join(path, "fs");
    mkdirSync(directory, { recursive: true, mode: 0o711 });
    chmodSync(directory, 0o755);
    return { path, directory };
  }

  /** Makes a filled tree the committed snapshot `name`. @throws NotFound parent, Conflict name taken */
  adopt(tree: UnnamedTree, name: string, size: number, parent?: string): SnapshotInfo {
    const below = parent === undefined ? undefined : this.#row(parent);
    if (this.#queries.byKey.get(name)) throw new Conflict(`snapshot ${name} already exists`);
    return this.metadata.transaction(() => {
      this.#queries.insert.run(name, below?.id ?? null, Date.now());
      this.#queries.commit.run(name, size, name);
      const row = this.#row(name);
      const directory = join(this.root, String(row.id));
      rmSync(directory, { recursive: true, force: true });
      // A crash before the transaction ends leaves a directory without a row.
      renameSync(tree.path, directory);
      return infoOf(row);
    });
  }

  discard(tree: UnnamedTree): void {
    this.#removeLater(tree.path);
  }

  mounts(key: string): Mount[] {
    const row = this.#row(key);
    const own = this.#upper(row.id);
    const below = this.#idsBelow(row).map((id) => this.#upper(id));
    const active = row.kind === "active";
    const lower = [...(active ? [] : [own]), ...below, this.#empty];
    // An overlay without an upper layer has two lower ones at least: own and empty.
    const options = [...overlayOptions, `lowerdir=${lower.map(escapeOption).join(":")}`];
    if (active)
      options.push(
        `upperdir=${escapeOption(own)}`,
        `workdir=${escapeOption(join(this.root, String(row.id), "work"))}`,
      );
    return [{ type: "overlay", source: "overlay", options }];
  }

  upperDir(key: string): string {
    return this.#upper(this.#row(key).id);
  }

  /** Directories of the layers below `key`'s own, nearest first. */
  lowerDirs(key: string): string[] {
    return this.#idsBelow(this.#row(key)).map((id) => this.#upper(id));
  }

  /** Directories of `key`'s own layer and those below, nearest first. */
  treesOf(key: string): string[] {
    return [this.upperDir(key), ...this.lowerDirs(key)];
  }

  async commit(name: string, key: string, size?: number): Promise<SnapshotInfo> {
    this.#checkActive(key);
    const bytes = size ?? (await this.usage(key)).bytes;
    return this.metadata.transaction(() => {
      this.#checkActive(key);
      if (name !== key && this.#queries.byKey.get(name))
        throw new Conflict(`snapshot ${name} already exists`);
      this.#queries.commit.run(name, bytes, key);
      return infoOf(this.#row(name));
    });
  }

  remove(key: string): void {
    const { id } = this.#row(key);
    if (this.#queries.child.get(id)) throw new Conflict(`snapshot ${key} has snapshots on it`);
    this.metadata.write(() => this.#queries.remove.run(id));
    // The row's end is the snapshot's end; the files can go in their own time, or at the next opening.
    this.#removeLater(join(this.root, String(id)));
  }

  #removeLater(directory: string): void {
    const removal = rm(directory, { recursive: true, force: true })
      .catch((error: unknown) => console.error(`cannot remove ${directory} of the snapshots:`, error))
      .finally(() => this.#removals.delete(removal));
    this.#removals.add(removal);
  }

  usage(key: string): Promise<{ bytes: number; inodes: number }> {
    return this.measure(this.upperDir(key));
  }

  list(): SnapshotInfo[] {
    return this.#queries.list.all().map(infoOf);
  }

  mountAt(key: string, target: string, view = this.root): void {
    const [{ type, source, options }] = this.mounts(key) as [Mount];
    mkdirSync(target, { recursive: true, mode: 0o700 });
    const data = options.join(",").replaceAll(escapeOption(this.root), escapeOption(view));
    if (Buffer.byteLength(data) < mountDataLimit) {
      mount(source, target, type, 0, data);
      return;
    }
    // Too many layers for one page of options: name them from the root. Nothing runs between the two changes of
    // directory, and no thread of ours uses relative paths.
    const short = data.replaceAll(`${escapeOption(view)}/`, "");
    const cwd = process.cwd();
    process.chdir(view);
    try {
      mount(source, target, type, 0, short);
    } catch (error) {
      if (Buffer.byteLength(short) < mountDataLimit || !(error instanceof Errno)) throw error;
      throw new Conflict(`snapshot ${key} has more layers than can be mounted`, { cause: error });
    } finally {
      process.chdir(cwd);
    }
  }

  unmount(target: string): void {
    try {
      umountIfMounted(target);
    } catch (error) {
      if (!(error instanceof Errno) || error.code !== "EBUSY") throw error;
      // Someone still has a file open in it; the kernel lets go with the last of them.
      umount(target, MNT_DETACH);
    }
  }

  /** Resolves when the directories of removed snapshots are gone. */
  async settle(): Promise<void> {
    await Promise.all(this.#removals);
  }

  #row(key: string): Row {
    const row = this.#queries.byKey.get(key);
    if (!row) throw new NotFound(`snapshot ${key}: not found`);
    return row;
  }

  #checkActive(key: string): void {
    if (this.#row(key).kind !== "active") throw new Conflict(`snapshot ${key} is committed already`);
  }

  #upper(id: number): string {
    return join(this.root, String(id), "fs");
  }

  #idsBelow(row: Row): number[] {
    return row.parent === null ? [] : this.#queries.ancestors.all(row.parent).map(({ id }) => id);
  }

  /** The root of the merged tree takes its owner and mode from the uppermost layer, so they're handed up. */
  #makeUpper(id: number, parent: number | undefined): void {
    const upper = this.#upper(id);
    mkdirSync(upper, { mode: 0o755 });
    if (parent === undefined) return;
    const { uid, gid, mode } = statSync(this.#upper(parent));
    chownSync(upper, uid, gid);
    chmodSync(upper, mode & 0o7777);
  }
}

const columns = `s.id, s.key, s.parent, p.key AS parentKey, s.kind, s.size, s.created_at AS createdAt
  FROM snapshots s LEFT JOIN snapshots p ON p.id = s.parent`;

function queriesOf(database: Database) {
  return {
    byKey: database.query<Row, [string]>(`SELECT ${columns} WHERE s.key = ?`),
    list: database.query<Row, []>(`SELECT ${columns} ORDER BY s.id`),
    child: database.query<{ id: number }, [number]>("SELECT id FROM snapshots WHERE parent = ? LIMIT 1"),
    ancestors: database.query<{ id: number }, [number]>(
      `WITH RECURSIVE below (id, parent, depth) AS (
         SELECT id, parent, 0 FROM snapshots WHERE id = ?
         UNION ALL
         SELECT s.id, s.parent, depth + 1 FROM snapshots s JOIN below ON s.id = below.parent)
       SELECT id FROM below ORDER BY depth`,
    ),
    insert: database.query<null, [string, number | null, number]>(
      "INSERT INTO snapshots (key, parent, kind, created_at) VALUES (?, ?, 'active', ?)",
    ),
    commit: database.query<null, [string, number, string]>(
      "UPDATE snapshots SET key = ?, size = ?, kind = 'committed' WHERE key = ?",
    ),
    remove: database.query<null, [number]>("DELETE FROM snapshots WHERE id = ?"),
    removeTree: database.query<null, [number]>(
      `WITH RECURSIVE above (id) AS (
         SELECT id FROM snapshots WHERE id = ?
         UNION ALL
         SELECT s.id FROM snapshots s JOIN above ON s.parent = above.id)
       DELETE FROM snapshots WHERE id IN (SELECT id FROM above)`,
    ),
  };
}

function infoOf(row: Row): SnapshotInfo {
  return {
    key: row.key,
    parent: row.parentKey ?? undefined,
    kind: row.kind,
    size: row.size ?? undefined,
    createdAt: row.createdAt,
  };
}

/** Separators of overlay's options in a path. */
const escapeOption = (path: string) => path.replace(/[\\:,]/g, "\\$&");
