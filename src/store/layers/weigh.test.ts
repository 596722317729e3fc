import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Entry, tarOf } from "../testing.ts";
import { weighLayers } from "./weigh.ts";

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "gs-weigh-"));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

async function weigh(layers: Entry[][], limit = 10) {
  const blobs = await Promise.all(
    layers.map(async (entries, index) => {
      const path = join(directory, `${crypto.randomUUID()}-${index}`);
      const tar = await tarOf(entries);
      writeFileSync(path, index % 2 === 0 ? Bun.gzipSync(new Uint8Array(tar)) : tar);
      return path;
    }),
  );
  return weighLayers(blobs, limit, new AbortController().signal);
}

const file = (name: string, size: number): Entry => ({ name, content: "x".repeat(size) });

test("what is overwritten and deleted later is told with who did it", async () => {
  const { layers, files, waste } = await weigh([
    [file("./etc/a", 10), file("var/cache/b", 200), file("var/cache/c", 300), file("opt/old/d", 40)],
    [file("etc/a", 11), { name: "var/.wh.cache" }, file("etc/same", 5)],
    [file("opt/old/e", 7), { name: "opt/old/.wh..wh..opq" }, { name: "etc/.wh.same" }],
    [{ name: "etc/hard", type: "link", linkname: "etc/a" }],
  ]);
  expect(layers).toEqual([
    { bytes: 550, files: 4, wasted: 550 },
    { bytes: 16, files: 2, wasted: 5 },
    { bytes: 7, files: 1, wasted: 0 },
    { bytes: 0, files: 1, wasted: 0 },
  ]);
  expect(files).toEqual([
    { path: "/etc/a", size: 11, layer: 1 },
    { path: "/opt/old/e", size: 7, layer: 2 },
  ]);
  expect(waste).toEqual([
    { path: "/var/cache/c", size: 300, layer: 0, by: 1, how: "deleted" },
    { path: "/var/cache/b", size: 200, layer: 0, by: 1, how: "deleted" },
    { path: "/opt/old/d", size: 40, layer: 0, by: 2, how: "deleted" },
    { path: "/etc/a", size: 10, layer: 0, by: 1, how: "overwritten" },
    { path: "/etc/same", size: 5, layer: 1, by: 2, how: "deleted" },
  ]);
});

test("a layer's whiteout leaves what the layer brings itself, whichever comes first", async () => {
  for (const order of [1, -1]) {
    const entries = [file("d/new", 3), { name: ".wh.d" }, file("f", 4), { name: ".wh.f" }];
    const { layers, files } = await weigh([
      [file("d/old", 1), file("f", 2)],
      order === 1 ? entries : entries.reverse(),
    ]);
    expect(layers.map(({ wasted }) => wasted)).toEqual([3, 0]);
    expect(files.map(({ path }) => path)).toEqual(["/f", "/d/new"]);
  }
});

test("a file in the place of a directory, and a directory in the place of a file", async () => {
  const { layers, files } = await weigh([
    [file("a/b", 1), file("c", 2)],
    [file("a", 4), { name: "c", type: "directory" }, file("c/d", 8)],
  ]);
  expect(layers.map(({ wasted }) => wasted)).toEqual([3, 0]);
  expect(files.map(({ path }) => path)).toEqual(["/c/d", "/a"]);
});

test("only the biggest are named, and all are counted", async () => {
  const many = Array.from({ length: 100 }, (_, index) => file(`f${index}`, index + 1));
  const { layers, files } = await weigh([many], 3);
  expect(layers[0]).toMatchObject({ files: 100, bytes: 5050 });
  expect(files.map(({ size }) => size)).toEqual([100, 99, 98]);
});
