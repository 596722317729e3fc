/** Directories that no archive describes, and layers that unpack side by side. */
import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { InvalidParameter } from "../../lib/errors.ts";
import { type Entry, StoreLab, tarOf } from "../testing.ts";

let lab: StoreLab;
beforeAll(async () => {
  lab = await StoreLab.open();
});
afterEach(() => expect(lab.leftovers()).toEqual([]));
afterAll(() => lab[Symbol.asyncDispose]());

const mtime = new Date(1_000_000_000_000);
const file = (name: string): Entry => ({ name, content: name });
const looks = (path: string) => {
  const { uid, gid, mode, mtime } = statSync(path);
  return { uid, gid, mode: mode & 0o7777, mtime: mtime.getTime() };
};

test("a directory that a layer does not describe looks as in the nearest layer that does", async () => {
  const image = await lab.image([
    await tarOf([
      { name: ".", type: "directory", mode: 0o711, uid: 5, mtime },
      { name: "a", type: "directory", mode: 0o700, uid: 1, gid: 2, mtime },
      { name: "a/b", type: "directory", mode: 0o1777, mtime },
    ]),
    await tarOf([{ name: "a/b", type: "directory", mode: 0o750, uid: 3, mtime }, file("other")]),
    await tarOf([file("a/b/c/f"), file("a/g")]),
    await tarOf([file("a/b/h")]),
  ]);
  await lab.look(image.layers.at(-1)!.chainId, (root) => {
    expect(looks(root)).toMatchObject({ uid: 5, mode: 0o711 });
    expect(looks(join(root, "a"))).toEqual({ uid: 1, gid: 2, mode: 0o700, mtime: mtime.getTime() });
    expect(looks(join(root, "a/b"))).toEqual({ uid: 3, gid: 0, mode: 0o750, mtime: mtime.getTime() });
    expect(looks(join(root, "a/b/c"))).toMatchObject({ uid: 0, mode: 0o755 });
    expect(readdirSync(join(root, "a/b")).sort()).toEqual(["c", "h"]);
  });
});

test("the archive's own later word on a directory counts", async () => {
  const base = await lab.unpack(await tarOf([{ name: "a", type: "directory", mode: 0o700, uid: 1 }]));
  const key = await lab.unpack(await tarOf([file("a/f"), { name: "a", type: "directory", mode: 0o777 }]), {
    parent: base,
  });
  await lab.look(key, (root) => expect(looks(join(root, "a"))).toMatchObject({ uid: 0, mode: 0o777 }));
});

test("many layers at once are committed base first, and can be removed top first", async () => {
  const tars = Array.from({ length: 30 }, (_, n) => tarOf([file(`d/${n}`), file("same")]));
  const image = await lab.image(await Promise.all(tars));
  const chains = image.layers.map(({ chainId }) => chainId);
  const { snapshots, images } = lab.store;
  for (const [n, chain] of chains.entries()) expect(snapshots.stat(chain)?.parent).toBe(chains[n - 1]);
  await lab.look(chains.at(-1)!, (root) => expect(readdirSync(join(root, "d"))).toHaveLength(30));
  images.remove(image.id);
  await images.collect();
  expect(chains.filter((chain) => snapshots.stat(chain))).toEqual([]);
});

test("when one layer of many is broken, none above it is there, and no tree is left", async () => {
  const good = await tarOf([file("f")]);
  const error: unknown = await lab
    .image([good, Buffer.from("no tar at all"), good, await tarOf([file("g")])])
    .catch((error: unknown) => error);
  expect(error).toBeInstanceOf(InvalidParameter);
  await lab.reopen();
  const trees = readdirSync(join(lab.store.root, "snapshots")).filter((name) => name.startsWith("new-"));
  expect(trees).toEqual([]);
});
