/** Records of pax extended headers: `<length> <key>=<value>\n`, the length counting the whole record. */
import { type ByteString, toByteString, toBytes } from "./entry.ts";

/** @throws RangeError with what is wrong */
export function parsePax(bytes: Uint8Array): Map<ByteString, ByteString> {
  const text = toByteString(bytes);
  const records = new Map<ByteString, ByteString>();
  for (let at = 0; at < text.length; ) {
    // Some writers fill up with NULs.
    if (text[at] === "\0") break;
    const space = text.indexOf(" ", at);
    const digits = text.slice(at, space);
    const length = Number(digits);
    if (space < 0 || !/^[1-9]\d{0,8}$/.test(digits)) throw new RangeError("pax record without a length");
    const record = text.slice(space + 1, at + length);
    const equals = record.indexOf("=");
    if (at + length > text.length || !record.endsWith("\n") || equals < 1)
      throw new RangeError("malformed pax record");
    const key = record.slice(0, equals);
    const value = record.slice(equals + 1, -1);
    // Sparse format 0.0 says these again and again; together they are the map of format 0.1.
    if (key === "GNU.sparse.offset" || key === "GNU.sparse.numbytes") {
      const before = records.get("GNU.sparse.map");
      records.set("GNU.sparse.map", before === undefined ? value : `${before},${value}`);
    } else records.set(key, value);
    at += length;
  }
  return records;
}

export function formatPax(records: Iterable<[ByteString, ByteString]>): Buffer {
  let text = "";
  for (const [key, value] of records) {
    const rest = key.length + value.length + 3;
    let length = rest + String(rest).length;
    // The length's own digits can carry over into one more.
    if (rest + String(length).length > length) length++;
    text += `${length} ${key}=${value}\n`;
  }
  return toBytes(text);
}
