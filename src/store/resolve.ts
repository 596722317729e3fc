/** Paths inside a root. */
import { lstatSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { InvalidParameter, NotFound } from "../lib/errors.ts";

/** The kernel's own limit (path_resolution(7)). */
const maxLinks = 40;

/**
 * The absolute path that `path` leads to below `root`, as a process whose root is `root` would see it: links
 * (the last component's and dangling ones too) and `..` never lead out. Missing components are kept as they stand.
 * The tree may change after the answer: who writes into a tree that others write to opens by `openInRoot` instead.
 * @throws InvalidParameter when links go in circles, NotFound when a file is used as a directory
 */
export function resolveInRoot(root: string, path: string): string {
  const pending = path.split("/").reverse();
  let done: string[] = [];
  let links = 0;
  while (pending.length > 0) {
    const part = pending.pop()!;
    if (part === "" || part === ".") continue;
    if (part === "..") {
      done.pop();
      continue;
    }
    const here = join(root, ...done, part);
    if (!isLink(here, path)) {
      done.push(part);
      continue;
    }
    if (++links > maxLinks) throw new InvalidParameter(`invalid path ${path}: too many levels of links`);
    const target = readlinkSync(here);
    if (target.startsWith("/")) done = [];
    pending.push(...target.split("/").reverse());
  }
  return join(root, ...done);
}

function isLink(here: string, asked: string): boolean {
  try {
    return lstatSync(here, { throwIfNoEntry: false })?.isSymbolicLink() ?? false;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOTDIR") throw new NotFound(`${asked}: not a directory`);
    throw error;
  }
}
