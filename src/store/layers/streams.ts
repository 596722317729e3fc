/** Byte streams over messages, with backpressure by credits: who receives says how many chunks may come. */
import { streamWindow } from "./protocol.ts";

/** The sender's side: waits for leave to send. */
export class Credits {
  #free = streamWindow;
  #waiting: { resolve: () => void; reject: (error: Error) => void } | undefined;
  #failure: Error | undefined;

  /** Resolves when one chunk may be sent. One caller at a time. */
  async take(): Promise<void> {
    if (this.#failure) throw this.#failure;
    if (this.#free === 0)
      await new Promise<void>((resolve, reject) => {
        this.#waiting = { resolve, reject };
      });
    this.#free--;
  }

  add(): void {
    this.#free++;
    this.#waiting?.resolve();
    this.#waiting = undefined;
  }

  fail(error: Error): void {
    this.#failure ??= error;
    this.#waiting?.reject(this.#failure);
    this.#waiting = undefined;
  }
}

/** The receiver's side: chunks in order, for one reader. */
export class Inbox implements AsyncIterable<Uint8Array> {
  readonly #chunks: Uint8Array[] = [];
  #ended = false;
  #failure: Error | undefined;
  #wake: (() => void) | undefined;

  /** @param onTaken called for each chunk that the reader has taken */
  constructor(private readonly onTaken: () => void) {}

  push(chunk: Uint8Array): void {
    this.#chunks.push(chunk);
    this.#wake?.();
  }

  end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  fail(error: Error): void {
    this.#failure ??= error;
    this.#wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    for (;;) {
      if (this.#failure) throw this.#failure;
      const chunk = this.#chunks.shift();
      if (chunk) {
        this.onTaken();
        yield chunk;
      } else if (this.#ended) return;
      else
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
    }
  }
}
