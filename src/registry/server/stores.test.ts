import { describe, expect, test } from "bun:test";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { type Digest, digestOf } from "../../lib/digest.ts";
import { pattern, tempDir } from "../fixture.ts";
import { openFileBlobs } from "./file-blobs.ts";
import { SqliteMetadata } from "./sqlite-metadata.ts";
import type { BlobStore } from "./types.ts";

async function* pieces(...chunks: Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* chunks;
}

async function store(blobs: BlobStore, bytes: Uint8Array): Promise<Digest> {
  const ingest = await blobs.ingest();
  await ingest.append(pieces(bytes));
  const digest = digestOf(bytes);
  expect(await ingest.verify(digest)).toBe(true);
  await ingest.publish(digest);
  return digest;
}

describe("file blobs", () => {
  test("come in by pieces, are visible only when published, and are read by range", async () => {
    await using dir = await tempDir();
    const blobs = await openFileBlobs(dir.path);
    const bytes = pattern(300_000);
    const digest = digestOf(bytes);
    const ingest = await blobs.ingest();
    await ingest.append(pieces(bytes.subarray(0, 100_000), bytes.subarray(100_000, 100_001)));
    expect(ingest.offset).toBe(100_001);
    await ingest.append(pieces(bytes.subarray(100_001)));
    expect(await ingest.verify(digest)).toBe(true);
    expect(await blobs.size(digest)).toBeUndefined();
    await ingest.publish(digest);
    await ingest.discard();
    expect(await blobs.size(digest)).toBe(300_000);
    const part = Buffer.from(await blobs.read(digest, 5, 200_000).arrayBuffer());
    expect(part.equals(bytes.subarray(5, 200_000))).toBe(true);
    expect(await Array.fromAsync(blobs.list())).toEqual([digest]);
    await blobs.remove(digest);
    expect(await blobs.size(digest)).toBeUndefined();
  });

  test("sha512 is verified too, and a wrong digest is seen", async () => {
    await using dir = await tempDir();
    const blobs = await openFileBlobs(dir.path);
    const bytes = pattern(70_000);
    const ingest = await blobs.ingest();
    await ingest.append(pieces(bytes));
    const digest: Digest = `sha512:${new Bun.CryptoHasher("sha512").update(bytes).digest("hex")}`;
    expect(await ingest.verify(digestOf("other"))).toBe(false);
    expect(await ingest.verify(digest)).toBe(true);
    await ingest.publish(digest);
    expect(await blobs.size(digest)).toBe(70_000);
  });

  test("what fails half-way keeps what came before; a discard leaves nothing", async () => {
    await using dir = await tempDir();
    const blobs = await openFileBlobs(dir.path);
    const ingest = await blobs.ingest();
    const broken = (async function* () {
      yield pattern(10);
      throw new Error("cut");
    })();
    await expect(ingest.append(broken)).rejects.toThrow("cut");
    expect(ingest.offset).toBe(10);
    await ingest.append(pieces(pattern(20).subarray(10)));
    expect(await ingest.verify(digestOf(pattern(20)))).toBe(true);
    await ingest.discard();
    expect(await readdir(join(dir.path, "ingest"))).toEqual([]);
  });

  test("the same blob twice at once", async () => {
    await using dir = await tempDir();
    const blobs = await openFileBlobs(dir.path);
    const bytes = pattern(100_000);
    const [a, b] = await Promise.all([store(blobs, bytes), store(blobs, bytes)]);
    expect(a).toBe(b);
    expect(await blobs.size(a)).toBe(100_000);
  });

  test("ingests of an earlier process are dropped", async () => {
    await using dir = await tempDir();
    const left = await (await openFileBlobs(dir.path)).ingest();
    await left.append(pieces(pattern(10)));
    await openFileBlobs(dir.path);
    expect(await readdir(join(dir.path, "ingest"))).toEqual([]);
    await left.discard();
  });
});

describe("SQLite metadata", () => {
  const a = digestOf("a");
  const b = digestOf("b");
  const record = { digest: a, mediaType: "m/t", size: 1 };

  async function using(task: (metadata: SqliteMetadata) => Promise<void>): Promise<void> {
    await using dir = await tempDir();
    const metadata = new SqliteMetadata(join(dir.path, "registry.db"));
    try {
      await task(metadata);
    } finally {
      metadata.close();
    }
  }

  test("blobs belong to repositories", () =>
    using(async (metadata) => {
      await metadata.linkBlob("one", a);
      await metadata.linkBlob("one", a);
      await metadata.linkBlob("two", a);
      expect(await metadata.hasBlob("one", a)).toBe(true);
      expect(await metadata.hasBlob("one", b)).toBe(false);
      expect(await metadata.unlinkBlob("one", a)).toBe(true);
      expect(await metadata.unlinkBlob("one", a)).toBe(false);
      expect(await metadata.isReferenced(a)).toBe(true);
      expect(await metadata.hasRepository("one")).toBe(false);
      await metadata.unlinkBlob("two", a);
      expect(await metadata.isReferenced(a)).toBe(false);
    }));

  test("a manifest takes its tags with it", () =>
    using(async (metadata) => {
      await metadata.putManifest(
        "one",
        { ...record, annotations: { k: "v" }, artifactType: "x/y", subject: b },
        "t1",
      );
      await metadata.putManifest("one", { ...record, digest: b }, "t2");
      expect(await metadata.manifest("one", a)).toEqual({
        ...record,
        annotations: { k: "v" },
        artifactType: "x/y",
        subject: b,
      });
      expect((await metadata.referrers("one", b)).map((found) => found.digest)).toEqual([a]);
      expect(await metadata.tag("one", "t1")).toBe(a);
      expect(await metadata.tags("one", "", 10)).toEqual(["t1", "t2"]);
      expect(await metadata.tags("one", "t1", 10)).toEqual(["t2"]);
      expect(await metadata.deleteManifest("one", a)).toBe(true);
      expect(await metadata.deleteManifest("one", a)).toBe(false);
      expect(await metadata.tags("one", "", 10)).toEqual(["t2"]);
      expect(await metadata.deleteTag("one", "t2")).toBe(true);
      expect(await metadata.repositories("", 10)).toEqual(["one"]);
    }));
});
