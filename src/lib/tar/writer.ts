/** Writes tar headers: ustar where it suffices, a pax header before it where it doesn't. */
import { type ByteString, blockSize, type EntryType, paddingOf, type TarEntry } from "./entry.ts";
import { formatPax } from "./pax.ts";

const flags: Record<EntryType, string> = {
  file: "0",
  link: "1",
  symlink: "2",
  char: "3",
  block: "4",
  directory: "5",
  fifo: "6",
};

/** What ustar's octal fields hold less than. */
const limits = [
  ["size", 8 ** 11],
  ["uid", 8 ** 7],
  ["gid", 8 ** 7],
] as const;

/** The header blocks of an entry; its content and padding follow. The same entry always gives the same bytes. */
export function formatHeader(entry: TarEntry): Buffer {
  const pax: [ByteString, ByteString][] = [];
  const split = splitPath(entry.path);
  if (!split || hasHighBytes(entry.path)) pax.push(["path", entry.path]);
  if (entry.linkPath.length > 100 || hasHighBytes(entry.linkPath)) pax.push(["linkpath", entry.linkPath]);
  for (const [key, limit] of limits) if (entry[key] >= limit) pax.push([key, String(entry[key])]);
  const seconds = entry.mtime / 1_000_000_000n;
  const whole = entry.mtime % 1_000_000_000n === 0n && seconds >= 0n && seconds < 8n ** 11n;
  if (!whole) pax.push(["mtime", formatTime(entry.mtime)]);
  if (entry.xattrs.size > 0)
    for (const [name, value] of [...entry.xattrs].sort(([a], [b]) => (a < b ? -1 : 1)))
      pax.push([`SCHILY.xattr.${name}`, value]);

  const header = formatBlock(entry, split ?? { prefix: "", name: entry.path.slice(0, 100) });
  if (pax.length === 0) return header;
  const body = formatPax(pax);
  const name = `PaxHeaders/${entry.path.replace(/\/$/, "").split("/").at(-1)}`.slice(0, 100);
  const before = formatBlock(
    { ...entry, mode: 0o644, uid: 0, gid: 0, mtime: 0n, size: body.length, linkPath: "", device: noDevice },
    { prefix: "", name },
    "x",
  );
  return Buffer.concat([before, body, Buffer.alloc(paddingOf(body.length)), header]);
}

const noDevice = { major: 0, minor: 0 };

function formatBlock(
  entry: TarEntry,
  { prefix, name }: { prefix: ByteString; name: ByteString },
  flag = flags[entry.type],
): Buffer {
  const block = Buffer.alloc(blockSize);
  // The checksum's own field counts as blanks.
  const sum =
    8 * 32 +
    put(block, 0, name) +
    putOctal(block, 100, 8, entry.mode) +
    putOctal(block, 108, 8, entry.uid) +
    putOctal(block, 116, 8, entry.gid) +
    putOctal(block, 124, 12, entry.size) +
    putOctal(block, 136, 12, Math.max(0, Number(entry.mtime / 1_000_000_000n))) +
    put(block, 156, flag) +
    put(block, 157, entry.linkPath.slice(0, 100)) +
    put(block, 257, "ustar\x0000") +
    putOctal(block, 329, 8, entry.device.major) +
    putOctal(block, 337, 8, entry.device.minor) +
    put(block, 345, prefix);
  putOctal(block, 148, 7, sum);
  block[155] = 0x20;
  return block;
}

/** Writes bytes. @returns their sum, for the checksum: to add up whole blocks is felt with ten thousand files */
function put(block: Buffer, at: number, bytes: ByteString): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes.charCodeAt(i) & 0xff;
    block[at + i] = byte;
    sum += byte;
  }
  return sum;
}

/** Octal digits up to a NUL; what is too large is in the pax header, and zero here. @returns the sum of the bytes */
function putOctal(block: Buffer, at: number, length: number, value: number): number {
  let rest = value < 8 ** (length - 1) ? value : 0;
  let sum = 0;
  for (let i = at + length - 2; i >= at; i--) {
    const digit = 0x30 + (rest % 8);
    block[i] = digit;
    sum += digit;
    rest = Math.floor(rest / 8);
  }
  return sum;
}

/** ustar's two fields; undefined when the path doesn't fit. */
function splitPath(path: ByteString): { prefix: ByteString; name: ByteString } | undefined {
  if (path.length <= 100) return { prefix: "", name: path };
  const slash = path.indexOf("/", path.length - 101);
  // The slash at the end belongs to the name of a directory.
  if (slash < 1 || slash > 155 || slash === path.length - 1) return undefined;
  return { prefix: path.slice(0, slash), name: path.slice(slash + 1) };
}

/** ustar's names are ASCII; others are said in pax as well. */
const hasHighBytes = (path: ByteString) => /[\x80-\xff]/.test(path);

/** Decimal seconds, exact to the nanosecond. */
function formatTime(nanoseconds: bigint): string {
  const sign = nanoseconds < 0n ? "-" : "";
  const size = nanoseconds < 0n ? -nanoseconds : nanoseconds;
  const fraction = String(size % 1_000_000_000n)
    .padStart(9, "0")
    .replace(/0+$/, "");
  return `${sign}${size / 1_000_000_000n}${fraction ? `.${fraction}` : ""}`;
}
