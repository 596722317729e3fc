/** Sections of ELF files (System V gABI, chapter 4), of which only what is asked for is read. */
import { readSync } from "node:fs";

/** Larger tables and sections are none that we look for. */
const maxTable = 4 << 20;
const maxSection = 16 << 20;
/** sh_type of a section that takes no room in the file. */
const noBits = 8;

interface Section {
  name: number;
  type: number;
  offset: number;
  size: number;
}

/**
 * The contents of the sections of these names.
 * @param fd open for reading; any file
 * @returns undefined when it is no ELF file; what is malformed is left out
 */
export function elfSections(fd: number, names: readonly string[]): Map<string, Buffer> | undefined {
  const header = bytesAt(fd, 0, 64);
  if (header.length < 52 || header.readUInt32BE(0) !== 0x7f454c46) return undefined;
  const wide = header[4] === 2;
  const little = header[5] === 1;
  const half = (from: Buffer, at: number) => (little ? from.readUInt16LE(at) : from.readUInt16BE(at));
  const word = (from: Buffer, at: number) => (little ? from.readUInt32LE(at) : from.readUInt32BE(at));
  const address = (from: Buffer, at: number) =>
    wide ? Number(little ? from.readBigUInt64LE(at) : from.readBigUInt64BE(at)) : word(from, at);
  const found = new Map<string, Buffer>();
  if (wide && header.length < 64) return found;
  const tableAt = address(header, wide ? 0x28 : 0x20);
  const [entrySize, count, namesIndex] = [0, 2, 4].map((at) => half(header, (wide ? 0x3a : 0x2e) + at));
  if (entrySize !== (wide ? 64 : 40) || entrySize * count! > maxTable) return found;
  const table = bytesAt(fd, tableAt, entrySize * count!);
  const sectionAt = (index: number): Section | undefined => {
    const at = index * entrySize;
    if (at + entrySize > table.length) return undefined;
    const [offset, size] = wide ? [24, 32] : [16, 20];
    return {
      name: word(table, at),
      type: word(table, at + 4),
      offset: address(table, at + offset!),
      size: address(table, at + size!),
    };
  };
  const strings = sectionAt(namesIndex!);
  if (!strings || strings.size > maxTable) return found;
  const text = bytesAt(fd, strings.offset, strings.size);
  for (let index = 0; index < count!; index++) {
    const section = sectionAt(index);
    if (!section || section.type === noBits || section.size > maxSection) continue;
    const end = text.indexOf(0, section.name);
    const name = end < 0 ? "" : text.toString("latin1", section.name, end);
    if (names.includes(name)) found.set(name, bytesAt(fd, section.offset, section.size));
  }
  return found;
}

/** As many of the bytes as there are. */
function bytesAt(fd: number, position: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  return Number.isSafeInteger(position + length)
    ? bytes.subarray(0, readSync(fd, bytes, 0, length, position))
    : bytes.subarray(0, 0);
}
