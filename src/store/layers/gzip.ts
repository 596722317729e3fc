/**
 * gzip (RFC 1952) on several cores: the stream is cut into blocks, each deflated by itself on a thread of the pool, and
 * the pieces make one member, as pigz does it. What doesn't get smaller, such as pictures, models and archives in an
 * image, is stored as it is, which costs nothing. The same bytes always give the same file.
 */
import { availableParallelism } from "node:os";
import { promisify } from "node:util";
import { crc32, deflateRaw, deflateRawSync, constants as zlib } from "node:zlib";

const deflate = promisify<Uint8Array, object, Buffer>(deflateRaw);

/** Bytes deflated at a time; a window of 32 KB that begins anew costs a thousandth of the size. */
const blockSize = 512 << 10;
/** No time, no name, made on Unix (RFC 1952, 2.3). */
const header = Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3]);
/** A last, empty block with fixed codes (RFC 1951, 3.2.6). */
const lastBlock = Buffer.from([3, 0]);
/** Of a stored block (RFC 1951, 3.2.4). */
const maxStored = 0xffff;

/** Each is so long, and there are so many in a block that is sampled. */
const sample = { bytes: 4096, count: 3 };
/** A block whose samples deflate to more than this part of them is stored. */
const worthwhile = 0.97;

/**
 * @param chunks each belongs to who takes it: it may wait in another thread
 * @param level zlib's, 0 to 9
 * @param onUsed hears of each chunk that may be filled again
 */
export async function* gzip(
  chunks: AsyncIterable<Uint8Array>,
  level: number,
  onUsed: (chunk: Uint8Array) => void = () => {},
): AsyncGenerator<Uint8Array> {
  yield header;
  let crc = 0;
  let length = 0;
  const pieces: { output: Promise<Uint8Array>; last?: Uint8Array }[] = [];
  const ahead = availableParallelism();
  async function* take(piece: (typeof pieces)[number]) {
    yield await piece.output;
    if (piece.last) onUsed(piece.last);
  }
  for await (const chunk of chunks) {
    crc = crc32(chunk, crc);
    length += chunk.length;
    for (let at = 0; at < chunk.length; at += blockSize) {
      const output = deflated(chunk.subarray(at, at + blockSize), level);
      // Its failure is told when its turn comes.
      output.catch(() => {});
      pieces.push({ output, last: at + blockSize < chunk.length ? undefined : chunk });
    }
    while (pieces.length > ahead) yield* take(pieces.shift()!);
  }
  for (const piece of pieces) yield* take(piece);
  yield lastBlock;
  const trailer = Buffer.alloc(8);
  trailer.writeUInt32LE(crc, 0);
  trailer.writeUInt32LE(length % 2 ** 32, 4);
  yield trailer;
}

/** One block, ended at a byte's edge. */
async function deflated(block: Uint8Array, level: number): Promise<Uint8Array> {
  if (isDense(block)) return stored(block);
  return deflate(block, { level, finishFlush: zlib.Z_SYNC_FLUSH, chunkSize: blockSize });
}

function isDense(block: Uint8Array): boolean {
  const { bytes, count } = sample;
  if (block.length < bytes * count * 2) return false;
  const step = Math.floor((block.length - bytes) / (count - 1));
  for (let n = 0; n < count; n++) {
    const part = block.subarray(n * step, n * step + bytes);
    if (deflateRawSync(part, { level: 1 }).length <= part.length * worthwhile) return false;
  }
  return true;
}

function stored(block: Uint8Array): Uint8Array {
  const parts: Uint8Array[] = [];
  for (let at = 0; at < block.length; at += maxStored) {
    const part = block.subarray(at, at + maxStored);
    const head = Buffer.alloc(5);
    head.writeUInt16LE(part.length, 1);
    head.writeUInt16LE(part.length ^ 0xffff, 3);
    parts.push(head, part);
  }
  return Buffer.concat(parts);
}
