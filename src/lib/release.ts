/**
 * Bytes that pass through are let go of at once. Left to the collector, the chunks of a fast stream are tens of megabytes
 * of garbage before it comes by.
 */

/** The chunks of `source`, each valid until the next one is asked for. */
export async function* releasing(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const chunk of source) {
    yield chunk;
    release(chunk);
  }
}

/** Frees the bytes of a chunk that nobody uses any more; those of a view into a larger buffer stay for its neighbours. */
export function release({ buffer, byteLength }: Uint8Array): void {
  if (buffer instanceof ArrayBuffer && buffer.byteLength === byteLength) buffer.transfer(0);
}
