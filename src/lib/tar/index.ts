/** Tar archives as a pure codec; who reads or writes files is elsewhere. */
export {
  type ByteString,
  blockSize,
  type EntryType,
  endOfArchive,
  fromText,
  paddingOf,
  plainEntry,
  readable,
  type TarEntry,
  toByteString,
  toBytes,
} from "./entry.ts";
export { type TarHandler, TarReader } from "./reader.ts";
export { formatHeader } from "./writer.ts";
