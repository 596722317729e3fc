/** The two range headers of the protocol. */

/** Bytes `start` to `end`, exclusive. */
export interface ByteRange {
  start: number;
  end: number;
}

/**
 * `Range` of a request (RFC 9110, 14.2) for a body of `size` bytes. A header that is not understood, or asks for
 * more than one range, counts as absent: the whole body is a right answer to it.
 */
export function parseRange(header: string | null, size: number): ByteRange | "unsatisfiable" | undefined {
  const match = /^bytes=\s*(\d*)-(\d*)\s*$/.exec(header ?? "");
  if (!match) return undefined;
  const [first, last] = [match[1]!, match[2]!];
  if (first === "" && last === "") return undefined;
  if (first === "") {
    const length = Math.min(Number(last), size);
    return length === 0 ? "unsatisfiable" : { start: size - length, end: size };
  }
  const start = Number(first);
  if (last !== "" && Number(last) < start) return undefined;
  if (start >= size) return "unsatisfiable";
  return { start, end: last === "" ? size : Math.min(Number(last) + 1, size) };
}

/** `Content-Range` of a chunk (distribution-spec, "Pushing a blob in chunks"): `0-99`, both ends included. */
export function parseContentRange(header: string): ByteRange | undefined {
  const match = /^(\d+)-(\d+)$/.exec(header);
  if (!match) return undefined;
  const start = Number(match[1]);
  const end = Number(match[2]) + 1;
  return Number.isSafeInteger(end) && end > start ? { start, end } : undefined;
}
