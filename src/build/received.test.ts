/** Contexts that came as archives: their files are hashed on the way and become the layers' own. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { lstatSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { Readable } from "node:stream";
import { disposeAll } from "../../test/support/dispose.ts";
import type { Digest } from "../lib/digest.ts";
import { type Entry, tarOf } from "../store/testing.ts";
import { SourceTree } from "./files/tree.ts";
import { ReceivedContext } from "./index.ts";
import { BuildLab, nothingLeft } from "./testing.ts";

let lab: BuildLab;
beforeAll(async () => {
  lab = await BuildLab.open();
});
afterAll(() => disposeAll(lab));

const mtime = new Date("2024-01-02T03:04:05Z");

async function receive(entries: Entry[]) {
  const contextDir = mkdtempSync(join(lab.directory, "received-"));
  const archive = Readable.from([await tarOf(entries.map((entry) => ({ mtime, mode: 0o644, ...entry })))]);
  const hashes = await lab.backend.store.layers.receiveContext(archive, contextDir);
  return { contextDir, hashes };
}

/** Builds from an archive; the context goes as the engine lets it go. @returns the context's inodes too */
async function build(dockerfile: string, entries: Entry[]) {
  const { contextDir, hashes } = await receive([{ name: "Dockerfile", content: dockerfile }, ...entries]);
  const inodes = Object.fromEntries(
    entries.map(({ name }) => [name, lstatSync(join(contextDir, name), { bigint: true }).ino] as const),
  );
  const built = await lab.build(
    {},
    {
      contextDir,
      received: new ReceivedContext(hashes),
      release: async () => rmSync(contextDir, { recursive: true }),
    },
  );
  return { ...built, inodes };
}

/** What the uppermost layer that has it says of a path, as it lies on the disk. */
function inLayers(imageId: Digest, path: string) {
  const { images, snapshots } = lab.backend.store;
  let key = images.get(imageId)!.layers.at(-1)?.chainId;
  for (; key !== undefined; key = snapshots.stat(key)?.parent) {
    const stat = lstatSync(join(snapshots.upperDir(key), path), { bigint: true, throwIfNoEntry: false });
    if (stat) return stat;
  }
  throw new Error(`${path} is in no layer`);
}

test("the hash of a file is the same whether it was taken on the way or from the disk", async () => {
  const sizes = [0, 1, 65_536, 65_537, 1 << 20, (1 << 20) + 1, 2_500_000];
  const { contextDir, hashes } = await receive([
    ...sizes.map((size) => ({ name: `f${size}`, content: Buffer.alloc(size, `content of ${size}`) })),
    // The later one of a name is what is there.
    { name: "f1", content: "another" },
    { name: "linked", type: "link", linkname: "f65537" },
  ]);
  expect(hashes.size).toBe(sizes.length);
  const digest = async (received?: ReceivedContext) => {
    const tree = new SourceTree(contextDir, undefined, received);
    return tree.digest([(await tree.select("."))!], { owners: false });
  };
  expect(await digest(new ReceivedContext(hashes))).toBe(await digest());
});

test("files that stay as they are become the layer's, in new directories and in old ones", async () => {
  const large = Buffer.alloc(2_000_000, "large");
  const { imageId, inodes } = await build(
    "FROM busybox\nWORKDIR /app\nCOPY . .\nCOPY large.bin /one/\nRUN cat /app/sub/deep/file > /seen",
    [
      { name: "top", content: "top" },
      { name: "large.bin", content: large },
      { name: "sub", type: "directory", mode: 0o750 },
      { name: "sub/deep", type: "directory", mode: 0o755 },
      { name: "sub/deep/file", content: "file", mode: 0o600 },
      { name: "sub/link", type: "symlink", linkname: "deep/file" },
    ],
  );
  for (const name of ["top", "large.bin", "sub/deep/file"])
    expect(inLayers(imageId, `app/${name}`).ino).toBe(inodes[name]!);
  // Taken once; a container would see the same file at two places.
  expect(inLayers(imageId, "one/large.bin").ino).not.toBe(inodes["large.bin"]!);
  lab.look({ imageId }, (root) => {
    expect(readFileSync(join(root, "seen"), "utf8")).toBe("file");
    expect(readFileSync(join(root, "app/sub/link"), "utf8")).toBe("file");
    expect(readFileSync(join(root, "one/large.bin")).equals(large)).toBe(true);
    for (const [path, mode] of [
      ["app/sub", 0o750],
      ["app/sub/deep", 0o755],
      ["app/sub/deep/file", 0o600],
      ["app/top", 0o644],
    ] as const) {
      const stat = statSync(join(root, path));
      expect([path, stat.mode & 0o7777, stat.mtimeMs]).toEqual([path, mode, mtime.getTime()]);
    }
    // Some programs, cron for one, refuse files of two names.
    for (const path of ["app/top", "app/large.bin", "app/sub/deep/file"])
      expect([path, statSync(join(root, path)).nlink]).toEqual([path, 1]);
  });
  expect(await lab.settled()).toEqual(nothingLeft);
});

test("what a file or directory of before had in that place is replaced or kept as with copies", async () => {
  const { imageId } = await build(
    [
      "FROM busybox",
      "RUN mkdir -p /app/sub /app/kept && echo old > /app/sub/a && echo old > /app/kept/b && ln -s sub /app/way",
      "COPY tree /app",
      "COPY tree/sub/ /app/way/more/",
    ].join("\n"),
    [
      { name: "tree", type: "directory", mode: 0o755 },
      { name: "tree/sub", type: "directory", mode: 0o755 },
      { name: "tree/sub/a", content: "new" },
      { name: "tree/sub/c", content: "c" },
    ],
  );
  lab.look({ imageId }, (root) => {
    const text = (path: string) => readFileSync(join(root, path), "utf8");
    expect([text("app/sub/a"), text("app/sub/c"), text("app/kept/b"), text("app/sub/more/a")]).toEqual([
      "new",
      "c",
      "old\n",
      "new",
    ]);
  });
});

test("another mode, another owner or a second name of the file make a copy", async () => {
  const { imageId, inodes } = await build(
    "FROM busybox\nCOPY --chmod=600 a /mode/\nCOPY --chown=app a /owner/\nCOPY tree /tree\nCOPY a /as-it-is/a",
    [
      { name: "a", content: "a", mode: 0o644 },
      { name: "tree", type: "directory", mode: 0o755 },
      { name: "tree/one", content: "one" },
      { name: "tree/two", type: "link", linkname: "tree/one" },
    ],
  );
  expect(inLayers(imageId, "mode/a").mode & 0o777n).toBe(0o600n);
  expect(inLayers(imageId, "owner/a").uid).toBe(1000n);
  expect(inLayers(imageId, "as-it-is/a").mode & 0o777n).toBe(0o644n);
  expect(inLayers(imageId, "as-it-is/a").uid).toBe(0n);
  const pair = [inLayers(imageId, "tree/one").ino, inLayers(imageId, "tree/two").ino];
  expect(pair).toContain(inodes["tree/one"]!);
  expect(new Set(pair).size).toBe(2);
});

test("nothing shows whether a file was copied or taken over", async () => {
  const files = [
    { name: "tree", type: "directory" as const, mode: 0o755 },
    { name: "tree/a", content: "a" },
    { name: "tree/b", content: Buffer.alloc(1_500_000, "b"), mode: 0o755 },
  ];
  const dockerfile = "FROM busybox\nCOPY tree /tree";
  const taken = await build(dockerfile, files);
  const { contextDir } = await receive([{ name: "Dockerfile", content: dockerfile }, ...files]);
  const copied = await lab.build({}, { contextDir, noCache: true });
  for (const path of ["tree/a", "tree/b"]) {
    const [one, other] = [inLayers(taken.imageId, path), inLayers(copied.imageId, path)];
    expect(one.ino).not.toBe(other.ino);
    const { mode, uid, gid, size, nlink, mtimeNs } = other;
    expect(one).toMatchObject({ mode, uid, gid, size, nlink, mtimeNs });
  }
});
