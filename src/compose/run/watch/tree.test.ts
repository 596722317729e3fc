import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { changesBetween, Watched } from "./tree.ts";

let root: string;
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "gt-watch-"));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

const write = (path: string, text = "") => {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), text);
};

test("what a rule, the build context and editors leave out is not there", () => {
  for (const path of [
    "src/a.ts",
    "src/b.md",
    "src/deep/c.ts",
    "src/x.swp",
    "src/out/d.ts",
    "src/.git/e.ts",
    "src/#f#",
  ])
    write(path);
  write(".dockerignore", "src/deep\n");
  const path = join(root, "src");
  const read = (more: { ignore?: string[]; include?: string[] }, context?: string) =>
    [...new Watched({ path, action: "sync", ...more }, context).read().keys()].join(" ");
  expect(read({})).toBe(" a.ts b.md deep deep/c.ts out out/d.ts");
  expect(read({ ignore: ["out/", "*.md"] }, root)).toBe(" a.ts");
  expect(read({ include: ["**/*.ts"] })).toBe(" a.ts deep deep/c.ts out out/d.ts");
  expect(read({ ignore: ["*", "!a.ts"] })).toBe(" a.ts");
});

test("changes are what is new, different or gone, without what went with its directory", () => {
  const before = new Map(Object.entries({ "": "d", a: "1", b: "1", c: "d", "c/d": "1" }));
  const after = new Map(Object.entries({ "": "d", a: "1", b: "2", e: "d", "e/f": "1" }));
  expect(changesBetween(before, after)).toEqual({ changed: ["b", "e", "e/f"], removed: ["c"] });
  expect(changesBetween(before, new Map())).toEqual({ changed: [], removed: [""] });
});
