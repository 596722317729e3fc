import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { endOfArchive, formatHeader, plainEntry, type TarEntry, TarReader } from "../../lib/tar/index.ts";
import { packCopy, sourceInfo, unpackCopy } from "./copy-files.ts";
import { type CopyPlace, placeCopy, splitCopyPath } from "./copy-paths.ts";

let root: string;
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "gantry-cp-"));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

test.each([
  ["web:/etc", { container: "web", path: "/etc" }],
  ["web:", { container: "web", path: "" }],
  ["./a:b", { path: "./a:b" }],
  ["/a:b", { path: "/a:b" }],
  ["file", { path: "file" }],
  ["-", { path: "-" }],
])("%s", (text, expected) => {
  expect(splitCopyPath(text)).toEqual(expected);
});

describe("a copy lands", () => {
  const dir = { isDirectory: true };
  const file = { isDirectory: false };
  const cases: [
    source: string,
    isDirectory: boolean,
    to: string,
    at: typeof dir | undefined,
    place: CopyPlace | string,
  ][] = [
    ["/a/f", false, "/d", dir, { directory: "/d", name: "f" }],
    ["/a/f", false, "/d/g", file, { directory: "/d", name: "g" }],
    ["/a/f", false, "/d/new", undefined, { directory: "/d", name: "new" }],
    ["/a/f", false, "new", undefined, { directory: ".", name: "new" }],
    ["/a/f", false, "/new/", undefined, "no such directory"],
    ["/a/f", false, "/d/g/", file, "not a directory"],
    ["/a/f/", false, "/d", dir, "not a directory"],
    ["/a/s", true, "/d", dir, { directory: "/d", name: "s" }],
    ["/a/s/", true, "/d/", dir, { directory: "/d/", name: "s" }],
    ["/a/s/.", true, "/d", dir, { directory: "/d", name: undefined }],
    ["/a/s", true, "/d/new", undefined, { directory: "/d", name: "new" }],
    ["/a/s/.", true, "/d/new/", undefined, { directory: "/d", name: "new" }],
    ["/a/s", true, "/d/g", file, "cannot copy directory"],
    ["/", true, "/d", dir, { directory: "/d", name: undefined }],
  ];
  test.each(cases)("%s (directory: %p) to %s", (path, isDirectory, to, at, place) => {
    const copy = () => placeCopy({ path, isDirectory }, to, at);
    if (typeof place === "string") expect(copy).toThrow(place);
    else expect(copy()).toEqual(place);
  });
});

test("a tree survives the way there and back", async () => {
  const source = join(root, "source");
  mkdirSync(join(source, "deep/er"), { recursive: true });
  writeFileSync(join(source, "deep/er/file"), "x".repeat(300_000), { mode: 0o640 });
  writeFileSync(join(source, "empty"), "");
  symlinkSync("../nowhere", join(source, "deep/link"));
  const target = join(root, "target");
  mkdirSync(target);
  await unpackCopy(
    packCopy(sourceInfo(source, false).real, "source"),
    { directory: target, name: "copy" },
    { owners: false },
  );
  expect(readFileSync(join(target, "copy/deep/er/file"), "utf8")).toBe("x".repeat(300_000));
  expect(statSync(join(target, "copy/deep/er/file")).mode & 0o777).toBe(0o640);
  expect(readFileSync(join(target, "copy/empty"), "utf8")).toBe("");
  expect(() => statSync(join(target, "copy/deep/link"))).toThrow();
  const names: string[] = [];
  const reader = new TarReader({ entry: ({ path }) => names.push(path), data: () => {}, end: () => {} });
  for await (const chunk of packCopy(source, undefined)) reader.push(chunk);
  reader.finish();
  // The directory itself is not among its contents: the target keeps its own mode.
  expect(names).toEqual(["deep/", "deep/er/", "deep/er/file", "deep/link", "empty"]);
});

describe("an archive can't write outside", () => {
  const entry = (fields: Partial<TarEntry>): Uint8Array =>
    formatHeader(plainEntry({ path: "r/", type: "directory", mode: 0o755, ...fields }));
  const link = (path: string, linkPath: string) => entry({ path, type: "symlink", linkPath });
  const cases: [string, Uint8Array[]][] = [
    ["by ..", [entry({ path: "r/../../evil", type: "file" })]],
    ["beside what was asked for", [entry({}), entry({ path: "evil", type: "file" })]],
    ["through a link", [entry({}), link("r/l", ".."), entry({ path: "r/l/evil", type: "file" })]],
    ["by a hard link", [entry({}), entry({ path: "r/h", type: "link", linkPath: "../outside" })]],
    [
      "by a hard link through a link",
      [entry({}), link("r/l", ".."), entry({ path: "r/h", type: "link", linkPath: "r/l/outside" })],
    ],
  ];
  test.each(cases)("%s", async (_, entries) => {
    const base = mkdtempSync(join(root, "evil-"));
    writeFileSync(join(base, "outside"), "");
    mkdirSync(join(base, "d"));
    async function* tar() {
      yield* entries;
      yield endOfArchive;
    }
    const unpack = unpackCopy(tar(), { directory: join(base, "d"), name: "r" }, { owners: false });
    await expect(unpack).rejects.toThrow("invalid archive");
    expect(existsSync(join(base, "evil"))).toBe(false);
    expect(existsSync(join(base, "d", "evil"))).toBe(false);
  });
});
