/** Content, snapshots, names and garbage, on a real file system and database. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, readdirSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { digestOf } from "../lib/digest.ts";
import { Conflict, InvalidParameter, NotFound } from "../lib/errors.ts";
import { openStore } from "./index.ts";
import { StoreLab, tarOf } from "./testing.ts";

let lab: StoreLab;
beforeAll(async () => {
  lab = await StoreLab.open();
});
afterEach(() => expect(lab.leftovers()).toEqual([]));
afterAll(() => lab[Symbol.asyncDispose]());

test("a store that is open is not opened again", async () => {
  const error: unknown = await openStore(lab.store.root).catch((error) => error);
  expect(error).toBeInstanceOf(Conflict);
});

describe("content", () => {
  test("what is put in any pieces comes out whole, by any range", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.uint8Array({ maxLength: 500 }), { maxLength: 6 }),
        fc.nat(600),
        fc.nat(600),
        async (pieces, start, length) => {
          const whole = Buffer.concat(pieces);
          const ingest = await lab.store.content.ingest(`test ${Math.random()}`);
          for (const piece of pieces) await ingest.write(piece);
          const { digest, size } = await ingest.commit({ digest: digestOf(whole), size: whole.length });
          expect(size).toBe(whole.length);
          expect(Buffer.from(await lab.store.content.bytes(digest))).toEqual(whole);
          const part = await Array.fromAsync(lab.store.content.open(digest, { start, end: start + length }));
          expect(Buffer.concat(part as Uint8Array[])).toEqual(whole.subarray(start, start + length));
        },
      ),
      { numRuns: 30 },
    );
  });

  test("an interrupted ingest goes on where it stood", async () => {
    const { content } = lab.store;
    const first = await content.ingest("resumed", { resume: true });
    await first.write(Buffer.from("first "));
    await first.close({ keep: true });
    await lab.reopen();
    const second = await lab.store.content.ingest("resumed", { resume: true });
    expect(second.offset).toBe(6);
    await second.write(Buffer.from("second"));
    expect(await second.commit({ digest: digestOf("first second") })).toMatchObject({ size: 12 });
  });

  test("a file is taken as it is, unless it's not what is expected", async () => {
    const { content } = lab.store;
    const path = join(lab.store.root, "given");
    writeFileSync(path, "given text");
    for (const expected of [{ digest: digestOf("other") }, { size: 3 }])
      await expect(content.take(path, expected)).rejects.toThrow(InvalidParameter);
    const digest = digestOf("given text");
    expect(content.has(digest)).toBe(false);
    expect(await content.take(path, { digest, size: 10 })).toBe(digest);
    expect(existsSync(path)).toBe(false);
    expect(Buffer.from(await content.bytes(digest)).toString()).toBe("given text");
  });

  test("a wrong digest and a wrong size are refused, and nothing stays", async () => {
    for (const expected of [{ digest: digestOf("other") }, { size: 3 }]) {
      const ingest = await lab.store.content.ingest("wrong");
      await ingest.write(Buffer.from("text"));
      expect(await ingest.commit(expected).catch((error: unknown) => error)).toBeInstanceOf(InvalidParameter);
    }
    expect(lab.store.content.has(digestOf("text"))).toBe(false);
    expect(readdirSync(join(lab.store.root, "content/ingest"))).toEqual([]);
  });
});

describe("snapshots", () => {
  test("keys are taken once, parents are kept, the missing is told", () => {
    const { snapshots } = lab.store;
    snapshots.prepare("a");
    expect(() => snapshots.prepare("a")).toThrow(Conflict);
    expect(() => snapshots.prepare("b", "a")).toThrow("not committed");
    expect(() => snapshots.prepare("b", "none")).toThrow(NotFound);
    snapshots.remove("a");
    expect(() => snapshots.remove("a")).toThrow(NotFound);
  });

  test("two hundred layers on one another can be mounted", async () => {
    const { snapshots } = lab.store;
    let parent: string | undefined;
    for (let n = 0; n < 200; n++) {
      snapshots.prepare(`work-${n}`, parent);
      writeFileSync(join(snapshots.upperDir(`work-${n}`), `f${n}`), "");
      parent = (await snapshots.commit(`deep-${n}`, `work-${n}`, 0)).key;
    }
    expect(await lab.look(parent!, (root) => readdirSync(root).length)).toBe(200);
  });
});

describe("images", () => {
  test("are found by id, prefix and name, and a name moves", async () => {
    const { images } = lab.store;
    const one = await lab.image([await tarOf([{ name: "one" }])]);
    const two = await lab.image([await tarOf([{ name: "two" }])]);
    images.tag("name", one.id);
    expect(images.byName("name")?.id).toBe(one.id);
    images.tag("name", two.id);
    expect(images.byPrefix(two.id.slice(7, 19)).map(({ id }) => id)).toEqual([two.id]);
    expect(() => images.tag("other", digestOf("nothing"))).toThrow(NotFound);
    await lab.reopen();
    expect(lab.store.images.byName("name")?.id).toBe(two.id);
    lab.store.images.remove(two.id);
    expect(lab.store.images.byName("name")).toBeUndefined();
  });

  test("collect keeps what is reached and takes the rest", async () => {
    const { images, snapshots, content } = lab.store;
    const base = await tarOf([{ name: "base" }]);
    const kept = await lab.image([base, await tarOf([{ name: "kept" }])]);
    const dropped = await lab.image([base, await tarOf([{ name: "dropped", content: "12345" }])]);
    images.remove(dropped.id);
    const lease = images.lease();
    lease.addBlob(dropped.layers[1]!.descriptor.digest);
    snapshots.prepare("container/x", dropped.layers[1]!.chainId);
    await images.collect();
    expect(content.has(dropped.layers[1]!.descriptor.digest)).toBe(true);
    expect(snapshots.stat(dropped.layers[1]!.chainId)).toBeDefined();
    lease[Symbol.dispose]();
    snapshots.remove("container/x");
    const { removed } = await images.collect();
    expect(removed).toContain(dropped.layers[1]!.descriptor.digest);
    expect(snapshots.stat(dropped.layers[1]!.chainId)).toBeUndefined();
    expect(snapshots.stat(kept.layers[1]!.chainId)).toBeDefined();
    expect(kept.layers.every(({ descriptor }) => content.has(descriptor.digest))).toBe(true);
  });

  test("a manifest that is none, and one that doesn't fit its config, are refused", async () => {
    const { content, images } = lab.store;
    const digest = await content.put("{}");
    const mediaType = "application/vnd.oci.image.manifest.v1+json";
    const error: unknown = await images.register({ mediaType, digest, size: 2 }).catch((error) => error);
    expect(error).toBeInstanceOf(InvalidParameter);
    expect((error as Error).message).toContain("schemaVersion");
    const rootfs = { type: "layers" as const, diff_ids: [] };
    const odd: unknown = await lab.image([await tarOf([{ name: "x" }])], { rootfs }).catch((error) => error);
    expect((odd as Error).message).toContain("1 layers in the manifest, 0 in the config");
  });

  test("layers that a crash has taken are unpacked again", async () => {
    const record = await lab.image([await tarOf([{ name: "lost", content: "found" }])]);
    const { chainId } = record.layers[0]!;
    rmSync(lab.store.snapshots.upperDir(chainId), { recursive: true });
    await lab.reopen();
    expect(await lab.look(chainId, (root) => existsSync(join(root, "lost")))).toBe(true);
  });

  test("of an image whose blob is damaged too, the rest of the store still opens", async () => {
    const record = await lab.image([await tarOf([{ name: "damaged", content: "x" }])]);
    const { chainId, descriptor } = record.layers[0]!;
    truncateSync(lab.store.content.path(descriptor.digest), 100);
    rmSync(lab.store.snapshots.upperDir(chainId), { recursive: true });
    await lab.reopen();
    expect(lab.store.snapshots.stat(chainId)).toBeUndefined();
    lab.store.images.remove(record.id);
  });
});
