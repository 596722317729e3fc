/** Local tar archives of ADD: told by their content, unpacked where they would have been copied. */
import { spawn } from "node:child_process";
import { closeSync, createReadStream, openSync, readSync } from "node:fs";
import { join } from "node:path";
import { pipeline, type Readable } from "node:stream";
import { createGunzip, createZstdDecompress } from "node:zlib";
import { Unavailable } from "../../lib/errors.ts";
import type { Layers } from "../../store/types.ts";
import { CopyError } from "./copy.ts";
import { makeDirectory, type Owner } from "./inside.ts";

type Compression = "none" | "gzip" | "zstd" | "bzip2" | "xz";

const magics: [Compression, number[]][] = [
  ["gzip", [0x1f, 0x8b]],
  ["zstd", [0x28, 0xb5, 0x2f, 0xfd]],
  ["bzip2", [0x42, 0x5a, 0x68]],
  ["xz", [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]],
];
const blockSize = 512;

/** Whether the file is a tar archive, compressed or not. */
export async function isArchive(root: string, path: string): Promise<boolean> {
  const file = join(root, path);
  if (compressionOf(file) === "none") return isTarHeader(head(file, blockSize));
  const stream = decompressed(file);
  try {
    const chunks: Buffer[] = [];
    let length = 0;
    for await (const chunk of stream) {
      chunks.push(chunk as Buffer);
      length += (chunk as Buffer).length;
      if (length >= blockSize) break;
    }
    return isTarHeader(Buffer.concat(chunks));
  } catch (error) {
    if (error instanceof Unavailable) throw error;
    // Compressed and broken, or not compressed at all: copied as it is, as Docker does.
    return false;
  } finally {
    stream.destroy();
  }
}

/**
 * Unpacks an archive into the destination directory, which is made when missing. `--chown` is that directory's; what
 * comes out of the archive keeps the owners that it has there, as in Docker.
 */
export async function addArchive(
  layers: Layers,
  from: { root: string; path: string },
  root: string,
  options: { destination: string; owner?: Owner; signal: AbortSignal },
): Promise<void> {
  const made = makeDirectory(root, options.destination, options.owner ?? { uid: 0, gid: 0 });
  if (!made) throw new CopyError(`cannot copy to non-directory: ${options.destination}`);
  const tar = decompressed(join(from.root, from.path));
  try {
    await layers.extract(tar, join(root, made.path), {}, options.signal);
  } finally {
    tar.destroy();
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

function head(file: string, length: number): Buffer {
  const fd = openSync(file, "r");
  try {
    const bytes = Buffer.alloc(length);
    return bytes.subarray(0, readSync(fd, bytes, 0, length, 0));
  } finally {
    closeSync(fd);
  }
}

function compressionOf(file: string): Compression {
  const start = head(file, 6);
  return magics.find(([, magic]) => magic.every((byte, i) => start[i] === byte))?.[0] ?? "none";
}

function decompressed(file: string): Readable {
  const source = createReadStream(file);
  const compression = compressionOf(file);
  switch (compression) {
    case "none":
      return source;
    case "gzip":
      return pipeline(source, createGunzip(), () => {});
    case "zstd":
      return pipeline(source, createZstdDecompress(), () => {});
    case "bzip2":
    case "xz": {
      source.destroy();
      if (!Bun.which(compression))
        throw new Unavailable(`${compression} is needed to unpack ${file} and not installed`);
      const child = spawn(compression, ["-dc", file], { stdio: ["ignore", "pipe", "ignore"] });
      child.stdout.once("close", () => child.kill());
      return child.stdout;
    }
  }
}
