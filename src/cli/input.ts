import { createReadStream, openSync } from "node:fs";
import { InvalidParameter } from "../lib/errors.ts";

/** The bytes of a file, or of stdin. @throws InvalidParameter when the file can't be opened */
export function inputStream(path: string | undefined): AsyncIterable<Uint8Array> {
  if (path === undefined) return Bun.stdin.stream() as unknown as AsyncIterable<Uint8Array>;
  try {
    return createReadStream(path, { fd: openSync(path, "r"), highWaterMark: 256 * 1024 });
  } catch (error) {
    throw new InvalidParameter(`open ${path}: no such file or directory`, { cause: error });
  }
}
