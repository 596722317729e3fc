/** A blob on its way from another registry into the store, with readers that follow it. */
import type { Readable } from "node:stream";
import type { OpenBlob } from "./registry.ts";
import type { BlobBytes, BlobIngest } from "./types.ts";

/** Connections that may break before the fetch is given up. */
const attempts = 4;
/** What a reader takes at once. Bytes. */
const readSize = 1024 * 1024;

export interface FetchSteps {
  /** Upstream's bytes from `offset` on. */
  open(offset: number): Promise<Readable>;
  /** Checks and publishes the ingest. */
  commit(): Promise<void>;
  /** Bytes of the published blob. */
  stored(start: number, end: number): BlobBytes;
}

export class BlobFetch implements OpenBlob {
  /** Ends when the blob is in the store. */
  readonly done: Promise<void>;
  #isStored = false;
  #failure: unknown;
  #progress = Promise.withResolvers<void>();

  /** Begins at once, and goes on when its readers leave. */
  constructor(
    private readonly ingest: BlobIngest,
    readonly size: number,
    private readonly steps: FetchSteps,
  ) {
    this.done = this.#run();
    this.done.catch(() => {});
  }

  /** Follows the bytes as they come; fails when the blob turns out to be wrong. */
  readonly read = (start: number, end: number): ReadableStream<Uint8Array> => {
    let at = start;
    return new ReadableStream({
      pull: async (controller) => {
        const bytes = await this.#next(at, end);
        at += bytes.length;
        // The last byte is given when the whole was checked.
        if (at === this.size) await this.done;
        controller.enqueue(bytes);
        if (at === end) controller.close();
      },
    });
  };

  async #run(): Promise<void> {
    try {
      for (let attempt = 1; this.ingest.offset < this.size; attempt++) {
        try {
          await this.ingest.append(this.#watched(await this.steps.open(this.ingest.offset)));
        } catch (error) {
          if (attempt === attempts) throw error;
        }
      }
      await this.steps.commit();
      this.#isStored = true;
    } catch (error) {
      this.#failure = error;
      await this.ingest.discard();
      throw error;
    } finally {
      this.#tell();
    }
  }

  async *#watched(stream: Readable): AsyncGenerator<Uint8Array> {
    for await (const chunk of stream) {
      yield chunk;
      // Asked for more: the chunk is written.
      this.#tell();
    }
  }

  async #next(at: number, end: number): Promise<Uint8Array> {
    while (!this.#isStored && this.ingest.offset <= at) {
      if (this.#failure !== undefined) throw this.#failure;
      await this.#progress.promise;
    }
    if (!this.#isStored) {
      const upTo = Math.min(end, this.ingest.offset, at + readSize);
      try {
        return await bytesOf(this.ingest.read(at, upTo));
      } catch {
        // It was published between the look and the reading, or has failed.
        await this.done;
      }
    }
    return await bytesOf(this.steps.stored(at, Math.min(end, at + readSize)));
  }

  #tell(): void {
    this.#progress.resolve();
    this.#progress = Promise.withResolvers();
  }
}

async function bytesOf(bytes: BlobBytes): Promise<Uint8Array> {
  return new Uint8Array(await new Response(bytes).arrayBuffer());
}
