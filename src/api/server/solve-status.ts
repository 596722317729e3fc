/** A build's events as `SolveStatus`, for clients that draw the progress themselves. */
import type { BuildEvent, BuildResult } from "../../build/types.ts";
import { digestOf } from "../../lib/digest.ts";
import type { SolveStatus } from "../types.ts";
import { type BuildScreen, resultNote } from "./classic-screen.ts";

export class StatusScreen implements BuildScreen {
  /** When vertices and their statuses began: every later message says so again. */
  readonly #began = new Map<string, string>();
  /** Where warnings belong that name no vertex. */
  #first = "";

  /** @param clock milliseconds since the epoch, for events that don't say when they were */
  constructor(
    private readonly send: (message: object) => void,
    private readonly clock: () => number = Date.now,
  ) {}

  succeed(result: BuildResult): void {
    this.send({ aux: resultNote(result) });
  }

  fail(): void {}

  #now(): string {
    return new Date(this.clock()).toISOString();
  }

  #write(progress: SolveStatus): void {
    this.send({ progress });
  }

  show(event: BuildEvent): void {
    switch (event.type) {
      case "vertex":
        this.#vertex(event);
        break;
      case "log":
        this.#log(event);
        break;
      case "progress":
        this.#status(event);
        break;
      case "warning":
        this.#warning(event);
    }
  }

  #log({ id, stream, data }: BuildEvent & { type: "log" }): void {
    const text = Buffer.from(data).toString("base64");
    this.#write({ logs: [{ vertex: digest(id), stream, data: text, timestamp: this.#now() }] });
  }

  #vertex({ id, name, state, at, error }: BuildEvent & { type: "vertex" }): void {
    const vertex = digest(id);
    this.#first ||= vertex;
    const time = new Date(at).toISOString();
    const started = this.#began.get(id) ?? time;
    this.#began.set(id, started);
    const completed = state === "started" ? undefined : time;
    const cached = state === "cached" ? true : undefined;
    this.#write({ vertexes: [{ digest: vertex, name, started, completed, cached, error }] });
  }

  #status({ id, name, current, total }: BuildEvent & { type: "progress" }): void {
    const key = `${id} ${name}`;
    const timestamp = this.#now();
    const started = this.#began.get(key) ?? timestamp;
    this.#began.set(key, started);
    const completed = current === total ? timestamp : undefined;
    this.#write({
      statuses: [{ id: name, vertex: digest(id), name, current, total, timestamp, started, completed }],
    });
  }

  #warning({ message, line, endLine = line, check }: BuildEvent & { type: "warning" }): void {
    const range =
      line === undefined || endLine === undefined ? undefined : [{ start: { line }, end: { line: endLine } }];
    const short = Buffer.from(message).toString("base64");
    this.#write({ warnings: [{ vertex: this.#first, level: 1, short, url: check?.url, range }] });
  }
}

const digest = (id: string) => digestOf(Buffer.from(id));
