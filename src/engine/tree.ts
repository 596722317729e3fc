/** Walks a directory that others write: what a link leads to is not part of it. */
import type { Dirent } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";

/**
 * Every entry below `root`, parents first. Node's own recursive listing follows links to directories, and so out of
 * the tree. What vanishes meanwhile is left out.
 */
export async function* entriesBelow(root: string): AsyncGenerator<Dirent> {
  for (const entry of await readdir(root, { withFileTypes: true }).catch(() => [])) {
    yield entry;
    if (entry.isDirectory()) yield* entriesBelow(join(root, entry.name));
  }
}
