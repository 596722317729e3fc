/** The contract of `BlobStore`, held to by every implementation. */
import { afterAll, describe, expect, test } from "bun:test";
import { randomUUID } from "node:crypto";
import { type Digest, digestOf } from "../../lib/digest.ts";
import { pattern, tempDir } from "../fixture.ts";
import { type S3Server, s3Server } from "../fixture-s3.ts";
import { openFileBlobs } from "./file-blobs.ts";
import { openS3Blobs } from "./s3-blobs.ts";
import type { BlobBytes, BlobStore } from "./types.ts";

async function* pieces(...chunks: Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* chunks;
}

async function bytesOf(bytes: BlobBytes): Promise<Buffer> {
  return Buffer.from(await new Response(bytes).arrayBuffer());
}

async function store(blobs: BlobStore, bytes: Uint8Array): Promise<Digest> {
  const ingest = await blobs.ingest(randomUUID());
  await ingest.append(pieces(bytes));
  const digest = digestOf(bytes);
  expect(await ingest.verify(digest)).toBe(true);
  await ingest.publish(digest);
  return digest;
}

type Using = (task: (open: () => Promise<BlobStore>) => Promise<void>) => Promise<void>;

const inFiles: Using = async (task) => {
  await using dir = await tempDir();
  await task(() => openFileBlobs(dir.path));
};

let s3: Promise<S3Server> | undefined;
afterAll(async () => {
  await (await s3)?.[Symbol.asyncDispose]();
});
const inS3: Using = async (task) => {
  s3 ??= s3Server();
  const { bucket, options } = await s3;
  const prefix = `some/${randomUUID()}`;
  await task(async () => openS3Blobs(bucket, prefix, options));
};

describe.each([
  ["files", inFiles],
  ["S3", inS3],
])("blobs in %s", (_name, using) => {
  test("come in by pieces, are visible only when published, and are read by range", () =>
    using(async (open) => {
      const blobs = await open();
      const bytes = pattern(300_000);
      const digest = digestOf(bytes);
      const ingest = await blobs.ingest(randomUUID());
      await ingest.append(pieces(bytes.subarray(0, 100_000), bytes.subarray(100_000, 100_001)));
      expect(ingest.offset).toBe(100_001);
      await ingest.append(pieces(bytes.subarray(100_001)));
      expect((await bytesOf(ingest.read(99_990, 250_000))).equals(bytes.subarray(99_990, 250_000))).toBe(
        true,
      );
      expect(await ingest.verify(digest)).toBe(true);
      expect(await blobs.size(digest)).toBeUndefined();
      await ingest.publish(digest);
      await ingest.discard();
      expect(await blobs.size(digest)).toBe(300_000);
      const part = await bytesOf(blobs.read(digest, 5, 200_000));
      expect(part.equals(bytes.subarray(5, 200_000))).toBe(true);
      expect(await Array.fromAsync(blobs.list())).toEqual([digest]);
      expect(await Array.fromAsync(blobs.ingests())).toEqual([]);
      await blobs.remove(digest);
      await blobs.remove(digest);
      expect(await blobs.size(digest)).toBeUndefined();
    }));

  test("20 MB in odd pieces", () =>
    using(async (open) => {
      const blobs = await open();
      const bytes = pattern(20_000_000);
      const ingest = await blobs.ingest(randomUUID());
      for (let at = 0; at < bytes.length; at += 7_000_001) {
        await ingest.append(
          pieces(bytes.subarray(at, at + 3_000_000), bytes.subarray(at + 3_000_000, at + 7_000_001)),
        );
      }
      expect(ingest.offset).toBe(bytes.length);
      const digest = digestOf(bytes);
      expect(await ingest.verify(digest)).toBe(true);
      await ingest.publish(digest);
      expect(digestOf(await bytesOf(blobs.read(digest, 0, bytes.length)))).toBe(digest);
    }));

  test("an ingest is taken up by another process", () =>
    using(async (open) => {
      const bytes = pattern(50_000);
      const id = randomUUID();
      const first = await (await open()).ingest(id);
      await first.append(pieces(bytes.subarray(0, 20_000)));
      await first.append(pieces(bytes.subarray(20_000, 30_000)));
      await first.close();
      const blobs = await open();
      const [listed] = await Array.fromAsync(blobs.ingests());
      expect(listed?.id).toBe(id);
      expect(Math.abs(Date.now() - listed!.writtenAt)).toBeLessThan(60_000);
      const second = (await blobs.resume(id))!;
      expect(second.offset).toBe(30_000);
      await second.append(pieces(bytes.subarray(30_000)));
      expect(await second.verify(digestOf("other"))).toBe(false);
      expect(await second.verify(digestOf(bytes))).toBe(true);
      await second.publish(digestOf(bytes));
      expect(await blobs.resume(id)).toBeUndefined();
      expect((await bytesOf(blobs.read(digestOf(bytes), 0, 50_000))).equals(bytes)).toBe(true);
    }));

  test.each(["sha256", "sha512"] as const)("sha512 is verified too, begun as %s", (algorithm) =>
    using(async (open) => {
      const blobs = await open();
      const bytes = pattern(70_000);
      const ingest = await blobs.ingest(randomUUID(), algorithm);
      await ingest.append(pieces(bytes));
      const digest: Digest = `sha512:${new Bun.CryptoHasher("sha512").update(bytes).digest("hex")}`;
      expect(await ingest.verify(digestOf("other"))).toBe(false);
      expect(await ingest.verify(digest)).toBe(true);
      await ingest.publish(digest);
      expect(await blobs.size(digest)).toBe(70_000);
      expect(await Array.fromAsync(blobs.list())).toEqual([digest]);
    }),
  );

  test("what fails half-way keeps what came before; a discard leaves nothing", () =>
    using(async (open) => {
      const blobs = await open();
      const ingest = await blobs.ingest(randomUUID());
      const broken = (async function* () {
        yield pattern(10);
        throw new Error("cut");
      })();
      await expect(ingest.append(broken)).rejects.toThrow("cut");
      expect(ingest.offset).toBe(10);
      await ingest.append(pieces(pattern(20).subarray(10)));
      expect(await ingest.verify(digestOf(pattern(20)))).toBe(true);
      await ingest.discard();
      expect(await Array.fromAsync(blobs.ingests())).toEqual([]);
      expect(await Array.fromAsync(blobs.list())).toEqual([]);
    }));

  test("an empty blob, and the same blob twice at once", () =>
    using(async (open) => {
      const blobs = await open();
      const empty = await blobs.ingest(randomUUID());
      expect(await empty.verify(digestOf(""))).toBe(true);
      await empty.publish(digestOf(""));
      expect(await blobs.size(digestOf(""))).toBe(0);
      const bytes = pattern(100_000);
      const [a, b] = await Promise.all([store(blobs, bytes), store(blobs, bytes)]);
      expect(a).toBe(b);
      expect(await blobs.size(a)).toBe(100_000);
    }));
});
