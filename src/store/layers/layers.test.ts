/** Layers to trees and back, on the real kernel; hostile ones above all. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { Readable } from "node:stream";
import { gunzipSync, gzipSync, zstdCompressSync, zstdDecompressSync } from "node:zlib";
import fc from "fast-check";
import { digestOf } from "../../lib/digest.ts";
import { InvalidParameter, NotFound, TooLarge } from "../../lib/errors.ts";
import { type Entry, StoreLab, tarOf, until } from "../testing.ts";
import { jobs } from "./jobs.ts";

let lab: StoreLab;
beforeAll(async () => {
  lab = await StoreLab.open();
});
afterEach(() => expect(lab.leftovers()).toEqual([]));
afterAll(() => lab[Symbol.asyncDispose]());

const file = (name: string, content = name): Entry => ({ name, content });

describe("unpack", () => {
  test.each([
    ["plain", (tar: Buffer) => tar],
    ["gzip", (tar: Buffer) => gzipSync(tar)],
    [
      "gzip of two members",
      (tar: Buffer) => Buffer.concat([gzipSync(tar.subarray(0, 700)), gzipSync(tar.subarray(700))]),
    ],
    ["zstd", (tar: Buffer) => zstdCompressSync(tar)],
  ])("takes %s", async (_name, compress) => {
    const tar = await tarOf([{ name: "d", type: "directory" }, file("d/f", "text")]);
    const key = await lab.unpack(tar, { blob: compress(tar) });
    expect(await lab.look(key, (root) => readFileSync(join(root, "d/f"), "utf8"))).toBe("text");
    expect(lab.store.snapshots.stat(key)?.size).toBe(4);
  });

  test.each([
    ["gzip", (tar: Buffer) => gzipSync(tar, { level: 1 })],
    ["zstd", (tar: Buffer) => zstdCompressSync(tar)],
  ])("files larger than any buffer come whole out of %s", async (_name, compress) => {
    const [noise, text] = [randomBytes(3_000_001), Buffer.alloc(5_000_001, "some text\n")];
    const tar = await tarOf([
      { name: "noise", content: noise },
      { name: "text", content: text },
    ]);
    await lab.look(await lab.unpack(tar, { blob: compress(tar) }), (root) => {
      expect(readFileSync(join(root, "noise")).equals(noise)).toBe(true);
      expect(readFileSync(join(root, "text")).equals(text)).toBe(true);
    });
  });

  test("whiteouts remove, an opaque directory hides what is below", async () => {
    const base = await lab.unpack(
      await tarOf([
        { name: "d", type: "directory" },
        file("d/a"),
        file("d/b"),
        { name: "o", type: "directory" },
        file("o/old"),
      ]),
    );
    const key = await lab.unpack(
      await tarOf([file("d/.wh.a", ""), file("o/.wh..wh..opq", ""), file("o/new")]),
      {
        parent: base,
      },
    );
    await lab.look(key, (root) => {
      expect(readdirSync(join(root, "d"))).toEqual(["b"]);
      expect(readdirSync(join(root, "o"))).toEqual(["new"]);
    });
  });

  test("the job notes how much of the blob it has read", async () => {
    const tar = gzipSync(await tarOf([file("large", "z".repeat(4 << 20))]));
    const directory = join(lab.directory, "noted");
    mkdirSync(directory);
    const blob = join(lab.directory, "noted.tar.gz");
    writeFileSync(blob, tar);
    const read = new SharedArrayBuffer(8);
    const context = {
      signal: new AbortController().signal,
      input: (async function* () {})(),
      output: () => Promise.resolve(),
      arriving() {},
    };
    await jobs.unpack({ blob, directory, hash: false, limits: {}, read }, context);
    expect(Number(new BigInt64Array(read)[0])).toBe(tar.length);
  });

  test("the same chain asked for twice at once is unpacked once", async () => {
    const tar = await tarOf([file("once")]);
    const image = lab.image([tar]);
    const again = lab.image([tar]);
    expect((await image).id).toBe((await again).id);
  });

  const outside = () => join(lab.directory, "outside");
  test.each<[string, (target: string) => Entry[]]>([
    ["..", () => [file("../outside/x")]],
    [".. further in", () => [file("a/../../outside/x")]],
    ["an absolute path", (target) => [file(`${target}/x`)]],
    ["an absolute link", (target) => [{ name: "l", type: "symlink", linkname: target }, file("l/x")]],
    ["a relative link", () => [{ name: "l", type: "symlink", linkname: "../../../../outside" }, file("l/x")]],
    [
      "a hard link through a link",
      (target) => [
        { name: "l", type: "symlink", linkname: target },
        { name: "h", type: "link", linkname: "l/secret" },
      ],
    ],
    ["a hard link by ..", () => [{ name: "h", type: "link", linkname: "../../../../outside/secret" }]],
    ["a whiteout of the parent", () => [file(".wh...", "")]],
    [
      "a whiteout through a link",
      (target) => [{ name: "l", type: "symlink", linkname: target }, file("l/.wh.secret", "")],
    ],
  ])("never leaves the root by %s", async (_name, entries) => {
    mkdirSync(outside(), { recursive: true });
    writeFileSync(join(outside(), "secret"), "secret");
    const tar = await tarOf(entries(outside()));
    const linked = await lab.unpack(tar).then(
      (key) => lab.look(key, (root) => existsSync(join(root, "h")) && readFileSync(join(root, "h"), "utf8")),
      (error: unknown) => expect(error).toBeInstanceOf(InvalidParameter),
    );
    expect(linked).not.toBe("secret");
    expect(readdirSync(outside())).toEqual(["secret"]);
    expect(readFileSync(join(outside(), "secret"), "utf8")).toBe("secret");
  });

  test("a wrong uncompressed digest, truncation and rubbish are refused, and leave nothing", async () => {
    const tar = await tarOf([file("f", "x".repeat(5000))]);
    const other = await tarOf([file("g")]);
    const gzip = gzipSync(tar);
    for (const blob of [
      other,
      gzip.subarray(0, gzip.length - 20),
      tar.subarray(0, 2000),
      Buffer.from("no tar at all"),
    ]) {
      const error: unknown = await lab.unpack(tar, { blob }).catch((error) => error);
      expect(error).toBeInstanceOf(InvalidParameter);
      expect(lab.leftovers()).toEqual([]);
    }
  });

  test("any prefix of a layer is refused", async () => {
    const tar = await tarOf([{ name: "d", type: "directory" }, file("d/f", "y".repeat(3000)), file("g")]);
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: tar.length - 1025 }), async (length) => {
        const error: unknown = await lab
          .unpack(tar, { blob: tar.subarray(0, length) })
          .catch((error) => error);
        expect(error).toBeInstanceOf(InvalidParameter);
      }),
      { numRuns: 40 },
    );
  });

  test("a cancelled one leaves nothing", async () => {
    const tar = await tarOf([file("big", "z".repeat(20 << 20))]);
    const blob = await lab.store.content.put(gzipSync(tar));
    const signal = AbortSignal.timeout(5);
    const unpacking = lab.store.layers.unpack(
      blob,
      { diffId: `sha256:${"0".repeat(64)}`, chainId: "never" },
      signal,
    );
    expect(await unpacking.catch((error: Error) => error.name)).toMatch(/Timeout|Invalid/);
    expect(lab.store.snapshots.stat("never")).toBeUndefined();
  });
});

describe("extract", () => {
  const target = () => mkdtempSync(join(lab.directory, "x-"));

  test("meets its limits", async () => {
    const tar = await tarOf([file("a", "x".repeat(1000)), file("b", "x".repeat(1000))]);
    for (const limits of [{ maxBytes: 1500 }, { maxEntries: 1 }]) {
      const error: unknown = await lab.store.layers
        .extract(Readable.from([tar]), target(), { limits })
        .catch((error) => error);
      expect(error).toBeInstanceOf(TooLarge);
    }
  });

  test("gives all files to the owner that is asked for", async () => {
    const directory = target();
    const tar = gzipSync(await tarOf([{ name: "d", type: "directory" }, file("d/f")]));
    await lab.store.layers.extract(Readable.from([tar.subarray(0, 30), tar.subarray(30)]), directory, {
      owner: { uid: 7, gid: 8 },
    });
    expect(lstatSync(join(directory, "d/f"))).toMatchObject({ uid: 7, gid: 8 });
  });

  test("digests are of what is in the files, whatever names lead to them", async () => {
    const directory = target();
    const tar = await tarOf([
      { name: "d", type: "directory" },
      file("d/kept", "kept"),
      file("d/twice", "first"),
      { name: "alias", type: "symlink", linkname: "d" },
      file("alias/twice", "second"),
      { name: "hard", type: "link", linkname: "d/kept" },
      file("empty", ""),
    ]);
    await using received = await lab.store.layers.receive(Readable.from([tar]), directory);
    const { digests } = received;
    const of = (path: string) => {
      const { dev, ino } = statSync(join(directory, path), { bigint: true });
      // Devices of less than 256 majors and minors are numbers of two bytes.
      return digests.get(`${dev >> 8n}:${dev & 0xffn}:${ino}`);
    };
    expect(of("d/twice")).toBe(digestOf("second"));
    expect(of("hard")).toBe(digestOf("kept"));
    expect(of("empty")).toBe(digestOf(""));
    const { content } = lab.store;
    await expect(
      content.take(join(directory, "d/kept"), { digest: digestOf("no") }, digests),
    ).rejects.toThrow(InvalidParameter);
    expect(await content.take(join(directory, "d/kept"), { size: 4 }, digests)).toBe(digestOf("kept"));
  });

  test("passes on the error of its source", async () => {
    const source = new Readable({
      read() {
        this.destroy(new NotFound("gone"));
      },
    });
    const error: unknown = await lab.store.layers.extract(source, target()).catch((error) => error);
    expect(error).toBeInstanceOf(NotFound);
  });
});

describe("receive", () => {
  const target = () => mkdtempSync(join(lab.directory, "received-"));
  /** Large enough to be unpacked while it comes. */
  const content = randomBytes(6 << 20);
  const layer = () =>
    tarOf([{ name: "d", type: "directory" }, file("d/small"), { name: "d/large", content }]);
  /** An archive cut into pieces, the last of which wait until `ready`. */
  async function* pieces(archive: Buffer, ready: Promise<void> = Promise.resolve()) {
    const cut = archive.length - 1024;
    for (let at = 0; at < cut; at += 100_000) yield archive.subarray(at, Math.min(cut, at + 100_000));
    await ready;
    yield archive.subarray(cut);
  }
  const trees = () =>
    readdirSync(join(lab.directory, "store/snapshots")).filter((name) => /^new-/.test(name));

  test.each([
    ["plain", (tar: Buffer) => tar],
    ["gzip", (tar: Buffer) => gzipSync(tar, { level: 1 })],
  ])("a %s layer is unpacked while the archive comes, and taken by its digest", async (_name, compress) => {
    const tar = await layer();
    const blob = compress(tar);
    const directory = target();
    const ready = Promise.withResolvers<void>();
    const receiving = lab.store.layers.receive(
      Readable.from(pieces(await tarOf([{ name: "layer.tar", content: blob }]), ready.promise)),
      directory,
    );
    await until(() =>
      trees().some(
        (name) =>
          statSync(join(lab.directory, "store/snapshots", name, "fs/d/large"), { throwIfNoEntry: false })
            ?.size === content.length,
      ),
    );
    ready.resolve();
    await using received = await receiving;
    const digest = await lab.store.content.take(join(directory, "layer.tar"), {}, received.digests);
    const [tree] = trees();
    const { ino } = statSync(join(lab.directory, "store/snapshots", tree!, "fs/d/large"));
    const chainId = `chain-${crypto.randomUUID()}`;
    await lab.store.layers.unpack(digest, { diffId: digestOf(tar), chainId });
    expect(lab.store.snapshots.stat(chainId)?.size).toBe(content.length + "d/small".length);
    const found = join(lab.store.snapshots.upperDir(chainId), "d/large");
    expect(statSync(found).ino).toBe(ino);
    expect(readFileSync(found).equals(content)).toBe(true);
  });

  test("a file in the place of a layer is not taken for it, whatever inode it has", async () => {
    const directory = target();
    const archive = await tarOf([
      { name: "layer.tar", content: await layer() },
      ...Array.from({ length: 20 }, (_, n) => ({ name: "layer.tar", content: `small ${n}` })),
    ]);
    await using received = await lab.store.layers.receive(Readable.from(pieces(archive)), directory);
    const digest = await lab.store.content.take(join(directory, "layer.tar"), {}, received.digests);
    expect(digest).toBe(digestOf("small 19"));
    const unpacking = lab.store.layers.unpack(digest, { diffId: digest, chainId: `chain-${digest}` });
    await expect(unpacking).rejects.toThrow("unexpected EOF");
  });

  test("what no image asks for is dropped", async () => {
    const archive = await tarOf([{ name: "layer.tar", content: await layer() }]);
    const received = await lab.store.layers.receive(Readable.from(pieces(archive)), target());
    await received[Symbol.asyncDispose]();
    await until(() => trees().length === 0);
  });

  test("an archive that breaks off in a layer leaves nothing", async () => {
    const archive = await tarOf([{ name: "layer.tar", content: await layer() }]);
    const cut = Readable.from(pieces(archive.subarray(0, archive.length >> 1)));
    await expect(lab.store.layers.receive(cut, target())).rejects.toThrow("unexpected EOF");
    await until(() => trees().length === 0);
  });

  test("a layer that is none is no fault until an image has it", async () => {
    const broken = await layer();
    broken.fill(0xff, 512, 1024);
    const directory = target();
    const archive = await tarOf([{ name: "layer.tar", content: broken }]);
    await using received = await lab.store.layers.receive(Readable.from(pieces(archive)), directory);
    const digest = await lab.store.content.take(join(directory, "layer.tar"), {}, received.digests);
    const unpacking = lab.store.layers.unpack(digest, { diffId: digest, chainId: `chain-${digest}` });
    await expect(unpacking).rejects.toThrow(InvalidParameter);
  });

  test("nor is it another image's that says its content is something else", async () => {
    const blob = gzipSync(await layer(), { level: 1 });
    const directory = target();
    const archive = await tarOf([{ name: "layer.tar", content: blob }]);
    await using received = await lab.store.layers.receive(Readable.from(pieces(archive)), directory);
    const digest = await lab.store.content.take(join(directory, "layer.tar"), {}, received.digests);
    const unpacking = lab.store.layers.unpack(digest, { diffId: digestOf("no"), chainId: `chain-${digest}` });
    await expect(unpacking).rejects.toThrow("uncompressed digest is");
  });
});

test.each(["gzip", "zstd", "none"] as const)("a layer packed anew as %s has the same content", async (to) => {
  const tar = await tarOf([
    { name: "text", content: Buffer.alloc(6_000_001, "some text\n") },
    { name: "noise", content: randomBytes(2_000_001) },
  ]);
  const { content, layers } = lab.store;
  const plain = {
    gzip: gunzipSync,
    zstd: zstdDecompressSync,
    none: (bytes: Uint8Array) => Buffer.from(bytes),
  };
  for (const blob of [gzipSync(tar), zstdCompressSync(tar), tar]) {
    const { descriptor, diffId } = await layers.recompress(await content.put(blob), { compression: to });
    expect(diffId).toBe(digestOf(tar));
    expect(plain[to](await content.bytes(descriptor.digest, 16 << 20)).equals(tar)).toBe(true);
  }
});

describe("pack and archive", () => {
  test.each(["gzip", "zstd", "none"] as const)(
    "a packed layer (%s) unpacks to the same tree",
    async (compression) => {
      const base = await lab.unpack(
        await tarOf([
          { name: "d", type: "directory" },
          file("d/gone"),
          file("kept"),
          { name: "o", type: "directory" },
          file("o/old"),
        ]),
      );
      const { snapshots, layers } = lab.store;
      const key = `edit-${compression}`;
      snapshots.prepare(key, base);
      await lab.look(key, (root) => {
        writeFileSync(join(root, "new"), "new");
        writeFileSync(join(root, "kept"), "changed");
        Bun.spawnSync(["rm", "-r", join(root, "d/gone"), join(root, "o")]);
        mkdirSync(join(root, "o"));
        Bun.spawnSync(["ln", "-s", "new", join(root, "link")]);
        const writeNote = "import os, sys; os.setxattr(sys.argv[1], 'user.note', b'kept')";
        Bun.spawnSync(["python3", "-c", writeNote, join(root, "new")]);
      });
      const { descriptor, diffId } = await layers.pack(key, { compression });
      snapshots.remove(key);
      const chainId = `packed-${compression}`;
      await layers.unpack(descriptor.digest, { diffId, chainId, parent: base });
      await lab.look(chainId, (root) => {
        expect(readdirSync(root).sort()).toEqual(["d", "kept", "link", "new", "o"]);
        expect([...readdirSync(join(root, "d")), ...readdirSync(join(root, "o"))]).toEqual([]);
        expect(readFileSync(join(root, "kept"), "utf8")).toBe("changed");
        expect(readlinkSync(join(root, "link"))).toBe("new");
        const readNote = "import os, sys; print(os.getxattr(sys.argv[1], 'user.note').decode())";
        expect(Bun.spawnSync(["python3", "-c", readNote, join(root, "new")]).stdout.toString()).toBe(
          "kept\n",
        );
      });
    },
  );

  test("trees of any names and contents survive archive and extract", async () => {
    const name = fc
      .string({ unit: "grapheme", minLength: 1, maxLength: 12 })
      .filter((text) => !/^\.+$|[/\0]/.test(text) && Buffer.byteLength(text) < 256);
    const tree = fc.dictionary(name, fc.string({ unit: "grapheme", maxLength: 2000 }), {
      minKeys: 1,
      maxKeys: 8,
    });
    await fc.assert(
      fc.asyncProperty(tree, async (files) => {
        const from = mkdtempSync(join(lab.directory, "from-"));
        const to = mkdtempSync(join(lab.directory, "to-"));
        for (const [path, content] of Object.entries(files)) writeFileSync(join(from, path), content);
        await lab.store.layers.extract(lab.store.layers.archive(from, "/", { as: "." }), to);
        const found = readdirSync(to).map((path) => [path, readFileSync(join(to, path), "utf8")]);
        expect(Object.fromEntries(found)).toEqual({ ...files });
      }),
      { numRuns: 30 },
    );
  });

  test("a large archive comes whole to a slow reader", async () => {
    const from = mkdtempSync(join(lab.directory, "large-"));
    writeFileSync(join(from, "f"), Buffer.alloc(24 << 20, 7));
    let bytes = 0;
    for await (const chunk of lab.store.layers.archive(from, "f")) {
      bytes += (chunk as Uint8Array).length;
      if (bytes % 7 === 0) await Bun.sleep(1);
    }
    expect(bytes).toBeGreaterThan(24 << 20);
  });
});
