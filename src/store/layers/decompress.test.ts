import { describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { gzipSync, constants as zlib, zstdCompressSync } from "node:zlib";
import { InvalidParameter } from "../../lib/errors.ts";
import { decompress } from "./decompress.ts";

const text = Buffer.from("all work and no play makes jack a dull boy\n".repeat(30_000));
const noise = randomBytes(1_200_003);
const both = Buffer.concat([text, noise, text.subarray(0, 70_001)]);

const formats = {
  gzip: (bytes: Uint8Array) => gzipSync(bytes, { level: 1 }),
  zstd: (bytes: Uint8Array) => zstdCompressSync(bytes, { params: { [zlib.ZSTD_c_checksumFlag]: 1 } }),
};
const names = ["gzip", "zstd"] as const;

/** Chunks in one buffer that is filled again, as the store's readers have it. */
async function* cut(bytes: Uint8Array, size: number) {
  const buffer = new Uint8Array(size);
  for (let at = 0; at < bytes.length; at += size) {
    const part = bytes.subarray(at, at + size);
    buffer.fill(0xee);
    buffer.set(part);
    yield buffer.subarray(0, part.length);
  }
}

async function plain(file: Uint8Array, size = 512 << 10): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of decompress(cut(file, size))) chunks.push(new Uint8Array(chunk));
  return Buffer.concat(chunks);
}

describe.each(names)("%s", (name) => {
  const compressed = formats[name];

  test.each([
    ["nothing", Buffer.alloc(0)],
    ["a byte", Buffer.from("a")],
    ["text", text],
    ["noise", noise],
    ["both in turns", both],
    ["a buffer's worth", randomBytes(256 << 10)],
    ["two buffers and a byte", Buffer.alloc((512 << 10) + 1, "ab")],
  ])("%s comes back", async (_name, bytes) => {
    expect((await plain(compressed(bytes))).equals(bytes)).toBe(true);
  });

  test("wherever the file is cut", async () => {
    const small = compressed(Buffer.concat([text.subarray(0, 3000), noise.subarray(0, 300)]));
    const whole = await plain(small);
    for (let size = 1; size <= 17; size++) expect((await plain(small, size)).equals(whole)).toBe(true);
    const large = compressed(both);
    for (const size of [4099, 65_536, 262_144, 1_000_003])
      expect((await plain(large, size)).equals(both)).toBe(true);
  });

  test("members one behind the other are one stream", async () => {
    const file = Buffer.concat([text, noise, Buffer.alloc(0), Buffer.from("end")].map(compressed));
    const bytes = Buffer.concat([text, noise, Buffer.from("end")]);
    for (const size of [1009, 512 << 10]) expect((await plain(file, size)).equals(bytes)).toBe(true);
  });

  test("bytes that changed are refused", async () => {
    const file = compressed(both);
    for (const at of [file.length >> 1, file.length - 200]) {
      const changed = Buffer.from(file);
      changed[at]! ^= 0x5a;
      await expect(plain(changed)).rejects.toThrow(InvalidParameter);
    }
  });

  test("many bytes out of few come in pieces, each freed when the next one is asked for", async () => {
    const file = compressed(Buffer.alloc(40 << 20));
    const buffers: ArrayBuffer[] = [];
    let largest = 0;
    for await (const chunk of decompress(cut(file, 512 << 10))) {
      largest = Math.max(largest, chunk.length);
      if (!buffers.includes(chunk.buffer as ArrayBuffer)) buffers.push(chunk.buffer as ArrayBuffer);
    }
    expect(largest).toBeLessThanOrEqual(1 << 20);
    expect(buffers.length).toBeGreaterThan(10);
    expect(buffers.filter(({ detached }) => !detached).length).toBeLessThanOrEqual(1);
  });

  test("the source's error is the reader's", async () => {
    async function* broken() {
      yield compressed(both).subarray(0, 500_000);
      throw new Error("gone");
    }
    const read = async () => {
      for await (const _ of decompress(broken()));
    };
    await expect(read()).rejects.toThrow("gone");
  });

  test("a reader that stops ends the source", async () => {
    const ended = Promise.withResolvers<void>();
    async function* source() {
      try {
        yield* cut(compressed(both), 10_000);
      } finally {
        ended.resolve();
      }
    }
    const chunks = decompress(source());
    expect((await chunks.next()).done).toBe(false);
    await chunks.return(undefined);
    await ended.promise;
  });
});

test("what is not compressed comes as it is", async () => {
  for (const bytes of [Buffer.alloc(0), Buffer.from("ab"), text])
    expect((await plain(bytes, 7777)).equals(bytes)).toBe(true);
});

test("gzip that was cut off is refused", async () => {
  const file = formats.gzip(both);
  for (const length of [10, 1000, file.length >> 1, file.length - 1])
    await expect(plain(file.subarray(0, length))).rejects.toThrow(InvalidParameter);
});

test("zeros behind gzip are padding, as tar writers leave it", async () => {
  const file = Buffer.concat([formats.gzip(text), Buffer.alloc(10_240)]);
  expect((await plain(file)).equals(text)).toBe(true);
});
