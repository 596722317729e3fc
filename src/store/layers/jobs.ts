/** The work itself; runs in a worker, several jobs side by side. */
import { createReadStream } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { createZstdCompress, constants as zlib } from "node:zlib";
import type { Digest } from "../../lib/digest.ts";
import { explainFullDisk } from "../../lib/errors.ts";
import { endOfArchive, formatHeader, type TarHandler, TarReader } from "../../lib/tar/index.ts";
import * as fs from "../../linux/fs.ts";
import { type ArrivingFile, follow } from "./arriving.ts";
import { copies, decompress } from "./decompress.ts";
import { DigestingUnpacker } from "./digesting.ts";
import { gzip } from "./gzip.ts";
import { HashingUnpacker } from "./hashing.ts";
import { inheritDirectories } from "./inherit.ts";
import { measureTree } from "./measure.ts";
import type { JobName, Jobs } from "./protocol.ts";
import { readFileChunks } from "./read-file.ts";
import { Unpacker } from "./unpacker.ts";
import { type Walked, Walker, walkPath } from "./walk.ts";
import { weighLayers } from "./weigh.ts";

/** A job's connection to who ordered it. */
export interface JobContext {
  signal: AbortSignal;
  input: AsyncIterable<Uint8Array>;
  /** Resolves when the next chunk is welcome. The bytes are given away. */
  output(bytes: Uint8Array): Promise<void>;
  /** Hands on a layer that has begun to come. */
  arriving(file: ArrivingFile): void;
}

export const jobs: {
  [N in JobName]: (task: Jobs[N]["task"], context: JobContext) => Promise<Jobs[N]["result"]>;
} = {
  unpack,
  inherit: async ({ directory, lower, paths }, { signal }) => {
    await inheritDirectories(directory, lower, paths, signal);
    return undefined;
  },
  extract,
  receiveContext,
  pack,
  recompress,
  archive,
  digest: async ({ path }, { signal }) => {
    const hasher = new Bun.CryptoHasher("sha256");
    for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20, signal }))
      hasher.update(chunk as Uint8Array);
    return `sha256:${hasher.digest("hex")}`;
  },
  weigh: ({ blobs, limit }, { signal }) => weighLayers(blobs, limit, signal),
  measure: ({ directory }, { signal }) => measureTree(directory, signal),
};

async function unpack(
  { blob, directory, hash, limits, read }: Jobs["unpack"]["task"],
  { signal }: JobContext,
): Promise<Jobs["unpack"]["result"]> {
  const hasher = hash ? new Bun.CryptoHasher("sha256") : undefined;
  const source = typeof blob === "string" ? readFileChunks(blob, signal) : follow(blob, signal);
  const count = read && new BigInt64Array(read);
  const noted = count ? counted(source, (bytes) => Atomics.add(count, 0, BigInt(bytes))) : source;
  using unpacker = new Unpacker(directory, { layer: true, limits });
  await writeTree(noted, unpacker, unpacker, signal, hasher);
  const size = unpacker.size ?? (await measureTree(directory, signal)).bytes;
  return { size, implied: unpacker.implied, diffId: hasher && `sha256:${hasher.digest("hex")}` };
}

async function extract(
  { directory, digests, ...options }: Jobs["extract"]["task"],
  { signal, input, arriving }: JobContext,
): Promise<Jobs["extract"]["result"]> {
  using unpacker = new Unpacker(directory, options);
  using digesting = digests ? new DigestingUnpacker(unpacker, arriving) : undefined;
  await writeTree(input, unpacker, digesting ?? unpacker, signal);
  return { digests: digesting?.digests ?? new Map(), layers: digesting?.layers ?? new Map() };
}

async function receiveContext(
  { directory, limits }: Jobs["receiveContext"]["task"],
  { signal, input }: JobContext,
): Promise<Jobs["receiveContext"]["result"]> {
  using unpacker = new Unpacker(directory, { limits, owner: { uid: 0, gid: 0 }, withoutXattrs: true });
  const hashing = new HashingUnpacker(unpacker);
  await writeTree(input, unpacker, hashing, signal);
  return hashing.hashes;
}

/** @param handler hears of the entries; the unpacker, or what passes them on to it */
async function writeTree(
  source: AsyncIterable<Uint8Array>,
  unpacker: Unpacker,
  handler: TarHandler,
  signal: AbortSignal,
  hasher?: Bun.CryptoHasher,
): Promise<void> {
  const reader = new TarReader(handler);
  try {
    for await (const chunk of decompress(counted(source, (bytes) => unpacker.archiveBytes(bytes)))) {
      signal.throwIfAborted();
      hasher?.update(chunk);
      reader.push(chunk);
    }
    reader.finish();
    unpacker.finish();
  } catch (error) {
    throw explainFullDisk(error, "cannot unpack");
  }
}

async function* counted(
  source: AsyncIterable<Uint8Array>,
  onBytes: (bytes: number) => void,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of source) {
    onBytes(chunk.length);
    yield chunk;
  }
}

async function pack(task: Jobs["pack"]["task"], { signal }: JobContext): Promise<Jobs["pack"]["result"]> {
  const { directory, lower, epoch } = task;
  const walker = new Walker({ layer: { lower }, epoch });
  const tarHasher = new Bun.CryptoHasher("sha256");
  await using file = await open(task.target, "wx", 0o600);
  using top = fs.Descriptor.directory(directory);
  const used: Uint8Array[] = [];
  const plain = hashed(blocks(walker.inside(top.fd, ""), signal, used), tarHasher);
  const blob = await writeHashed(compress(plain, task, used), file).catch((error: unknown) => {
    throw explainFullDisk(error, "cannot pack a layer");
  });
  return { ...blob, diffId: `sha256:${tarHasher.digest("hex")}` };
}

async function recompress(
  task: Jobs["recompress"]["task"],
  { signal }: JobContext,
): Promise<Jobs["recompress"]["result"]> {
  const tarHasher = new Bun.CryptoHasher("sha256");
  await using file = await open(task.target, "wx", 0o600);
  const source = createReadStream(task.blob, { highWaterMark: 1 << 20, signal });
  const plain = hashed(copies(decompress(source)), tarHasher);
  const blob = await writeHashed(compress(plain, task), file).catch((error: unknown) => {
    throw explainFullDisk(error, "cannot pack a layer");
  });
  return { ...blob, diffId: `sha256:${tarHasher.digest("hex")}` };
}

async function writeHashed(
  chunks: AsyncIterable<Uint8Array>,
  file: FileHandle,
): Promise<{ digest: Digest; size: number }> {
  const hasher = new Bun.CryptoHasher("sha256");
  let size = 0;
  for await (const chunk of chunks) {
    hasher.update(chunk);
    for (let at = 0; at < chunk.length; ) at += (await file.write(chunk, at)).bytesWritten;
    size += chunk.length;
  }
  return { digest: `sha256:${hasher.digest("hex")}`, size };
}

async function* hashed(
  chunks: AsyncIterable<Uint8Array>,
  hasher: Bun.CryptoHasher,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) {
    hasher.update(chunk);
    yield chunk;
  }
}

async function* compress(
  chunks: AsyncIterable<Uint8Array>,
  { compression, level }: Pick<Jobs["pack"]["task"], "compression" | "level">,
  /** Where chunks go that may be filled again. */
  used?: Uint8Array[],
): AsyncGenerator<Uint8Array> {
  if (compression === "none") return yield* chunks;
  const chunkSize = 256 << 10;
  // The fastest levels: a layer is packed while somebody waits for it, and size differs by little.
  if (compression === "gzip") return yield* gzip(chunks, level ?? 1, (chunk) => used?.push(chunk));
  const encoder = createZstdCompress({ params: { [zlib.ZSTD_c_compressionLevel]: level ?? 1 }, chunkSize });
  const feeding = (async () => {
    for await (const chunk of chunks)
      await new Promise<void>((resolve, reject) =>
        encoder.write(chunk, (error) => (error ? reject(error) : resolve())),
      );
    encoder.end();
  })();
  feeding.catch((error: Error) => encoder.destroy(error));
  for await (const chunk of encoder) yield chunk as Uint8Array;
  await feeding;
}

async function archive(
  { root, path, as, idMap }: Jobs["archive"]["task"],
  { signal, output }: JobContext,
): Promise<undefined> {
  const walked = walkPath(new Walker({ idMap }), root, path, as);
  for await (const block of blocks(walked, signal)) await output(block);
}

const outputBlock = 512 << 10;

/**
 * The archive in blocks of a size that is worth passing on; each belongs to who takes it.
 * @param used blocks that may be filled again: new ones would be garbage in gigabytes
 */
async function* blocks(
  walked: Iterable<Walked>,
  signal: AbortSignal,
  used: Uint8Array[] = [],
): AsyncGenerator<Uint8Array> {
  let block: Uint8Array = new Uint8Array(outputBlock);
  let filled = 0;
  const parts = function* () {
    for (const part of walked) yield "entry" in part ? formatHeader(part.entry) : part.data;
    yield endOfArchive;
  };
  for (const bytes of parts()) {
    for (let at = 0; at < bytes.length; ) {
      const part = bytes.subarray(at, at + outputBlock - filled);
      block.set(part, filled);
      filled += part.length;
      at += part.length;
      if (filled < outputBlock) continue;
      yield block;
      // Lets an abort and the other jobs have their turn.
      await new Promise((resolve) => setImmediate(resolve));
      signal.throwIfAborted();
      block = used.pop() ?? new Uint8Array(outputBlock);
      filled = 0;
    }
  }
  yield block.subarray(0, filled);
}
