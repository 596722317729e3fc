/** Builds of the past: how each ended, and what its steps said. The oldest make room for new ones. */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { BuildEvent, BuildResult } from "../build/types.ts";
import { Cancelled, messageOf, NotFound } from "../lib/errors.ts";
import { newId } from "../lib/ids.ts";
import type { Metadata, Table } from "../store/types.ts";
import {
  type BuildHistory,
  type BuildOptions,
  type BuildRecord,
  BuiltElsewhere,
  type PastEvent,
} from "./types.ts";

const keptBuilds = 100;
/** Of what one build's steps have said, the end is kept (bytes). */
const keptLog = 1 << 20;
const idLength = 25;
/** What clients may call a build: it is a file's name too. */
const idPattern = /^[0-9a-z]{10,64}$/;

export class BuildRecords implements BuildHistory {
  readonly #table: Table<BuildRecord>;
  /** Builds that run now. They are written when they end: a daemon that was killed leaves none half told. */
  readonly #listeners = new Set<(record: BuildRecord, removed: boolean) => void>();
  readonly #running = new Map<string, Recording>();

  /** @param directory for what the steps have said; made when it is needed */
  constructor(
    metadata: Metadata,
    private readonly directory: string,
    private readonly now: () => number = Date.now,
  ) {
    this.#table = metadata.table<BuildRecord>("build_history");
    this.#dropLostLogs();
  }

  watch(listener: (record: BuildRecord, removed: boolean) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => this.#listeners.delete(listener) };
  }

  #tell(record: BuildRecord, removed = false): void {
    for (const listener of this.#listeners) listener(record, removed);
  }

  list(): BuildRecord[] {
    const running = [...this.#running.values()].map(({ record }) => record);
    return [...running, ...this.#table.list()].sort((a, b) => b.createdAt - a.createdAt);
  }

  get(id: string): BuildRecord {
    const found = this.list().filter((record) => record.id.startsWith(id));
    if (id === "" || found.length !== 1) throw new NotFound(`no such build: ${id}`);
    return found[0]!;
  }

  events(id: string): PastEvent[] {
    const record = this.get(id);
    const running = this.#running.get(record.id);
    if (running) return running.events();
    try {
      return JSON.parse(readFileSync(this.#log(record.id), "utf8"), reviveData) as PastEvent[];
    } catch (error) {
      throw new NotFound(`nothing is kept of what build ${id} has said`, { cause: error });
    }
  }

  provenance(id: string): BuildResult["provenance"] {
    const { id: whole } = this.get(id);
    try {
      return JSON.parse(readFileSync(this.#provenance(whole), "utf8")) as BuildResult["provenance"];
    } catch {
      // One that failed, or that still runs.
      return [];
    }
  }

  remove(id: string): void {
    const record = this.get(id);
    this.#table.delete(record.id);
    rmSync(this.#log(record.id), { force: true });
    rmSync(this.#provenance(record.id), { force: true });
    this.#tell(record, true);
  }

  /** Runs a build, and keeps how it went. `work` gets the listener that notes its events. */
  async record<T extends Pick<BuildResult, "image" | "provenance">>(
    options: BuildOptions,
    onEvent: (event: BuildEvent) => void,
    work: (onEvent: (event: BuildEvent) => void) => Promise<T>,
  ): Promise<T> {
    const id = options.id && idPattern.test(options.id) ? options.id : newId().slice(0, idLength);
    const recording = new Recording({ id, ...described(options), createdAt: this.now() }, this.now);
    this.#running.set(id, recording);
    this.#tell(recording.record);
    try {
      const result = await work((event) => {
        recording.note(event);
        onEvent(event);
      });
      recording.end("completed", undefined, result.image?.descriptor.digest);
      recording.provenance = result.provenance;
      return result;
    } catch (error) {
      if (error instanceof BuiltElsewhere) recording.drop();
      recording.end(error instanceof Cancelled ? "canceled" : "error", messageOf(error));
      throw error;
    } finally {
      this.#running.delete(id);
      if (!recording.dropped) {
        this.#keep(recording);
        this.#tell(recording.record);
      }
    }
  }

  #keep(recording: Recording): void {
    const { record } = recording;
    try {
      mkdirSync(this.directory, { recursive: true, mode: 0o700 });
      writeFileSync(this.#log(record.id), JSON.stringify(recording.events(), encodeData), { mode: 0o600 });
      if (recording.provenance.length > 0)
        writeFileSync(this.#provenance(record.id), JSON.stringify(recording.provenance), { mode: 0o600 });
      this.#table.put(record.id, record);
      const old = this.#table.list().sort((a, b) => b.createdAt - a.createdAt);
      for (const { id } of old.slice(keptBuilds)) this.remove(id);
    } catch (error) {
      // A full disk must not turn a build that went well into one that failed.
      console.error(`build ${record.id} is not in the history:`, error);
    }
  }

  #dropLostLogs(): void {
    let names: string[];
    try {
      names = readdirSync(this.directory);
    } catch {
      return;
    }
    for (const name of names) {
      if (!this.#table.get(name.replace(/\.(?:json|provenance)$/, "")))
        rmSync(join(this.directory, name), { force: true });
    }
  }

  #provenance(id: string): string {
    return join(this.directory, `${id}.provenance`);
  }

  #log(id: string): string {
    return join(this.directory, `${id}.json`);
  }
}

/** What people know a build by. */
function described({
  tags,
  dockerfile,
  target,
  attributes,
  outputs,
}: BuildOptions): Pick<BuildRecord, DescribedFields> {
  const file = "path" in dockerfile ? dockerfile.path : (dockerfile.name ?? "Dockerfile");
  const image = tags[0] ?? outputs?.flatMap(({ output }) => ("names" in output ? output.names : []))[0];
  const name = image ?? (target === undefined ? file : `${file} (${target})`);
  const exporters = outputs?.map(({ output }) => output.type);
  return { name, dockerfile: file, target, attributes, exporters };
}

type DescribedFields = "name" | "dockerfile" | "target" | "attributes" | "exporters";

class Recording {
  record: BuildRecord;
  dropped = false;
  provenance: BuildResult["provenance"] = [];
  #events: PastEvent[] = [];
  #logBytes = 0;
  readonly #steps = new Map<string, "started" | "cached" | "done" | "failed">();

  constructor(
    known: Pick<BuildRecord, DescribedFields | "id" | "createdAt">,
    private readonly now: () => number,
  ) {
    this.record = { ...known, status: "running", totalSteps: 0, completedSteps: 0, cachedSteps: 0 };
  }

  note(event: BuildEvent): void {
    if (event.type === "vertex") {
      this.#steps.set(event.id, event.state);
      const states = [...this.#steps.values()];
      this.record = {
        ...this.record,
        totalSteps: states.length,
        completedSteps: states.filter((state) => state === "done" || state === "cached").length,
        cachedSteps: states.filter((state) => state === "cached").length,
      };
    }
    if (event.type === "warning") this.record = { ...this.record, warnings: (this.record.warnings ?? 0) + 1 };
    // How a transfer went on matters only while it does.
    if (event.type === "progress" && event.current !== event.total) return;
    const kept = event.type === "log" ? { ...event, data: Uint8Array.from(event.data) } : event;
    this.#events.push({ at: this.now(), event: kept });
    if (kept.type === "log") this.#bound(kept.data.length);
  }

  #bound(more: number): void {
    this.#logBytes += more;
    if (this.#logBytes <= keptLog) return;
    this.#events = this.#events.filter(({ event }) => {
      if (event.type !== "log" || this.#logBytes <= keptLog / 2) return true;
      this.#logBytes -= event.data.length;
      return false;
    });
  }

  events(): PastEvent[] {
    return this.#events;
  }

  /** Nothing of it is kept: it goes on under the same name. */
  drop(): void {
    this.dropped = true;
  }

  end(status: BuildRecord["status"], error?: string, image?: string): void {
    this.record = { ...this.record, status, error, image, completedAt: this.now() };
  }
}

/** Bytes are base64 in the file. */
function encodeData(key: string, value: unknown): unknown {
  return key === "data" && value instanceof Uint8Array ? Buffer.from(value).toString("base64") : value;
}

function reviveData(key: string, value: unknown): unknown {
  return key === "data" && typeof value === "string" ? new Uint8Array(Buffer.from(value, "base64")) : value;
}
