import { Conflict, InvalidParameter, messageOf, NoSpace, NotFound } from "../../lib/errors.ts";
import { Mutex } from "../../lib/mutex.ts";
import type { MonitoredProcess } from "../../runtime/types.ts";
import type { Metadata, Table } from "../../store/types.ts";
import type { ContainerRecord } from "../types.ts";
import type { DeferredDuplex } from "./deferred.ts";
import { firstDelay } from "./restart-policy.ts";

/** A container in memory: its record, and what lives only as long as this daemon. */
export class Container {
  /** Serializes everything that changes the container. */
  readonly mutex = new Mutex();
  process: MonitoredProcess | undefined;
  /** Settles when the exit of `process` has been dealt with: state written, resources freed. */
  exitHandled: Promise<void> | undefined;
  /** Clients that attached before the start. */
  waitingAttachers: {
    stream: DeferredDuplex;
    streams: { stdin: boolean; stdout: boolean; stderr: boolean };
  }[] = [];
  restartTimer: ReturnType<typeof setTimeout> | undefined;
  /** Milliseconds until the next restart by policy. */
  restartDelay = firstDelay;
  stopHealthChecks: (() => void) | undefined;
  /** Execs that run, or can be started. */
  readonly execIds = new Set<string>();
  #exitWaiters = new Set<(exitCode: number) => void>();
  #removalWaiters = new Set<(exitCode: number) => void>();

  constructor(readonly record: ContainerRecord) {}

  onExit(notify: (exitCode: number) => void): () => void {
    this.#exitWaiters.add(notify);
    return () => this.#exitWaiters.delete(notify);
  }

  onRemoval(notify: (exitCode: number) => void): () => void {
    this.#removalWaiters.add(notify);
    return () => this.#removalWaiters.delete(notify);
  }

  tellExit(): void {
    const waiters = [...this.#exitWaiters];
    this.#exitWaiters.clear();
    for (const notify of waiters) notify(this.record.state.exitCode);
  }

  tellRemoval(): void {
    this.tellExit();
    for (const notify of this.#removalWaiters) notify(this.record.state.exitCode);
    this.#removalWaiters.clear();
  }
}

/** All containers: in memory for reading, in the database for good. */
export class ContainerTable {
  #byId = new Map<string, Container>();
  #byName = new Map<string, Container>();
  #rows: Table<ContainerRecord>;

  constructor(metadata: Metadata) {
    this.#rows = metadata.table<ContainerRecord>("containers", { name: (record) => record.name });
    for (const record of this.#rows.list()) this.#remember(new Container(record));
  }

  /** @throws Conflict when the name is taken */
  add(record: ContainerRecord): Container {
    this.checkName(record.name);
    this.#rows.put(record.id, record);
    const container = new Container(record);
    this.#remember(container);
    return container;
  }

  /** Writes the record; what it says is then acknowledged. */
  save(container: Container): void {
    this.#rows.put(container.record.id, container.record);
  }

  /** Writes what has happened already. On a full disk it is known to this daemon alone, which goes on. */
  note(container: Container): void {
    try {
      this.save(container);
    } catch (error) {
      if (!(error instanceof NoSpace)) throw error;
      console.error(`container ${container.record.name}: ${messageOf(error)}`);
    }
  }

  rename(container: Container, name: string): void {
    this.checkName(name);
    this.#byName.delete(container.record.name);
    container.record.name = name;
    this.#byName.set(name, container);
    this.save(container);
  }

  delete(container: Container): void {
    this.#rows.delete(container.record.id);
    this.#byId.delete(container.record.id);
    this.#byName.delete(container.record.name);
  }

  /** @throws Conflict, in Docker's words, when another container has the name */
  checkName(name: string): void {
    const holder = this.#byName.get(name);
    if (!holder) return;
    throw new Conflict(
      `Conflict. The container name "/${name}" is already in use by container "${holder.record.id}". You have to remove (or rename) that container to be able to reuse that name.`,
    );
  }

  hasName(name: string): boolean {
    return this.#byName.has(name);
  }

  all(): Container[] {
    return [...this.#byId.values()];
  }

  byId(id: string): Container | undefined {
    return this.#byId.get(id);
  }

  /** By full id, name, or unique prefix of an id. @throws NotFound, InvalidParameter for an ambiguous prefix */
  find(target: string): Container {
    const name = target.replace(/^\//, "");
    const exact = this.#byId.get(target) ?? this.#byName.get(name);
    if (exact) return exact;
    if (/^[0-9a-f]+$/.test(target)) {
      const matches = this.all().filter((container) => container.record.id.startsWith(target));
      if (matches.length === 1) return matches[0]!;
      if (matches.length > 1)
        throw new InvalidParameter(`multiple IDs found with provided prefix: ${target}`);
    }
    throw new NotFound(`No such container: ${target}`);
  }

  #remember(container: Container): void {
    this.#byId.set(container.record.id, container);
    this.#byName.set(container.record.name, container);
  }
}
