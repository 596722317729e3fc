import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import fc from "fast-check";
import { IgnoreRules } from "../../lib/ignore.ts";
import { type CopyOptions, copySelections } from "./copy.ts";
import { resolveInside } from "./inside.ts";
import { type SourceRequest, selectSources } from "./sources.ts";
import { SourceTree } from "./tree.ts";

let base: string;
let context: string;
let root: string;
beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), "gantry-copy-"));
  context = join(base, "context");
  root = join(base, "root");
  mkdirSync(context);
  mkdirSync(root);
  writeFileSync(join(base, "outside"), "secret");
});
afterEach(() => rmSync(base, { recursive: true, force: true }));

/** Files with content; `@target` makes a link; a slash at the end a directory. */
function fill(directory: string, files: Record<string, string>) {
  for (const [name, content] of Object.entries(files)) {
    const path = join(directory, name);
    if (name.endsWith("/")) mkdirSync(path, { recursive: true });
    else {
      mkdirSync(dirname(path), { recursive: true });
      if (content.startsWith("@")) symlinkSync(content.slice(1), path);
      else writeFileSync(path, content);
    }
  }
}
const range = { file: "Dockerfile", line: 2, endLine: 2, source: "COPY ..." };
const select = (sources: string[], ignore = IgnoreRules.none, exclude: string[] = []) =>
  selectSources(new SourceTree(context, ignore), {
    sources,
    exclude,
    keyword: "COPY",
    fromContext: true,
    range,
  });
async function copy(
  sources: string[],
  destination: string,
  options: Partial<CopyOptions> = {},
  ignore?: IgnoreRules,
) {
  const owner = { uid: 0, gid: 0 };
  await copySelections(context, await select(sources, ignore), [], root, { destination, owner, ...options });
}
const read = (path: string) => readFileSync(join(root, path), "utf8");

describe("where files go", () => {
  test.each<[string[], string, string[]]>([
    [["a"], "/x", ["x"]],
    [["a"], "/x/", ["x/a"]],
    [["a"], "/there", ["there/a"]],
    [["a", "b"], "/x/", ["x/a", "x/b"]],
    [["d"], "/x", ["x/f", "x/e/g"]],
    [["d/"], "/x/", ["x/f", "x/e/g"]],
    [["d/e"], "/", ["g"]],
    [["."], "/x", ["x/a", "x/b", "x/d/f", "x/d/e/g"]],
    [["*"], "/x/", ["x/a", "x/b", "x/f", "x/e/g"]],
    [["d/*"], "/x/", ["x/f", "x/g"]],
    [["?"], "/x/", ["x/a", "x/b"]],
    [["a", "none*"], "/x/", ["x/a"]],
    [["/a"], "/x", ["x"]],
    [["d/../a"], "/x", ["x"]],
    [["a"], "/link/y", ["target/y"]],
  ])("COPY %p %p", async (sources, destination, expected) => {
    fill(context, { a: "A", b: "B", "d/f": "F", "d/e/g": "G" });
    fill(root, { "there/": "", "target/": "", link: "@/target" });
    await copy(sources, destination);
    for (const path of expected) expect(lstatSync(join(root, path)).isFile()).toBe(true);
  });

  test("a file replaces a file and a link, a directory merges into one", async () => {
    fill(context, { "d/f": "new", "d/l": "@f" });
    fill(root, { "x/f": "@/etc/passwd", "x/kept": "k", "x/l": "file" });
    await copy(["d"], "/x");
    expect([read("x/f"), read("x/kept"), readlinkSync(join(root, "x/l"))]).toEqual(["new", "k", "f"]);
  });

  test.each([
    ["d", { "x/f/": "" }, "a directory is there"],
    ["d", { "x/e": "@/etc" }, "cannot copy to non-directory: e"],
    ["d", { x: "file" }, "cannot copy to non-directory: /x"],
  ] as const)("COPY %p onto %p is refused", async (source, there, message) => {
    fill(context, { "d/f": "F", "d/e/g": "G" });
    fill(root, there as Record<string, string>);
    expect(copy([source], "/x")).rejects.toThrow(message);
  });
});

test("modes, times, owner and links are kept", async () => {
  fill(context, { "d/f": "F", "d/s/": "", "d/l": "@/etc/passwd" });
  chmodSync(join(context, "d/f"), 0o4711);
  chmodSync(join(context, "d/s"), 0o2770);
  utimesSync(join(context, "d/f"), 1000, 2000);
  utimesSync(join(context, "d/s"), 1000, 3000);
  await copy(["d"], "/x", { owner: { uid: 7, gid: 8 } });
  const of = (path: string) => lstatSync(join(root, path));
  expect([of("x/f").mode & 0o7777, of("x/s").mode & 0o7777]).toEqual([0o4711, 0o2770]);
  expect([of("x/f").mtime.getTime(), of("x/s").mtime.getTime()]).toEqual([2000e3, 3000e3]);
  expect(["x", "x/f", "x/s", "x/l"].map((path) => [of(path).uid, of(path).gid])).toEqual(
    Array(4).fill([7, 8]),
  );
  expect(readlinkSync(join(root, "x/l"))).toBe("/etc/passwd");
});

test("inline files", async () => {
  const inline = [
    { name: "a", content: "1" },
    { name: "b", content: "2" },
  ];
  await copySelections("", [], inline, root, { destination: "/d/", owner: { uid: 1, gid: 2 } });
  expect([read("d/a"), read("d/b"), statSync(join(root, "d/b")).gid]).toEqual(["1", "2", 2]);
});

describe("sources", () => {
  test("the ignored are not there, what is taken back in is, with its parents", async () => {
    fill(context, { "a/x": "1", "a/keep/y": "2", "a/keep/z.md": "3", b: "4" });
    await copy(["."], "/", {}, IgnoreRules.parse("a\n!a/keep\n**/*.md"));
    expect(["a/keep/y", "b"].map((path) => existsSync(join(root, path)))).toEqual([true, true]);
    expect(["a/x", "a/keep/z.md"].map((path) => existsSync(join(root, path)))).toEqual([false, false]);
  });
  test("--exclude counts from the source", async () => {
    fill(context, { "d/a.md": "", "d/e/b.md": "", "d/c": "" });
    const [selection] = await select(["d"], IgnoreRules.none, ["**/*.md"]);
    expect(selection!.entries.map(({ target }) => target)).toEqual(["", "c", "e"]);
  });
  test.each([
    [
      ["none"],
      "COPY failed: file not found in build context or excluded by .dockerignore: stat none: file does not exist",
    ],
    [["aap"], "did you mean app?"],
    [["app", "hidden"], "the path matches a pattern of .dockerignore"],
    [["../outside"], "COPY failed: forbidden path outside the build context: ../outside ()"],
    [["app/x"], "stat app/x: file does not exist"],
    [["loop"], "stat loop: file does not exist"],
    [["a["], "syntax error in pattern"],
  ])("%p", async (sources, message) => {
    fill(context, { app: "", hidden: "", loop: "@loop" });
    expect(select(sources, IgnoreRules.parse("hidden"))).rejects.toThrow(message);
    expect(select(sources, IgnoreRules.parse("hidden"))).rejects.toThrow("\nDockerfile:2: COPY ...");
  });
  test("links never lead out of the context", async () => {
    fill(context, { up: "@../outside", abs: `@${base}/outside`, dir: "@..", "inner/f": "F", ok: "@inner" });
    for (const source of ["up", "abs", "dir/outside"])
      expect(select([source])).rejects.toThrow("does not exist");
    await copy(["ok"], "/x");
    expect(read("x/f")).toBe("F");
  });
});

describe("the digest", () => {
  const digest = async (sources = ["."], owners = false) => {
    const tree = new SourceTree(context);
    const request: SourceRequest = { sources, exclude: [], keyword: "COPY", fromContext: true, range };
    return tree.digest(await selectSources(tree, request), { owners });
  };
  test("sees content, names, modes and links, and no times", async () => {
    fill(context, { a: "A", "d/f": "F", l: "@a" });
    const seen = [await digest()];
    utimesSync(join(context, "a"), 1, 1);
    expect(await digest()).toBe(seen[0]!);
    const changes = [
      () => writeFileSync(join(context, "a"), "B"),
      () => chmodSync(join(context, "a"), 0o600),
      () => fill(context, { "d/g": "" }),
      () => rmSync(join(context, "l")),
      () => fill(context, { l: "@d" }),
    ];
    for (const change of changes) {
      change();
      const next = await digest();
      expect(seen).not.toContain(next);
      seen.push(next);
    }
  });
  test("large files count to their last byte", async () => {
    const big = Buffer.alloc(9 * 1024 * 1024, 1);
    writeFileSync(join(context, "big"), big);
    const first = await digest();
    expect(await digest()).toBe(first);
    big[big.length - 1] = 2;
    writeFileSync(join(context, "big"), big);
    expect(await digest()).not.toBe(first);
  });
});

test("whatever links there are, a resolved path is below the root and no link", () => {
  const name = fc.constantFrom("a", "b", "c");
  const target = fc
    .array(fc.constantFrom("a", "b", "c", "..", ".", ""), { minLength: 1, maxLength: 5 })
    .map((p) => p.join("/") || ".");
  const links = fc.array(fc.tuple(name, name, target), { maxLength: 6 });
  fc.assert(
    fc.property(links, target, (links, path) => {
      rmSync(root, { recursive: true, force: true });
      for (const directory of ["a", "b"]) mkdirSync(join(root, directory), { recursive: true });
      for (const [directory, file, to] of links) {
        const at = join(root, directory, file);
        if (directory !== "c" && !lstatSync(at, { throwIfNoEntry: false })) symlinkSync(to, at);
      }
      const real = resolveInside(root, path);
      if (real === undefined || real === "") return;
      const parts = real.split("/");
      expect(parts).not.toContain("..");
      for (let n = 1; n <= parts.length; n++) {
        const stat = lstatSync(join(root, ...parts.slice(0, n)), { throwIfNoEntry: false });
        expect(stat?.isSymbolicLink() ?? false).toBe(false);
      }
    }),
    { numRuns: 300 },
  );
});
