/** The build cache's table: what each step's key led to. */
import type { Store, Table } from "../../store/types.ts";
import type { CacheEntry } from "../cache/policy.ts";
import type { PackedLayer } from "../export/pack.ts";

export interface CacheRecord {
  /** The step's key; also the record's id. */
  id: string;
  /** Names the resulting tree in the keys of later steps; fresh for each run of a step. */
  result: string;
  /** Committed snapshot with the step's own layer; undefined: it changed no file. */
  snapshot?: string;
  /** Once it was packed for an image. */
  layer?: PackedLayer;
  /** The same, packed otherwise. */
  variants?: Record<string, PackedLayer>;
  /** Bytes of the step's own layer. */
  size: number;
  description: string;
  /** The record of the step before, when that was cached too. */
  parent?: string;
  /** Milliseconds since the epoch. */
  createdAt: number;
  lastUsedAt: number;
  usageCount: number;
}

export class CacheRecords {
  readonly #table: Table<CacheRecord>;
  /** Times are written together when a build ends. */
  readonly #touched = new Map<string, number>();
  /** Records that running builds rely on, counted. */
  readonly #pins = new Map<string, number>();

  constructor(
    private readonly store: Store,
    private readonly now: () => number,
  ) {
    this.#table = store.metadata.table<CacheRecord>("build_cache");
    store.images.addRoots(() => this.list().flatMap(({ snapshot }) => snapshot ?? []));
  }

  /** A record whose tree is still there. */
  find(id: string): CacheRecord | undefined {
    const record = this.#table.get(id);
    if (record?.snapshot !== undefined && !this.store.snapshots.stat(record.snapshot)) {
      this.#table.delete(id);
      return undefined;
    }
    return record;
  }

  put(record: CacheRecord): void {
    this.#table.put(record.id, record);
  }

  /** Adds the packed layer (`variant` empty: the usual way), unless the record was replaced or pruned meanwhile. */
  setLayer(record: CacheRecord, layer: PackedLayer, variant: string): void {
    const current = this.#table.get(record.id);
    if (current?.result !== record.result) return;
    const variants = variant === "" ? current.variants : { ...current.variants, [variant]: layer };
    this.#table.put(record.id, {
      ...current,
      ...(variant === "" && { layer }),
      ...(variants && { variants }),
    });
  }

  list(): CacheRecord[] {
    return this.#table.list();
  }

  /** @param held snapshots that layers of images stand on */
  entries(held: ReadonlySet<string>): CacheEntry[] {
    return this.list().map(({ id, parent, ...record }) => ({
      id,
      type: "regular",
      parents: parent === undefined ? [] : [parent],
      description: record.description,
      size: record.size,
      createdAt: record.createdAt,
      lastUsedAt: record.lastUsedAt,
      usageCount: record.usageCount,
      inUse: this.inUse(id),
      shared: record.snapshot !== undefined && held.has(record.snapshot),
      empty: record.snapshot === undefined,
    }));
  }

  /** Unless a build has come to rely on it meanwhile. @returns whether it went */
  remove(id: string): boolean {
    return !this.inUse(id) && this.#table.delete(id);
  }

  touch(id: string): void {
    this.#touched.set(id, this.now());
  }

  pin(id: string): void {
    this.#pins.set(id, (this.#pins.get(id) ?? 0) + 1);
  }

  unpin(id: string): void {
    const count = this.#pins.get(id) ?? 0;
    if (count <= 1) this.#pins.delete(id);
    else this.#pins.set(id, count - 1);
  }

  inUse(id: string): boolean {
    return this.#pins.has(id);
  }

  /** Writes the times of use. */
  flush(): void {
    if (this.#touched.size === 0) return;
    this.store.metadata.transaction(() => {
      for (const [id, at] of this.#touched) {
        const record = this.#table.get(id);
        if (record) this.#table.put(id, { ...record, lastUsedAt: at, usageCount: record.usageCount + 1 });
      }
    });
    this.#touched.clear();
  }
}
