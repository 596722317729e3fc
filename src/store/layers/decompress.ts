/** Compression told by content, as Docker does. */
import type { Transform } from "node:stream";
import { createGunzip, createZstdDecompress } from "node:zlib";
import { Cancelled, InvalidParameter, Unavailable } from "../../lib/errors.ts";

const outputSize = 256 << 10;

/** First bytes of each format; the tars among them have their first at a file name. */
const formats: { name: "gzip" | "zstd" | "xz" | "bzip2"; magic: number[] }[] = [
  { name: "gzip", magic: [0x1f, 0x8b] },
  { name: "zstd", magic: [0x28, 0xb5, 0x2f, 0xfd] },
  { name: "xz", magic: [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00] },
  { name: "bzip2", magic: [0x42, 0x5a, 0x68] },
];
const longestMagic = 6;

const formatOf = (head: Uint8Array) =>
  formats.find(({ magic }) => magic.every((byte, at) => head[at] === byte))?.name;

/** Whether a file that begins so is of a format that `decompress` knows. */
export const isCompressed = (head: Uint8Array) => formatOf(head) !== undefined;

/**
 * The bytes of `source`, decompressed when they are gzip (any number of members), zstd, xz or bzip2; the last two by
 * the programs of their names, as rarely as they come. Chunks, those of `source` too, are valid until the next one is
 * asked for.
 * @throws InvalidParameter on corrupt data, Unavailable when the program is not installed; on truncated data too, but for
 *   zstd, whose decoder ends without a word: who reads the archive misses its end
 */
export async function* decompress(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const chunks = source[Symbol.asyncIterator]();
  let head: Uint8Array = new Uint8Array(0);
  while (head.length < longestMagic) {
    const next = await chunks.next();
    if (next.done) break;
    const enough = head.length === 0 && next.value.length >= longestMagic;
    head = enough ? next.value : Buffer.concat([head, next.value]);
  }
  const whole = resume(head, chunks);
  const format = formatOf(head);
  if (format === undefined) return yield* whole;
  if (format === "xz" || format === "bzip2") return yield* throughProgram(format, copies(whole));
  const options = { chunkSize: outputSize };
  const decoder = format === "gzip" ? createGunzip(options) : createZstdDecompress(options);
  const feeding = feedDecoder(decoder, whole);
  try {
    for await (const piece of decoder) {
      const chunk = piece as Buffer<ArrayBuffer>;
      yield chunk;
      releaseFull(chunk);
    }
    await feeding;
  } catch (error) {
    throw explain(error as Error, format);
  }
}

/** The decoder fills one buffer after another, in pieces: with its last piece it is free. */
function releaseFull({ buffer, byteOffset, byteLength }: Buffer<ArrayBuffer>): void {
  if (buffer.byteLength === outputSize && byteOffset + byteLength === outputSize) buffer.transfer(0);
}

/** One chunk at a time, for a chunk is valid until the next one is asked for. An error of the source is the decoder's. */
async function feedDecoder(decoder: Transform, source: AsyncIterable<Uint8Array>): Promise<void> {
  try {
    for await (const chunk of source)
      await new Promise<void>((resolve, reject) => {
        decoder.once("close", resolve);
        decoder.write(chunk, (error) => {
          decoder.off("close", resolve);
          if (error) reject(error);
          else resolve();
        });
      }).then(() => {
        if (decoder.destroyed) throw new Cancelled("the reader has gone");
      });
    decoder.end();
  } catch (error) {
    decoder.destroy(error as Error);
  }
}

/** For who holds chunks, or gives them to threads of their own; a source's are valid until the next one is asked for. */
export async function* copies(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const chunk of source) yield new Uint8Array(chunk);
}

async function* throughProgram(
  name: "xz" | "bzip2",
  source: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  if (!Bun.which(name))
    throw new Unavailable(
      `archives compressed with ${name} need the program ${name}, which is not installed`,
    );
  const child = Bun.spawn([name, "-d", "-c", "-q"], { stdin: "pipe", stdout: "pipe", stderr: "pipe" });
  const feeding = feed(child.stdin, source);
  // It is waited for below; until then a failure is no unhandled one.
  feeding.catch(() => {});
  try {
    yield* child.stdout;
    await feeding;
    if ((await child.exited) !== 0)
      throw new InvalidParameter(`corrupt ${name} data: ${(await new Response(child.stderr).text()).trim()}`);
  } finally {
    child.kill("SIGKILL");
  }
}

/** A program that ends before it has read everything says so by its exit. */
async function feed(sink: Bun.FileSink, source: AsyncIterable<Uint8Array>): Promise<void> {
  for await (const chunk of source) {
    try {
      sink.write(chunk);
      await sink.flush();
    } catch {
      break;
    }
  }
  await Promise.resolve(sink.end()).catch(() => {});
}

async function* resume(head: Uint8Array, rest: AsyncIterator<Uint8Array>): AsyncGenerator<Uint8Array> {
  try {
    if (head.length > 0) yield head;
    for (let next = await rest.next(); !next.done; next = await rest.next()) yield next.value;
  } finally {
    await rest.return?.();
  }
}

/** zlib's own errors are the data's fault; others (an abort, the disk) pass. */
function explain(error: Error, format: string): Error {
  const code = (error as NodeJS.ErrnoException).code ?? "";
  if (code === "Z_BUF_ERROR") return new InvalidParameter("unexpected EOF", { cause: error });
  if (/^(Z_|ZSTD_)/.test(code))
    return new InvalidParameter(`corrupt ${format} data: ${error.message}`, { cause: error });
  return error;
}
