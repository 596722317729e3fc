/**
 * Sparse files: only the parts that hold data are in the archive, with a map that says where they belong. GNU tar
 * manual, "Storing Sparse Files": the old GNU header, and pax formats 0.0, 0.1 and 1.0.
 */
import { type ByteString, blockSize } from "./entry.ts";

/** A run of data, in bytes from the file's beginning. */
export interface Extent {
  offset: number;
  length: number;
}

/** Takes the blocks of a map one by one; gives the whole map with its last one. @throws RangeError */
export type MapBlocks = (block: Buffer) => Extent[] | undefined;

const maxExtents = 1 << 17;

/** Of the old GNU header's tail: 4 places there, 21 in each block that follows. @param number reads a field */
export function oldGnuMap(
  header: Buffer,
  number: (block: Buffer, at: number) => number,
): { extents: Extent[]; more: MapBlocks | undefined } {
  const extents: Extent[] = [];
  const read = (block: Buffer, at: number, places: number, more: number): boolean => {
    for (let place = 0; place < places; place++) {
      const start = at + place * 24;
      // Unused places are zero; a last extent without bytes tells the file's end.
      if (block[start] === 0) break;
      push(extents, number(block, start), number(block, start + 12));
    }
    return block[more] === 1;
  };
  if (!read(header, 386, 4, 482)) return { extents, more: undefined };
  return { extents, more: (block) => (read(block, 0, 21, 504) ? undefined : extents) };
}

/** pax 0.0 and 0.1: offsets and lengths by turns, with commas between. @throws RangeError */
export function paxMap(text: ByteString): Extent[] {
  const extents: Extent[] = [];
  const numbers = text === "" ? [] : text.split(",");
  if (numbers.length % 2 !== 0) throw new RangeError("sparse map of an odd length");
  for (let at = 0; at < numbers.length; at += 2)
    push(extents, decimal(numbers[at]!), decimal(numbers[at + 1]!));
  return extents;
}

/** pax 1.0: the map comes before the data, a number a line, the first their count; filled up to whole blocks. */
export function paxMapBlocks(): MapBlocks {
  const numbers: number[] = [];
  let digits = "";
  return (block) => {
    for (let at = 0; at < blockSize; at++) {
      const char = String.fromCharCode(block[at]!);
      if (char !== "\n") {
        digits += char;
        if (digits.length > 20) throw new RangeError("malformed sparse map");
        continue;
      }
      numbers.push(decimal(digits));
      digits = "";
      const count = numbers[0]!;
      if (count > maxExtents) throw new RangeError("sparse map too long");
      if (numbers.length < 1 + 2 * count) continue;
      const extents: Extent[] = [];
      for (let i = 1; i < numbers.length; i += 2) push(extents, numbers[i]!, numbers[i + 1]!);
      return extents;
    }
    return undefined;
  };
}

/** Extents in order that hold all `stored` bytes and end within `size`. @throws RangeError */
export function checkMap(extents: Extent[], stored: number, size: number): Extent[] {
  let end = 0;
  let total = 0;
  for (const { offset, length } of extents) {
    if (offset < end) throw new RangeError("sparse map out of order");
    end = offset + length;
    total += length;
  }
  if (end > size || total !== stored) throw new RangeError("sparse map does not fit the file");
  return extents.filter(({ length }) => length > 0);
}

function push(extents: Extent[], offset: number, length: number): void {
  if (offset < 0 || length < 0 || !Number.isSafeInteger(offset + length))
    throw new RangeError("sparse map out of range");
  if (extents.length === maxExtents) throw new RangeError("sparse map too long");
  extents.push({ offset, length });
}

function decimal(text: string): number {
  if (!/^\d{1,16}$/.test(text)) throw new RangeError("malformed sparse map");
  return Number(text);
}
