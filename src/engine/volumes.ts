import { chownSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import { lstat } from "node:fs/promises";
import { join } from "node:path";
import { Conflict, InvalidParameter, NotFound } from "../lib/errors.ts";
import { newId } from "../lib/ids.ts";
import type { Table } from "../store/types.ts";
import { type Context, paths } from "./context.ts";
import { booleanFilter, checkFilters, matchAny, matchLabels, untilFilter } from "./filters.ts";
import { entriesBelow } from "./tree.ts";
import type { ContainerRecord, EngineVolumes, Filters, VolumeRecord } from "./types.ts";
import { checkVolumeOptions, isMount, VolumeMounts } from "./volume-mounts.ts";

const namePattern = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/;

/** A volume on its way out; no volume's name begins with a dot. */
const removing = ".removing-";

/** Named and anonymous volumes of the `local` driver: `<data-root>/volumes/<name>/_data`. */
export class Volumes implements EngineVolumes {
  #table: Table<VolumeRecord>;
  #mounts = new VolumeMounts();
  /** Ids of containers of which it was told that they have mounted theirs. */
  readonly #told = new Set<string>();

  constructor(
    private readonly context: Context,
    /** Names of the containers that use a volume. */
    private readonly users: (name: string) => string[],
  ) {
    this.#table = context.store.metadata.table<VolumeRecord>("volumes");
    mkdirSync(paths.volumes(context.options), { recursive: true, mode: 0o701 });
    this.#reconcile();
  }

  async create(request: {
    name?: string;
    driver: string;
    options: Record<string, string>;
    labels: Record<string, string>;
  }): Promise<VolumeRecord> {
    const name = request.name || newId();
    if (!namePattern.test(name) || name.length > 255) {
      throw new InvalidParameter(
        `create ${name}: ${JSON.stringify(name)} includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path`,
      );
    }
    const driver = request.driver || "local";
    if (driver !== "local")
      throw new NotFound(
        `create ${name}: error looking up volume plugin ${driver}: plugin "${driver}" not found`,
      );
    const existing = this.#table.get(name);
    if (existing) return existing;
    checkVolumeOptions(name, request.options);
    const anonymous = !request.name;
    const record = this.#newRecord(name, { labels: request.labels, options: request.options, anonymous });
    this.#table.put(name, record);
    mkdirSync(record.mountpoint, { recursive: true, mode: 0o755 });
    const { remap } = this.context;
    if (remap) chownSync(record.mountpoint, remap.root.uid, remap.root.gid);
    this.#event(record, "create");
    return record;
  }

  get(name: string): VolumeRecord {
    const record = this.#table.get(name);
    if (!record) throw new NotFound(`get ${name}: no such volume`);
    return record;
  }

  list(filters: Filters): VolumeRecord[] {
    checkFilters(filters, ["name", "driver", "label", "label!", "dangling"]);
    const dangling = booleanFilter(filters, "dangling");
    return this.#table
      .list()
      .filter(
        (volume) =>
          matchAny(filters, "name", (value) => volume.name.includes(value)) &&
          matchAny(filters, "driver", (value) => volume.driver === value) &&
          matchLabels(filters, volume.labels) &&
          (dangling === undefined || (this.users(volume.name).length === 0) === dangling),
      )
      .sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  async remove(name: string, force: boolean): Promise<void> {
    const record = this.#table.get(name);
    if (!record) {
      if (force) return;
      throw new NotFound(`get ${name}: no such volume`);
    }
    const users = this.users(name);
    if (users.length > 0) throw new Conflict(`remove ${name}: volume is in use - [${users.join(", ")}]`);
    this.#delete(record);
  }

  async prune(filters: Filters): Promise<{ removed: string[]; bytes: number }> {
    checkFilters(filters, ["label", "label!", "all", "until"]);
    const all = booleanFilter(filters, "all") ?? false;
    const until = untilFilter(filters);
    const removed: string[] = [];
    let bytes = 0;
    for (const volume of this.#table.list()) {
      if ((!volume.anonymous && !all) || this.users(volume.name).length > 0) continue;
      if (!matchLabels(filters, volume.labels) || (until !== undefined && volume.createdAt > until)) continue;
      bytes += await treeSize(volume.mountpoint);
      this.#delete(volume);
      removed.push(volume.name);
    }
    this.context.events.publish("volume", "prune", "", { reclaimed: String(bytes) });
    return { removed, bytes };
  }

  async usage(name: string): Promise<{ size: number; refCount: number }> {
    return { size: await treeSize(this.get(name).mountpoint), refCount: this.users(name).length };
  }

  /** What a container must do before it uses its volumes. @throws Internal when one can't be mounted */
  async hold(container: ContainerRecord): Promise<void> {
    for (const volume of this.#mountsOf(container)) await this.#mounts.hold(volume, container.id);
  }

  /** The end of `hold`; a container that holds nothing is no error. */
  async letGo(container: ContainerRecord): Promise<void> {
    for (const volume of this.#mountsOf(container)) await this.#mounts.letGo(volume, container.id);
  }

  /** The events of a start: the volumes are mounted now, and where. */
  tellUse({ id, mounts }: ContainerRecord): void {
    this.#told.add(id);
    for (const { name, destination, rw, propagation } of mounts) {
      const volume = name === undefined ? undefined : this.#table.get(name);
      if (volume)
        this.#event(volume, "mount", {
          container: id,
          destination,
          propagation,
          "read/write": String(rw),
        });
    }
  }

  /** The events of an end, once for each `tellUse`. */
  tellRelease({ id, mounts }: ContainerRecord): void {
    if (!this.#told.delete(id)) return;
    for (const { name } of mounts) {
      const volume = name === undefined ? undefined : this.#table.get(name);
      if (volume) this.#event(volume, "unmount", { container: id });
    }
  }

  /** A container that a daemon before this one has started: its volumes are mounted, which was told then. */
  adopt({ id }: ContainerRecord): void {
    this.#told.add(id);
  }

  #event(
    { name, driver, labels }: VolumeRecord,
    action: string,
    attributes: Record<string, string> = {},
  ): void {
    this.context.events.publish("volume", action, name, { driver, ...attributes }, labels);
  }

  /** After a restart, when every running container holds its volumes again. */
  dropIdleMounts(): void {
    this.#mounts.dropIdle(this.#table.list());
  }

  #mountsOf({ mounts }: ContainerRecord): VolumeRecord[] {
    const volumes = mounts.map(({ name }) => (name === undefined ? undefined : this.#table.get(name)));
    return volumes.filter((volume) => volume !== undefined && isMount(volume)) as VolumeRecord[];
  }

  #mountpoint(name: string): string {
    return join(paths.volumes(this.context.options), name, "_data");
  }

  #delete(record: VolumeRecord): void {
    // What is mounted there is not ours to remove.
    this.#mounts.unmount(record);
    const directory = join(record.mountpoint, "..");
    const doomed = join(paths.volumes(this.context.options), `${removing}${record.name}`);
    renameSync(directory, doomed);
    this.#table.delete(record.name);
    rmSync(doomed, { recursive: true, force: true });
    this.#event(record, "destroy");
  }

  /**
   * Mends what a crash left: removals are finished, a created volume gets its directory, and a directory that no
   * row names is somebody's data, so it is taken in as a volume.
   */
  #reconcile(): void {
    const root = paths.volumes(this.context.options);
    for (const name of readdirSync(root)) {
      if (name.startsWith(removing)) {
        rmSync(join(root, name), { recursive: true, force: true });
      } else if (!this.#table.get(name) && namePattern.test(name) && existsSync(this.#mountpoint(name))) {
        this.#table.put(name, this.#newRecord(name, { labels: {}, options: {}, anonymous: false }));
      }
    }
    for (const record of this.#table.list()) mkdirSync(record.mountpoint, { recursive: true, mode: 0o755 });
  }

  #newRecord(name: string, given: Pick<VolumeRecord, "labels" | "options" | "anonymous">): VolumeRecord {
    return { name, driver: "local", mountpoint: this.#mountpoint(name), createdAt: Date.now(), ...given };
  }
}

/** Bytes that the files below `root` take on disk; what vanishes meanwhile counts nothing. */
export async function treeSize(root: string): Promise<number> {
  let bytes = 0;
  for await (const entry of entriesBelow(root)) {
    if (entry.isDirectory()) continue;
    const stat = await lstat(join(entry.parentPath, entry.name)).catch(() => undefined);
    if (stat) bytes += stat.size;
  }
  return bytes;
}
