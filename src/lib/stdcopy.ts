/** Docker's multiplexed stdio: an 8-byte header (stream, 3 zero bytes, big-endian length) before each chunk. */
export type StdStream = 1 | 2;

export function frame(stream: StdStream, data: Uint8Array): Buffer {
  const out = Buffer.allocUnsafe(8 + data.length);
  out.writeUInt32BE(stream << 24, 0);
  out.writeUInt32BE(data.length, 4);
  out.set(data, 8);
  return out;
}

/** Splits a framed byte stream into chunks; feed it pieces of any size. */
export class Demultiplexer {
  #pending: Buffer = Buffer.alloc(0);

  constructor(private readonly onData: (stream: number, data: Buffer) => void) {}

  push(chunk: Uint8Array): void {
    let data =
      this.#pending.length > 0
        ? Buffer.concat([this.#pending, chunk])
        : Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length);
    while (data.length >= 8) {
      const length = data.readUInt32BE(4);
      if (data.length < 8 + length) break;
      this.onData(data[0]!, data.subarray(8, 8 + length));
      data = data.subarray(8 + length);
    }
    this.#pending = Buffer.from(data);
  }
}
