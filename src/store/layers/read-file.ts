import { open } from "node:fs/promises";

const readSize = 512 << 10;

/**
 * A file's bytes from its beginning; the next ones are read meanwhile. A chunk is valid until the one after it is asked
 * for: two buffers serve for the whole file, where streams leave one behind for each chunk.
 */
export async function* readFileChunks(path: string, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  await using file = await open(path);
  const read = (buffer: Uint8Array) =>
    file.read(buffer, 0, readSize, null).then(({ bytesRead }) => buffer.subarray(0, bytesRead));
  let spare = new Uint8Array(readSize);
  let next = read(new Uint8Array(readSize));
  try {
    for (;;) {
      const chunk = await next;
      if (chunk.length === 0) return;
      signal.throwIfAborted();
      next = read(spare);
      yield chunk;
      spare = new Uint8Array(chunk.buffer as ArrayBuffer);
    }
  } finally {
    // The file is closed when nothing reads it any more.
    await next.catch(() => {});
  }
}
