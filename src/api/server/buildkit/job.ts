/** One build as its clients see it: its messages, read from the beginning by each who asks, and its cancellation. */
import type { BuildEvent } from "../../../build/types.ts";
import { VertexStream } from "./progress.ts";
import type { StatusResponse } from "./proto/control_pb.ts";
import { Rendezvous } from "./rendezvous.ts";
import type { Source } from "./source.ts";

/** How long a build that has ended can be asked about (milliseconds). */
const afterlife = 10_000;

export class Job {
  readonly createdAt = Date.now();
  readonly #messages: StatusResponse[] = [];
  readonly #vertices: VertexStream;
  readonly #abort = new AbortController();
  #changed = Promise.withResolvers<void>();
  #ended = false;

  constructor(readonly ref: string) {
    this.#vertices = new VertexStream(ref);
  }

  /** Aborted when somebody cancels the build. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  get source(): Source | undefined {
    return this.#vertices.source;
  }

  set source(source: Source) {
    this.#vertices.source = source;
  }

  show(event: BuildEvent): void {
    const message = this.#vertices.message(event);
    if (!message) return;
    this.#messages.push(message);
    this.#wake();
  }

  cancel(): void {
    this.#abort.abort();
  }

  end(): void {
    this.#ended = true;
    this.#wake();
  }

  /** All messages, from the first to the build's end. */
  async *messages(signal: AbortSignal): AsyncGenerator<StatusResponse> {
    const aborted = Promise.withResolvers<void>();
    const onAbort = () => aborted.resolve();
    signal.addEventListener("abort", onAbort);
    try {
      for (let next = 0; !signal.aborted; ) {
        const changed = this.#changed.promise;
        while (next < this.#messages.length && !signal.aborted) yield this.#messages[next++]!;
        if (next < this.#messages.length) continue;
        if (this.#ended) return;
        await Promise.race([changed, aborted.promise]);
      }
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  }

  #wake(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }
}

export class Jobs extends Rendezvous<Job> {
  constructor() {
    super("build");
  }

  /** Runs `work` as a build that others find by its name. */
  async run<T>(ref: string, work: (job: Job) => Promise<T>): Promise<T> {
    const job = new Job(ref);
    this.set(ref, job);
    try {
      return await work(job);
    } finally {
      job.end();
      // Its progress may be asked for when a quick build is over already.
      setTimeout(() => this.delete(ref, job), afterlife).unref();
    }
  }
}
