/** Directories of `RUN --mount=type=cache`: they outlive builds and are shared by all that name the same id. */
import { chmodSync, chownSync, existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Store, Table } from "../../store/types.ts";
import type { CacheEntry } from "../cache/policy.ts";
import type { RunMount } from "./run-mounts.ts";

type CacheMount = Extract<RunMount, { type: "cache" }>;

export interface CacheMountOptions {
  /** Identifies what a new cache begins with; another base is another cache. */
  base?: string;
  /** Puts it into a new directory. */
  fill?: (directory: string) => Promise<void>;
  signal: AbortSignal;
}

/** What is known of a directory; its name is the record's key. Times in milliseconds since the epoch. */
interface MountRecord {
  name: string;
  description: string;
  createdAt: number;
  lastUsedAt: number;
  usageCount: number;
  /** Bytes below it, measured at `measuredAt`. */
  size: number;
  measuredAt: number;
}

export class CacheMounts {
  readonly #table: Table<MountRecord>;
  readonly #users = new Map<string, number>();
  readonly #filling = new Map<string, Promise<void>>();
  readonly #waiting = new Map<string, (() => void)[]>();

  constructor(
    private readonly store: Store,
    private readonly now: () => number,
    private readonly root = join(store.root, "build-cache"),
  ) {
    this.#table = store.metadata.table<MountRecord>("build_cache_mounts");
  }

  /** The directory for one step; released by dispose. A locked one waits until no other step has it. */
  async acquire(
    mount: CacheMount,
    { base, fill, signal }: CacheMountOptions,
  ): Promise<{ path: string } & Disposable> {
    const identity = base === undefined ? mount.id : JSON.stringify([mount.id, base, mount.source]);
    const name = new Bun.CryptoHasher("sha256").update(identity).digest("hex");
    let path = join(this.root, name);
    if (mount.sharing === "locked") {
      while (this.#users.has(path)) await this.#released(path, signal);
    } else if (mount.sharing === "private") {
      for (let n = 1; this.#users.has(path); n++) path = join(this.root, `${name}.${n}`);
    }
    this.#users.set(path, (this.#users.get(path) ?? 0) + 1);
    const release = () => this.#release(path);
    try {
      await this.#once(path, async () => {
        if (existsSync(path)) return;
        // Under its name only when it is whole: a killed daemon leaves no half of a cache.
        const fresh = `${path}.new`;
        rmSync(fresh, { recursive: true, force: true });
        mkdirSync(fresh, { recursive: true });
        chownSync(fresh, mount.uid, mount.gid);
        chmodSync(fresh, mount.mode);
        await fill?.(fresh);
        renameSync(fresh, path);
      });
      this.#used(path, mount.id);
    } catch (error) {
      release();
      throw error;
    }
    return { path, [Symbol.dispose]: release };
  }

  /** Steps that come to a new cache together wait for the one that fills it. */
  async #once(path: string, make: () => Promise<void>): Promise<void> {
    const running = (this.#filling.get(path) ?? Promise.resolve()).catch(() => {}).then(make);
    this.#filling.set(path, running);
    try {
      await running;
    } finally {
      if (this.#filling.get(path) === running) this.#filling.delete(path);
    }
  }

  /** All of them, with sizes; those used since they were measured are measured now. */
  async entries(): Promise<CacheEntry[]> {
    const records = this.#table.list().map(async (record) => {
      const { name, size, description, createdAt, lastUsedAt, usageCount } = await this.#measured(record);
      const inUse = this.#users.has(join(this.root, name));
      const kind = {
        id: name,
        type: "exec.cachemount" as const,
        parents: [],
        description,
        shared: false,
        empty: false,
      };
      return { ...kind, size, createdAt, lastUsedAt, usageCount, inUse };
    });
    return Promise.all(records);
  }

  /** Unless a step has it mounted meanwhile. @returns whether it went */
  remove(id: string): boolean {
    const path = join(this.root, id);
    if (this.#users.has(path)) return false;
    rmSync(path, { recursive: true, force: true });
    return this.#table.delete(id);
  }

  async #measured(record: MountRecord): Promise<MountRecord> {
    if (record.measuredAt > record.lastUsedAt) return record;
    const measuredAt = this.now();
    const { bytes } = await this.store.layers.measure(join(this.root, record.name));
    const current = this.#table.get(record.name);
    // A use that came meanwhile asks for another measuring.
    if (current?.lastUsedAt === record.lastUsedAt)
      this.#table.put(record.name, { ...current, size: bytes, measuredAt });
    return { ...record, size: bytes };
  }

  /** What the step has written counts from now. */
  #touch(path: string): void {
    const record = this.#table.get(path.slice(this.root.length + 1));
    if (record) this.#table.put(record.name, { ...record, lastUsedAt: this.now() });
  }

  #used(path: string, id: string): void {
    const name = path.slice(this.root.length + 1);
    const now = this.now();
    const known = this.#table.get(name) ?? {
      name,
      description: `mount ${id} from exec`,
      createdAt: now,
      usageCount: 0,
      size: 0,
      measuredAt: 0,
    };
    this.#table.put(name, { ...known, lastUsedAt: now, usageCount: known.usageCount + 1 });
  }

  #release(path: string): void {
    const left = this.#users.get(path)! - 1;
    if (left > 0) {
      this.#users.set(path, left);
      return;
    }
    this.#users.delete(path);
    this.#touch(path);
    const waiting = this.#waiting.get(path) ?? [];
    this.#waiting.delete(path);
    for (const wake of waiting) wake();
  }

  #released(path: string, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const abort = () => reject(signal.reason);
      if (signal.aborted) return abort();
      signal.addEventListener("abort", abort, { once: true });
      const wake = () => {
        signal.removeEventListener("abort", abort);
        resolve();
      };
      this.#waiting.set(path, [...(this.#waiting.get(path) ?? []), wake]);
    });
  }
}
