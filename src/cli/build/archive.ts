/** What can be told from a stream's first bytes, and the smallest archive. */
import {
  blockSize,
  endOfArchive,
  formatHeader,
  fromText,
  paddingOf,
  plainEntry,
} from "../../lib/tar/index.ts";

const magics = [
  [0x1f, 0x8b],
  [0x42, 0x5a, 0x68],
  [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00],
  [0x28, 0xb5, 0x2f, 0xfd],
];

/** Whether bytes begin a tar archive, plain or compressed with gzip, bzip2, xz or zstd. */
export function isArchive(head: Uint8Array): boolean {
  return magics.some((magic) => magic.every((byte, i) => head[i] === byte)) || isTarHeader(head);
}

const checksumAt = 148;
const checksumLength = 8;

function isTarHeader(head: Uint8Array): boolean {
  if (head.length < blockSize) return false;
  const block = Buffer.from(head.subarray(0, blockSize));
  const digits = block.toString("latin1", checksumAt, checksumAt + checksumLength).replace(/[\0 ]/g, "");
  if (!/^[0-7]+$/.test(digits)) return false;
  block.fill(" ", checksumAt, checksumAt + checksumLength);
  return block.reduce((sum, byte) => sum + byte, 0) === Number.parseInt(digits, 8);
}

/** An archive of one file. */
export function singleFileArchive(name: string, content: Uint8Array): Uint8Array {
  return archiveOf([[name, content]]);
}

/** An archive of a few files. */
export function archiveOf(files: readonly (readonly [name: string, content: Uint8Array])[]): Uint8Array {
  return Buffer.concat([...files.flatMap(([name, content]) => entryOf(name, content)), endOfArchive]);
}

function entryOf(name: string, content: Uint8Array): Uint8Array[] {
  const header = formatHeader(plainEntry({ path: fromText(name), size: content.length }));
  return [header, content, Buffer.alloc(paddingOf(content.length))];
}

/** The first bytes of a stream (at least `length`, unless it ends), and the whole stream again. */
export async function peek(
  stream: AsyncIterable<Uint8Array>,
  length: number,
): Promise<{ head: Uint8Array; all: AsyncIterable<Uint8Array> }> {
  const source = stream[Symbol.asyncIterator]();
  const chunks: Uint8Array[] = [];
  for (let size = 0; size < length; ) {
    const { done, value } = await source.next();
    if (done) break;
    chunks.push(value);
    size += value.length;
  }
  async function* all() {
    yield* chunks;
    for (let next = await source.next(); !next.done; next = await source.next()) yield next.value;
  }
  return { head: Buffer.concat(chunks), all: all() };
}
