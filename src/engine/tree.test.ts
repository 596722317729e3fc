import { expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { entriesBelow } from "./tree.ts";

test("links are told and not followed", async () => {
  const root = mkdtempSync(join(tmpdir(), "gantry-tree-"));
  try {
    mkdirSync(join(root, "in/deep"), { recursive: true });
    writeFileSync(join(root, "in/deep/file"), "");
    symlinkSync("/etc", join(root, "out"));
    symlinkSync(".", join(root, "in/loop"));
    const found: string[] = [];
    for await (const entry of entriesBelow(root))
      found.push(join(entry.parentPath, entry.name).slice(root.length + 1));
    expect(found.sort()).toEqual(["in", "in/deep", "in/deep/file", "in/loop", "out"]);
  } finally {
    rmSync(root, { recursive: true });
  }
});
