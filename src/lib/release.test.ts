import { describe, expect, test } from "bun:test";
import { release, releasing } from "./release.ts";

describe("release", () => {
  test("frees a chunk that has its buffer for itself", () => {
    const chunk = new Uint8Array(100_000);
    release(chunk);
    expect(chunk.buffer.detached).toBe(true);
  });

  test("leaves a buffer that others may look into", () => {
    const whole = new Uint8Array(100).fill(7);
    release(whole.subarray(0, 50));
    release(whole.subarray(50));
    release(new Uint8Array(new SharedArrayBuffer(10)));
    expect([...whole]).toEqual(new Array(100).fill(7));
  });

  test("each chunk is there until the next one is asked for", async () => {
    const chunks = [1, 2, 3].map((byte) => new Uint8Array(1000).fill(byte));
    const seen: number[] = [];
    for await (const chunk of releasing(ofChunks(chunks))) {
      expect(chunk.length).toBe(1000);
      seen.push(chunk[999]!);
    }
    expect(seen).toEqual([1, 2, 3]);
    expect(chunks.map(({ buffer }) => buffer.detached)).toEqual([true, true, true]);
  });

  test("who stops in the middle keeps what it has", async () => {
    const chunks = [new Uint8Array(10).fill(1), new Uint8Array(10).fill(2)];
    for await (const _ of releasing(ofChunks(chunks))) break;
    expect(chunks.map(({ buffer }) => buffer.detached)).toEqual([false, false]);
  });
});

async function* ofChunks(chunks: Uint8Array<ArrayBuffer>[]) {
  yield* chunks;
}
