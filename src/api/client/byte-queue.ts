/**
 * Bytes on their way from a socket to one reader. Above the high-water mark the socket is paused; it goes on
 * when the reader has taken what waits.
 */
const highWater = 512 * 1024;

export interface ByteSource {
  pause(): void;
  resume(): void;
  /** The reader stopped before the end. */
  cancel(): void;
}

export class ByteQueue implements AsyncIterable<Uint8Array> {
  #chunks: Uint8Array[] = [];
  #size = 0;
  #ended = false;
  #error: Error | undefined;
  #paused = false;
  #wake: (() => void) | undefined;

  constructor(private readonly source: ByteSource) {}

  push(bytes: Uint8Array): void {
    if (this.#ended) return;
    this.#chunks.push(bytes);
    this.#size += bytes.length;
    if (this.#size > highWater && !this.#paused) {
      this.#paused = true;
      this.source.pause();
    }
    this.#wake?.();
  }

  /** No more bytes; with an error the reader gets it after what came before. */
  end(error?: Error): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#error = error;
    this.#wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    try {
      for (;;) {
        for (let chunk = this.#chunks.shift(); chunk; chunk = this.#chunks.shift()) {
          this.#size -= chunk.length;
          yield chunk;
        }
        if (this.#ended) break;
        if (this.#paused) {
          this.#paused = false;
          this.source.resume();
        }
        const woken = Promise.withResolvers<void>();
        this.#wake = woken.resolve;
        await woken.promise;
        this.#wake = undefined;
      }
      if (this.#error) throw this.#error;
    } finally {
      if (!this.#ended) this.source.cancel();
    }
  }
}
