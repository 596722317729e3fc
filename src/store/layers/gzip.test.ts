import { describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { gunzipSync } from "node:zlib";
import { gzip } from "./gzip.ts";

const text = Buffer.from("all work and no play makes jack a dull boy\n".repeat(40_000));

async function* cut(bytes: Buffer, size: number) {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function zipped(bytes: Buffer, options: { size?: number; level?: number } = {}): Promise<Buffer> {
  return Buffer.concat(
    await Array.fromAsync(gzip(cut(bytes, options.size ?? 512 << 10), options.level ?? 1)),
  );
}

describe("gzip", () => {
  test.each([
    ["nothing", Buffer.alloc(0)],
    ["a byte", Buffer.from("a")],
    ["text", text],
    ["noise", randomBytes(3_000_001)],
    ["both in turns", Buffer.concat([text, randomBytes(1_500_000), text, randomBytes(70_000)])],
  ])("%s comes back, by our reader and by the program", async (_name, bytes) => {
    const file = await zipped(bytes);
    expect(gunzipSync(file).equals(bytes)).toBe(true);
    const program = Bun.spawnSync(["gzip", "-dc"], { stdin: file });
    expect(program.exitCode).toBe(0);
    expect(program.stdout.equals(bytes)).toBe(true);
  });

  test("chunks of any size", async () => {
    const bytes = Buffer.concat([text, randomBytes(100_000)]);
    for (const size of [1, 77_777, 5_000_000]) {
      const part = size === 1 ? bytes.subarray(0, 300) : bytes;
      expect(gunzipSync(await zipped(part, { size })).equals(part)).toBe(true);
    }
  });

  test("is small where it can be, and never much larger than its content", async () => {
    expect((await zipped(text)).length).toBeLessThan(text.length / 50);
    expect((await zipped(text, { level: 9 })).length).toBeLessThan((await zipped(text)).length);
    const noise = randomBytes(4_000_000);
    expect((await zipped(noise)).length).toBeLessThan(noise.length * 1.001);
  });

  test("the same bytes give the same file", async () => {
    const bytes = Buffer.concat([text, randomBytes(2_000_000), text]);
    const [one, two] = await Promise.all([zipped(bytes), zipped(bytes)]);
    expect(one.equals(two)).toBe(true);
  });

  test("the source's error is the reader's", async () => {
    async function* broken() {
      yield text;
      throw new Error("gone");
    }
    await expect(Array.fromAsync(gzip(broken(), 1))).rejects.toThrow("gone");
  });
});
