import { Database } from "bun:sqlite";
import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { digestOf } from "../../lib/digest.ts";
import { tempDir } from "../fixture.ts";
import { SqliteMetadata } from "./sqlite-metadata.ts";

describe("SQLite metadata", () => {
  const a = digestOf("a");
  const b = digestOf("b");
  const record = { digest: a, mediaType: "m/t", size: 1 };
  const nothing = { blobs: [], manifests: [] };

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
      await metadata.linkBlob("one", a, 1);
      await metadata.linkBlob("one", a, 2);
      await metadata.linkBlob("two", a, 1);
      expect(await metadata.hasBlob("one", a)).toBe(true);
      expect(await metadata.hasBlob("one", b)).toBe(false);
      expect(await metadata.unlinkBlob("one", a)).toBe(true);
      expect(await metadata.unlinkBlob("one", a)).toBe(false);
      expect(await metadata.isReferenced(a)).toBe(true);
      expect(await metadata.hasRepository("one")).toBe(false);
      expect(await metadata.allRepositories()).toEqual(["two"]);
      await metadata.unlinkBlob("two", a);
      expect(await metadata.isReferenced(a)).toBe(false);
    }));

  test("a link that was renewed is young", () =>
    using(async (metadata) => {
      await metadata.linkBlob("one", a, 1000);
      expect(await metadata.blobsLinkedBefore("one", 2000)).toEqual([a]);
      expect(await metadata.renewBlob("one", a, 3000)).toBe(true);
      expect(await metadata.renewBlob("one", b, 3000)).toBe(false);
      expect(await metadata.blobsLinkedBefore("one", 2000)).toEqual([]);
      expect(await metadata.unlinkBlob("one", a, 2000)).toBe(false);
      await metadata.putManifest("one", { ...record, digest: b }, [], { blobs: [a], manifests: [] }, 5000);
      expect(await metadata.unlinkBlob("one", a, 5000)).toBe(false);
      expect(await metadata.unlinkBlob("one", a, 5001)).toBe(true);
    }));

  test("a manifest that lacks something changes nothing", () =>
    using(async (metadata) => {
      await metadata.linkBlob("one", a, 1);
      const missing = await metadata.putManifest("one", record, ["t"], { blobs: [a, b], manifests: [] }, 9);
      expect(missing).toBe(b);
      expect(await metadata.tag("one", "t")).toBeUndefined();
      expect(await metadata.blobsLinkedBefore("one", 2)).toEqual([a]);
      expect(await metadata.putManifest("one", record, [], { blobs: [], manifests: [b] }, 9)).toBe(b);
    }));

  test("a manifest takes its tags with it", () =>
    using(async (metadata) => {
      const full = { ...record, annotations: { k: "v" }, artifactType: "x/y", subject: b };
      await metadata.putManifest("one", full, ["t1", "t1b"], nothing, 7);
      await metadata.putManifest("one", { ...record, digest: b }, ["t2"], nothing, 8);
      expect(await metadata.manifest("one", a)).toEqual(full);
      expect((await metadata.referrers("one", b)).map((found) => found.digest)).toEqual([a]);
      expect(await metadata.tag("one", "t1")).toBe(a);
      expect(await metadata.tags("one", "", 10)).toEqual(["t1", "t1b", "t2"]);
      expect(await metadata.tags("one", "t1", 1)).toEqual(["t1b"]);
      expect(await metadata.deleteManifest("one", a)).toBe(true);
      expect(await metadata.deleteManifest("one", a)).toBe(false);
      expect(await metadata.tags("one", "", 10)).toEqual(["t2"]);
      expect(await metadata.deleteManifest("one", b, 100)).toBe(false);
      expect(await metadata.deleteTag("one", "t2")).toBe(true);
      expect(await metadata.manifests("one")).toEqual([{ digest: b, isTagged: false, pushedAt: 8 }]);
      expect(await metadata.repositories("", 10)).toEqual(["one"]);
      expect(await metadata.deleteManifest("one", b, 8)).toBe(false);
      expect(await metadata.deleteManifest("one", b, 9)).toBe(true);
    }));

  test("a database of the first layout is taken over", async () => {
    await using dir = await tempDir();
    const path = join(dir.path, "registry.db");
    const old = new Database(path, { create: true });
    old.run(
      "create table blobs (repository text, digest text, primary key (repository, digest)) without rowid",
    );
    old.run(`create table manifests (repository text, digest text, media_type text, size integer, subject text,
      artifact_type text, annotations text, primary key (repository, digest)) without rowid`);
    old.run("insert into blobs values ('one', ?)", [a]);
    old.run("insert into manifests (repository, digest, media_type, size) values ('one', ?, 'm/t', 1)", [b]);
    old.close();
    for (let opened = 0; opened < 2; opened++) {
      const metadata = new SqliteMetadata(path);
      expect(await metadata.blobsLinkedBefore("one", 1)).toEqual([a]);
      expect(await metadata.manifest("one", b)).toMatchObject({ digest: b, mediaType: "m/t" });
      metadata.close();
    }
  });
});
