/**
 * Blobs as objects of an S3 bucket: `<prefix>/blobs/sha256/ab/abcd…`. What is on its way in is a row of parts
 * `<prefix>/ingest/<uuid>/<offset>`, so that any replica can take an upload up; publishing joins them.
 */
import { S3Client, type S3Options } from "bun";
import { type Digest, hexOf, isDigest } from "../../lib/digest.ts";
import { algorithmOf, RunningHash } from "./hash.ts";
import type { BlobIngest, BlobStore, HashAlgorithm } from "./types.ts";

/** Bytes of one part: held in memory for each upload. */
const partSize = 8 * 1024 * 1024;

interface Part {
  key: string;
  start: number;
  end: number;
}

/**
 * @param prefix of all keys, without slashes at its ends; may be empty
 * @param options credentials, endpoint and region; what is absent comes from the environment (AWS_ACCESS_KEY_ID,
 * AWS_SECRET_ACCESS_KEY, AWS_REGION, AWS_ENDPOINT, AWS_SESSION_TOKEN, or the same with S3_)
 */
export function openS3Blobs(bucket: string, prefix: string, options: S3Options = {}): BlobStore {
  const bunOptions = { ...options, bucket, queueSize: 4, partSize };
  return new S3Blobs(new S3Client(bunOptions), prefix === "" ? "" : `${prefix}/`);
}

class S3Blobs implements BlobStore {
  constructor(
    private readonly client: S3Client,
    private readonly prefix: string,
  ) {}

  async size(digest: Digest): Promise<number | undefined> {
    try {
      return (await this.client.file(this.#key(digest)).stat()).size;
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw error;
    }
  }

  read(digest: Digest, start: number, end: number): ReadableStream<Uint8Array> {
    return this.client.file(this.#key(digest)).slice(start, end).stream();
  }

  async ingest(id: string, algorithm: HashAlgorithm = "sha256"): Promise<BlobIngest> {
    // An empty part at once: the ingest can be resumed and collected from now on.
    const first = { key: this.#partKey(id, 0), start: 0, end: 0 };
    await this.client.write(first.key, new Uint8Array(0));
    return this.#ingestOf(id, [first], new RunningHash(algorithm));
  }

  async resume(id: string): Promise<BlobIngest | undefined> {
    const parts: Part[] = [];
    for await (const { key, size } of this.#objects(`ingest/${id}/`)) {
      const start = Number(key.slice(key.lastIndexOf("/") + 1));
      parts.push({ key, start, end: start + size });
    }
    if (parts.length === 0) return undefined;
    return this.#ingestOf(id, parts, undefined);
  }

  async remove(digest: Digest): Promise<void> {
    await patiently(() => this.client.delete(this.#key(digest)));
  }

  async *list(): AsyncGenerator<Digest> {
    for await (const { key } of this.#objects("blobs/")) {
      const [algorithm, , hex] = key.slice(`${this.prefix}blobs/`.length).split("/");
      const digest = `${algorithm}:${hex}`;
      if (isDigest(digest)) yield digest;
    }
  }

  async *ingests(): AsyncGenerator<{ id: string; writtenAt: number }> {
    let last: { id: string; writtenAt: number } | undefined;
    // Keys come in order, so the parts of one ingest follow one another.
    for await (const { key, writtenAt } of this.#objects("ingest/")) {
      const id = key.slice(`${this.prefix}ingest/`.length).split("/")[0]!;
      if (last && last.id !== id) yield last;
      last = { id, writtenAt: last?.id === id ? Math.max(last.writtenAt, writtenAt) : writtenAt };
    }
    if (last) yield last;
  }

  #ingestOf(id: string, parts: Part[], hash: RunningHash | undefined): BlobIngest {
    return new S3Ingest(id, this.client, parts, hash, {
      part: (offset) => this.#partKey(id, offset),
      blob: (digest) => this.#key(digest),
    });
  }

  async *#objects(below: string): AsyncGenerator<{ key: string; size: number; writtenAt: number }> {
    const prefix = this.prefix + below;
    for (let startAfter: string | undefined; ; ) {
      const page = await this.client.list({ prefix, startAfter, maxKeys: 1000 });
      for (const { key, size, lastModified } of page.contents ?? []) {
        yield { key, size: Number(size ?? 0), writtenAt: Date.parse(String(lastModified)) };
      }
      startAfter = page.contents?.at(-1)?.key;
      if (!page.isTruncated || startAfter === undefined) return;
    }
  }

  #key(digest: Digest): string {
    const hex = hexOf(digest);
    return `${this.prefix}blobs/${algorithmOf(digest)}/${hex.slice(0, 2)}/${hex}`;
  }

  #partKey(id: string, offset: number): string {
    // Of one width, so that keys in order are parts in order.
    return `${this.prefix}ingest/${id}/${String(offset).padStart(16, "0")}`;
  }
}

class S3Ingest implements BlobIngest {
  #over = false;

  constructor(
    readonly id: string,
    private readonly client: S3Client,
    private readonly parts: Part[],
    private readonly hash: RunningHash | undefined,
    private readonly keyOf: { part(offset: number): string; blob(digest: Digest): string },
  ) {}

  get offset(): number {
    return this.parts.at(-1)?.end ?? 0;
  }

  async append(chunks: AsyncIterable<Uint8Array>): Promise<void> {
    let pending: Uint8Array[] = [];
    let size = 0;
    const flush = async () => {
      if (size === 0) return;
      const bytes = pending;
      [pending, size] = [[], 0];
      await this.#addPart(Buffer.concat(bytes));
    };
    try {
      for await (const chunk of chunks) {
        pending.push(chunk);
        size += chunk.length;
        if (size >= partSize) await flush();
      }
    } finally {
      // What came before a failure stays.
      await flush();
    }
  }

  read(start: number, end: number): ReadableStream<Uint8Array> {
    return streamOf(this.#read(start, end));
  }

  async verify(digest: Digest): Promise<boolean> {
    if (this.hash?.algorithm === algorithmOf(digest)) return this.hash.matches(digest);
    const hash = new RunningHash(algorithmOf(digest));
    for await (const chunk of this.#read(0, this.offset)) hash.update(chunk);
    return hash.matches(digest);
  }

  async publish(digest: Digest): Promise<void> {
    const target = this.client.file(this.keyOf.blob(digest));
    if (this.offset <= partSize) {
      await target.write(await new Response(this.read(0, this.offset)).arrayBuffer());
    } else {
      // The object is there when the writer ends, not before.
      const writer = target.writer({ partSize, queueSize: 2, retry: 3 });
      for await (const chunk of this.#read(0, this.offset)) {
        writer.write(chunk);
        await writer.flush();
      }
      await writer.end();
    }
    await this.discard();
  }

  async close(): Promise<void> {}

  async discard(): Promise<void> {
    if (this.#over) return;
    this.#over = true;
    for (const { key } of this.parts) await patiently(() => this.client.delete(key));
  }

  async #addPart(bytes: Uint8Array): Promise<void> {
    const start = this.offset;
    const key = this.keyOf.part(start);
    try {
      await this.client.write(key, bytes);
    } catch (error) {
      await this.discard();
      throw error;
    }
    this.hash?.update(bytes);
    // The part of the begin was empty, and this one has its key.
    if (start === 0) this.parts.length = 0;
    this.parts.push({ key, start, end: start + bytes.length });
  }

  async *#read(from: number, to: number): AsyncGenerator<Uint8Array> {
    for (const { key, start, end } of this.parts) {
      if (start >= to || end <= from) continue;
      const slice = this.client.file(key).slice(Math.max(from - start, 0), Math.min(to, end) - start);
      yield await slice.bytes();
    }
  }
}

/** S3 asks clients to repeat what failed inside of it; a delete can be repeated without harm. */
async function patiently(task: () => Promise<unknown>): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      await task();
      return;
    } catch (error) {
      if (attempt === 4) throw error;
      await Bun.sleep(50 * 2 ** attempt);
    }
  }
}

function streamOf(chunks: AsyncGenerator<Uint8Array>): ReadableStream<Uint8Array> {
  return new ReadableStream({
    async pull(controller) {
      const { done, value } = await chunks.next();
      if (done) controller.close();
      else controller.enqueue(value);
    },
    async cancel() {
      await chunks.return(undefined);
    },
  });
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && "code" in error && ["NoSuchKey", "NotFound"].includes(String(error.code));
}
