import { expect, test } from "bun:test";
import { Readable } from "node:stream";
import fc from "fast-check";
import { pattern, streamOf } from "../fixture.ts";
import { ByteSource } from "./source.ts";

async function read(source: ByteSource, start: number, end: number): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(source.read(start, end)));
}

test("gives any ranges in any order", async () => {
  const bytes = pattern(1000);
  const position = fc.nat(1000);
  const ranges = fc.array(
    fc.tuple(position, position).map(([a, b]) => [Math.min(a, b), Math.max(a, b)] as const),
  );
  await fc.assert(
    fc.asyncProperty(ranges, fc.integer({ min: 1, max: 400 }), async (wanted, chunk) => {
      using source = new ByteSource(streamOf(bytes, chunk));
      for (const [start, end] of wanted) {
        expect((await read(source, start, end)).equals(bytes.subarray(start, end))).toBe(true);
      }
    }),
  );
});

test("ranges that follow each other open the stream once", async () => {
  const bytes = pattern(1000);
  let opened = 0;
  using source = new ByteSource(() => {
    opened += 1;
    return streamOf(bytes, 300)();
  });
  await read(source, 0, 250);
  await read(source, 250, 700);
  await read(source, 700, 1000);
  expect(opened).toBe(1);
  await read(source, 0, 10);
  expect(opened).toBe(2);
});

test("a stream that ends early is an error", async () => {
  using source = new ByteSource(() => Readable.from([Buffer.alloc(5)], { objectMode: false }));
  await expect(read(source, 0, 10)).rejects.toThrow("unexpected end");
});
