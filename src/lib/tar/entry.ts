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
