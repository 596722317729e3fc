/** Byte streams over messages, with backpressure by credits: who receives says how many chunks may come. */
import { chunkSize, streamWindow } from "./protocol.ts";

/** The sender's side: waits for leave to send. */
export class Credits {
  #free = streamWindow;
  /** Buffers that came back, to be filled again: new ones for each chunk would be garbage in gigabytes. */
  readonly #buffers: ArrayBuffer[] = [];
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

  /** A copy of `chunk` that can be given away; of its first bytes, when it is longer than a buffer. */
  copyOf(chunk: Uint8Array): Uint8Array<ArrayBuffer> {
    const part = chunk.length > chunkSize ? chunk.subarray(0, chunkSize) : chunk;
    const copy = new Uint8Array(this.#buffers.pop() ?? new ArrayBuffer(chunkSize), 0, part.length);
    copy.set(part);
    return copy;
  }

  /** @param used a buffer that the receiver is done with */
  add(used?: ArrayBuffer): void {
    if (used?.byteLength === chunkSize) this.#buffers.push(used);
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

/** The receiver's side: chunks in order, for one reader. A chunk is valid until the next one is asked for. */
export class Inbox implements AsyncIterable<Uint8Array> {
  readonly #chunks: Uint8Array[] = [];
  #ended = false;
  #failure: Error | undefined;
  #wake: (() => void) | undefined;

  /** @param onUsed called with the buffer of each chunk that the reader is done with */
  constructor(private readonly onUsed: (buffer: ArrayBuffer) => void) {}

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
        yield chunk;
        this.onUsed(chunk.buffer as ArrayBuffer);
      } else if (this.#ended) return;
      else
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
    }
  }
}
