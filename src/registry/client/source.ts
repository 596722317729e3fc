/** Ranges out of a stream that can only be read from its beginning. */
import type { Readable } from "node:stream";
import { Unavailable } from "../../lib/errors.ts";

/** Reads ranges of what `open` gives; one that goes on where the last ended costs no reading twice. */
export class ByteSource implements Disposable {
  #stream: Readable | undefined;
  #chunks: AsyncIterator<unknown> | undefined;
  #rest: Uint8Array = new Uint8Array(0);
  #position = 0;

  constructor(private readonly open: () => Readable) {}

  /** Bytes `start` to `end`, exclusive. @throws Unavailable when the stream is shorter */
  async *read(start: number, end: number): AsyncGenerator<Uint8Array> {
    if (!this.#chunks || start < this.#position) this.#reopen();
    while (this.#position < end) {
      if (this.#rest.length === 0) await this.#fill();
      const skip = Math.min(Math.max(start - this.#position, 0), this.#rest.length);
      const length = Math.min(this.#rest.length, end - this.#position);
      const chunk = this.#rest.subarray(skip, length);
      this.#rest = this.#rest.subarray(length);
      this.#position += length;
      if (chunk.length > 0) yield chunk;
    }
  }

  [Symbol.dispose](): void {
    this.#stream?.destroy();
  }

  #reopen(): void {
    this.#stream?.destroy();
    this.#stream = this.open();
    // Without a listener a later failure of an abandoned stream would end the process.
    this.#stream.on("error", () => {});
    this.#chunks = this.#stream[Symbol.asyncIterator]();
    this.#rest = new Uint8Array(0);
    this.#position = 0;
  }

  async #fill(): Promise<void> {
    const next = await this.#chunks!.next();
    if (next.done) throw new Unavailable("unexpected end of the layer to be pushed");
    if (!(next.value instanceof Uint8Array)) throw new TypeError("a layer's stream gives bytes");
    this.#rest = next.value;
  }
}
