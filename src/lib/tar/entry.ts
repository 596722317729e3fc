/**
 * What a tar says of one file. Names and link targets are byte strings: one character a byte (latin1), so that
 * names in any encoding survive and still compare, split and hash as strings.
 */
export type ByteString = string;

export type EntryType = "file" | "link" | "symlink" | "char" | "block" | "directory" | "fifo";

export interface TarEntry {
  path: ByteString;
  type: EntryType;
  /** Permissions with setuid, setgid and sticky: 12 bits. */
  mode: number;
  uid: number;
  gid: number;
  /** Bytes of content that follow; 0 unless a file. */
  size: number;
  /** Nanoseconds since the epoch. */
  mtime: bigint;
  /** Target of a symlink or hard link; empty otherwise. */
  linkPath: ByteString;
  /** Of a device node; zeros otherwise. */
  device: { major: number; minor: number };
  /** Values are raw bytes, as byte strings. */
  xattrs: Map<ByteString, ByteString>;
}

/** An entry of which only what is given matters: else a file of root's, readable by all, of no size and no age. */
export function plainEntry(fields: Partial<TarEntry> & Pick<TarEntry, "path">): TarEntry {
  return {
    type: "file",
    mode: 0o644,
    uid: 0,
    gid: 0,
    size: 0,
    mtime: 0n,
    linkPath: "",
    device: { major: 0, minor: 0 },
    xattrs: new Map(),
    ...fields,
  };
}

export const blockSize = 512;
export const endOfArchive = new Uint8Array(2 * blockSize);

/** Zero bytes that fill the last block of `size` bytes of content. */
export const paddingOf = (size: number): number => (blockSize - (size % blockSize)) % blockSize;

export const toBytes = (text: ByteString): Buffer => Buffer.from(text, "latin1");
export const toByteString = (bytes: Uint8Array): ByteString =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
/** For people: the bytes read as UTF-8. */
export const readable = (text: ByteString): string => toBytes(text).toString("utf8");
export const fromText = (text: string): ByteString => Buffer.from(text, "utf8").toString("latin1");
