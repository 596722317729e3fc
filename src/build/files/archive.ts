/** Local tar archives of ADD: told by their content, unpacked where they would have been copied. */
import { createReadStream } from "node:fs";
import { join } from "node:path";
import { GantryError, Unavailable } from "../../lib/errors.ts";
import { decompress } from "../../store/index.ts";
import type { Layers } from "../../store/types.ts";
import { CopyError } from "./copy.ts";
import { makeDirectory, type Owner } from "./inside.ts";

const blockSize = 512;

/** Whether the file is a tar archive, compressed or not. @throws Unavailable when its compression needs a program that is missing */
export async function isArchive(root: string, path: string): Promise<boolean> {
  const source = createReadStream(join(root, path));
  try {
    return isTarHeader(await firstBytes(decompress(source), blockSize));
  } catch (error) {
    if (error instanceof Unavailable) throw error;
    // Compressed and broken, or not compressed at all: copied as it is, as Docker does.
    return false;
  } finally {
    source.destroy();
  }
}

async function firstBytes(chunks: AsyncIterable<Uint8Array>, wanted: number): Promise<Uint8Array> {
  let bytes: Uint8Array = new Uint8Array(0);
  for await (const chunk of chunks) {
    bytes = Buffer.concat([bytes, chunk.subarray(0, wanted)]);
    if (bytes.length >= wanted) break;
  }
  return bytes;
}

/**
 * Unpacks an archive into the destination directory, which is made when missing. Without an
 * owner, what comes out of the archive keeps those that it has there.
 * @throws CopyError for an archive that is broken or unpacks to more than the store's limits, and for a destination
 *   that is no directory
 */
export async function addArchive(
  layers: Layers,
  from: { root: string; path: string },
  root: string,
  options: { destination: string; owner?: Owner; signal: AbortSignal },
): Promise<void> {
  const { owner } = options;
  const made = makeDirectory(root, options.destination, { owner: owner ?? { uid: 0, gid: 0 } });
  if (!made) throw new CopyError(`cannot copy to non-directory: ${options.destination}`);
  // As it is stored: only so can what it unpacks to be held against its size.
  const source = createReadStream(join(from.root, from.path), { highWaterMark: 1 << 20 });
  try {
    await layers.extract(source, join(root, made.path), { owner }, options.signal);
  } catch (error) {
    if (error instanceof GantryError && (error.kind === "invalid" || error.kind === "too-large"))
      throw new CopyError(`cannot unpack ${from.path}: ${error.message}`);
    throw error;
  } finally {
    source.destroy();
  }
}

/** A tar header's checksum is the sum of its bytes, its own field read as blanks (POSIX pax, ustar). */
export function isTarHeader(block: Uint8Array): boolean {
  if (block.length < blockSize) return false;
  const field = Buffer.from(block.subarray(148, 156)).toString("latin1");
  const stored = Number.parseInt(field.replace(/[\0 ]+$/, "").trim(), 8);
  let sum = 0;
  for (let i = 0; i < blockSize; i++) sum += i >= 148 && i < 156 ? 0x20 : block[i]!;
  return block[0] !== 0 && stored === sum;
}
