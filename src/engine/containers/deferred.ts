import { Duplex } from "node:stream";
import { DetachWatcher } from "../../lib/detach-keys.ts";

/**
 * A stream handed out before its source exists: `docker run` attaches first and starts afterwards. What is
 * written meanwhile waits; `connect` joins it to the real stream with backpressure both ways.
 */
export class DeferredDuplex extends Duplex {
  #inner: Duplex | undefined;
  #pendingWrite: (() => void) | undefined;
  #pendingFinal: (() => void) | undefined;

  readonly #watcher: DetachWatcher | undefined;

  /** @param detach keys in what is written that end the stream, leaving its source alone, and who is told */
  constructor(private readonly detach?: { keys: readonly number[]; onDetach: () => void }) {
    super({ allowHalfOpen: true });
    if (detach) this.#watcher = new DetachWatcher(detach.keys);
  }

  connect(inner: Duplex): void {
    if (this.destroyed) {
      inner.destroy();
      return;
    }
    this.#inner = inner;
    inner.on("data", (chunk: Buffer) => {
      if (!this.push(chunk)) inner.pause();
    });
    inner.on("end", () => this.push(null));
    inner.on("error", (error) => this.destroy(error));
    inner.on("close", () => {
      if (!this.readableEnded) this.push(null);
    });
    this.#pendingWrite?.();
    this.#pendingFinal?.();
  }

  /** There will be no source: the container did not start, or is gone. */
  abandon(): void {
    this.push(null);
    this.end();
    this.resume();
  }

  override _read(): void {
    this.#inner?.resume();
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    if (!this.#watcher) {
      this.#forward(chunk, done);
      return;
    }
    const { pass, detached } = this.#watcher.push(chunk);
    this.#forward(pass, () => {
      done();
      if (detached) this.#leave();
    });
  }

  #leave(): void {
    this.#inner?.destroy();
    this.push(null);
    this.detach?.onDetach();
  }

  #forward(chunk: Uint8Array, done: () => void): void {
    const inner = this.#inner;
    if (!inner) {
      this.#pendingWrite = () => {
        this.#pendingWrite = undefined;
        this.#forward(chunk, done);
      };
    } else if (inner.destroyed || inner.writableEnded) {
      // The container has closed its stdin: what comes late is dropped, as by a pipe that nobody reads.
      done();
    } else if (inner.write(chunk)) {
      done();
    } else {
      const proceed = () => {
        inner.off("drain", proceed);
        inner.off("close", proceed);
        done();
      };
      inner.on("drain", proceed);
      inner.on("close", proceed);
    }
  }

  override _final(done: () => void): void {
    if (this.#inner) {
      this.#inner.end();
      done();
    } else {
      this.#pendingFinal = () => {
        this.#pendingFinal = undefined;
        this._final(done);
      };
    }
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#inner?.destroy();
    this.#pendingFinal = undefined;
    this.#pendingWrite = undefined;
    done(error);
  }
}
