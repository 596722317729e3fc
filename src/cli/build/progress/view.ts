/** What is known of a build while it runs: its steps, what each said last, and how long each took. */
import type { SolveStatus, SolveVertex, VertexLog, VertexStatus } from "../../../api/types.ts";
import { lastState } from "../../../lib/picture.ts";

export interface StatusView {
  name: string;
  current: number;
  total: number;
  /** Milliseconds since the epoch, of the engine's clock. */
  started: number;
  at: number;
  completed: boolean;
}

export interface VertexView {
  /** From 1, in the order in which they began. */
  number: number;
  name: string;
  /** Milliseconds since the epoch, of the engine's clock. */
  started: number;
  completed?: number;
  cached: boolean;
  error?: string;
  /** When it was first heard of, by our own clock: the engine's may go differently. */
  seen: number;
  statuses: Map<string, StatusView>;
  /** The last lines that it said; the last one may go on. */
  tail: string[];
}

/** Hears of what happens, in order. */
export interface Listener {
  began?(vertex: VertexView): void;
  /** @param seconds since the vertex began */
  line?(vertex: VertexView, text: string, seconds: number): void;
  status?(vertex: VertexView, status: StatusView): void;
  ended?(vertex: VertexView): void;
}

const keptLines = 20;

export class BuildView {
  readonly vertices: VertexView[] = [];
  readonly warnings: string[] = [];
  readonly #byDigest = new Map<string, VertexView>();
  readonly #decoders = new Map<VertexView, TextDecoder>();

  constructor(
    private readonly listener: Listener = {},
    private readonly clock: () => number = Date.now,
  ) {}

  apply({ vertexes, statuses, logs, warnings }: SolveStatus): void {
    for (const vertex of vertexes ?? []) this.#begin(vertex);
    for (const status of statuses ?? []) this.#status(status);
    for (const log of logs ?? []) this.#log(log);
    for (const vertex of vertexes ?? []) this.#end(vertex);
    for (const { short } of warnings ?? []) this.warnings.push(Buffer.from(short, "base64").toString());
  }

  #begin({ digest, name, started }: SolveVertex): void {
    if (!started || this.#byDigest.has(digest)) return;
    const vertex: VertexView = {
      number: this.vertices.length + 1,
      name,
      started: Date.parse(started),
      cached: false,
      seen: this.clock(),
      statuses: new Map(),
      tail: [""],
    };
    this.#byDigest.set(digest, vertex);
    this.vertices.push(vertex);
    this.listener.began?.(vertex);
  }

  #end({ digest, completed, cached, error }: SolveVertex): void {
    const vertex = this.#byDigest.get(digest);
    // What comes from the client under a step's name ends before that step: one end is shown.
    if (!vertex || !completed || (vertex.completed !== undefined && !error)) return;
    const unfinished = vertex.tail.at(-1)!;
    vertex.completed = Date.parse(completed);
    if (unfinished !== "") this.#line(vertex, unfinished, vertex.completed);
    vertex.cached = cached ?? false;
    vertex.error = error || undefined;
    this.listener.ended?.(vertex);
  }

  #status(status: VertexStatus): void {
    const vertex = this.#byDigest.get(status.vertex);
    if (!vertex) return;
    const view: StatusView = {
      name: status.name,
      current: status.current,
      total: status.total ?? 0,
      started: Date.parse(status.started),
      at: Date.parse(status.timestamp),
      completed: status.completed !== undefined,
    };
    vertex.statuses.set(status.id, view);
    this.listener.status?.(vertex, view);
  }

  #log({ vertex: digest, data, timestamp }: VertexLog): void {
    const vertex = this.#byDigest.get(digest);
    if (!vertex) return;
    let decoder = this.#decoders.get(vertex);
    if (!decoder) {
      decoder = new TextDecoder();
      this.#decoders.set(vertex, decoder);
    }
    const [first = "", ...more] = decoder
      .decode(Buffer.from(data, "base64"), { stream: true })
      .replaceAll("\r\n", "\n")
      .split("\n");
    let unfinished = vertex.tail.pop()! + first;
    for (const next of more) {
      vertex.tail.push(unfinished);
      this.#line(vertex, unfinished, Date.parse(timestamp));
      unfinished = next;
    }
    // Progress may go on without ever ending the line.
    vertex.tail.push(lastState(unfinished));
    if (vertex.tail.length > keptLines) vertex.tail.splice(0, vertex.tail.length - keptLines);
  }

  #line(vertex: VertexView, text: string, at: number): void {
    this.listener.line?.(vertex, text, Math.max(0, at - vertex.started) / 1000);
  }
}

/** `3.21MB / 10MB`, `3.21MB`; nothing for what has no size. */
export function amount({ current, total }: StatusView, size: (bytes: number) => string): string {
  if (total > 0 && total !== current) return `${size(current)} / ${size(total)}`;
  return current > 0 ? size(current) : "";
}

/** The warnings as BuildKit's clients list them after a build; empty when there are none. */
export function warningList(warnings: readonly string[]): string {
  if (warnings.length === 0) return "";
  const title = `${warnings.length} warning${warnings.length === 1 ? "" : "s"} found:`;
  return `\n ${title}\n${warnings.map((warning) => ` - ${warning}\n`).join("")}`;
}
