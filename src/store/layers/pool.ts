/**
 * Worker threads for layers: as many as there are cores, started when wanted and ended when idle, so that their
 * memory returns.
 */
import { availableParallelism } from "node:os";
import { errorOfKind, Internal } from "../../lib/errors.ts";
import type { ArrivingFile } from "./arriving.ts";
import type { FromWorker, JobName, Jobs, ToWorker } from "./protocol.ts";

/** Milliseconds without a job after which a worker ends. */
const idleTime = 3000;

/**
 * The worker's module. In a `bun build --compile` executable it's an entry point of its own, named by its path
 * from the repository (`--root .`).
 */
const entry = import.meta.url.includes("/$bunfs/")
  ? "/$bunfs/root/src/store/layers/worker.js"
  : new URL("./worker.ts", import.meta.url).href;

/** What a job may say on its way. */
export interface JobListener {
  onOutput?(bytes: Uint8Array): void;
  /** The worker takes one more chunk of input. */
  onCredit?(used: ArrayBuffer): void;
  /** A layer has begun to come; its descriptor is the listener's to close. */
  onArriving?(file: ArrivingFile): void;
}

export interface Job<R> {
  readonly done: Promise<R>;
  /** undefined: no more. */
  input(bytes: Uint8Array | undefined): void;
  /** One more chunk of output is welcome. */
  credit(): void;
  abort(): void;
}

interface Pending {
  resolve(result: unknown): void;
  reject(error: Error): void;
  listener: JobListener;
}

export class WorkerPool implements AsyncDisposable {
  readonly #threads = new Set<Thread>();
  readonly #limit: number;
  #lastId = 0;

  constructor(limit = availableParallelism()) {
    this.#limit = limit;
  }

  /** Starts a job on the least busy thread. */
  start<N extends JobName>(
    name: N,
    task: Jobs[N]["task"],
    listener: JobListener = {},
  ): Job<Jobs[N]["result"]> {
    const id = ++this.#lastId;
    const thread = this.#pick();
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    thread.start({ type: "start", id, request: { name, task } as never }, { resolve, reject, listener });
    return {
      done: promise as Promise<Jobs[N]["result"]>,
      input: (bytes) => thread.send({ type: "input", id, bytes }, bytes ? [bytes.buffer as ArrayBuffer] : []),
      credit: () => thread.send({ type: "credit", id }),
      abort: () => thread.send({ type: "abort", id }),
    };
  }

  /** Runs a job that needs no streams. @throws the signal's reason, once the job has let go of everything */
  async run<N extends JobName>(
    name: N,
    task: Jobs[N]["task"],
    signal?: AbortSignal,
  ): Promise<Jobs[N]["result"]> {
    signal?.throwIfAborted();
    const job = this.start(name, task);
    signal?.addEventListener("abort", job.abort);
    try {
      return await job.done;
    } catch (error) {
      signal?.throwIfAborted();
      throw error;
    } finally {
      signal?.removeEventListener("abort", job.abort);
    }
  }

  /** Ends all threads; running jobs fail. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const thread of this.#threads) thread.stop(new Internal("the store is closed"));
  }

  #pick(): Thread {
    const [least] = [...this.#threads].sort((a, b) => a.busy - b.busy);
    if (least && (least.busy === 0 || this.#threads.size >= this.#limit)) return least;
    const thread = new Thread(() => this.#threads.delete(thread));
    this.#threads.add(thread);
    return thread;
  }
}

class Thread {
  readonly #worker = new Worker(entry);
  readonly #jobs = new Map<number, Pending>();
  #idle: Timer | undefined;

  constructor(private readonly onStopped: () => void) {
    this.#worker.onmessage = ({ data }: MessageEvent<FromWorker>) => this.#receive(data);
    this.#worker.onerror = (event) => this.stop(new Internal(`layer worker failed: ${event.message}`));
    // A program that waits for nothing else may end.
    this.#worker.unref();
  }

  get busy(): number {
    return this.#jobs.size;
  }

  start(message: ToWorker & { type: "start" }, pending: Pending): void {
    clearTimeout(this.#idle);
    this.#jobs.set(message.id, pending);
    this.#worker.ref();
    this.send(message);
  }

  send(message: ToWorker, transfer: ArrayBuffer[] = []): void {
    this.#worker.postMessage(message, transfer);
  }

  stop(reason: Error): void {
    clearTimeout(this.#idle);
    this.onStopped();
    this.#worker.terminate();
    for (const job of this.#jobs.values()) job.reject(reason);
    this.#jobs.clear();
  }

  #receive(message: FromWorker): void {
    const job = this.#jobs.get(message.id);
    if (!job) return;
    switch (message.type) {
      case "output":
        job.listener.onOutput?.(message.bytes);
        return;
      case "credit":
        job.listener.onCredit?.(message.buffer);
        return;
      case "arriving":
        job.listener.onArriving?.(message.file);
        return;
      case "done":
        job.resolve(message.result);
        break;
      case "failed":
        job.reject(revive(message));
    }
    this.#jobs.delete(message.id);
    if (this.#jobs.size > 0) return;
    this.#worker.unref();
    this.#idle = setTimeout(() => this.stop(new Internal("idle")), idleTime);
    this.#idle.unref();
  }
}

/** The error as the worker threw it, as far as messages carry. */
function revive({ kind, message, code }: FromWorker & { type: "failed" }): Error {
  const error = kind ? errorOfKind(kind, message) : new Error(message);
  return code ? Object.assign(error, { code }) : error;
}
