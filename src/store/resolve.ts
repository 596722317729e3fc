/** Paths inside a root. */
import { lstatSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { InvalidParameter, NotFound } from "../lib/errors.ts";

/** The kernel's own limit (path_resolution(7)). */
const maxLinks = 40;

/** Why a path leads nowhere: its links go in circles, or a file is used as a directory. */
export type Unresolvable = "circle" | "file";

/**
 * The path below `root` (no leading slash, `""` for root itself) that `path` leads to, as a process whose root is
 * `root` would see it: links (the last component's and dangling ones too) and `..` never lead out. Missing
 * components are kept as they stand. The tree may change after the answer: who writes into a tree that others
 * write to opens by `openInRoot` instead.
 */
export function followInRoot(root: string, path: string): { path: string } | { problem: Unresolvable } {
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
    const stat = lstatSync(here, { throwIfNoEntry: false });
    if (stat?.isSymbolicLink()) {
      if (++links > maxLinks) return { problem: "circle" };
      const target = readlinkSync(here);
      if (target.startsWith("/")) done = [];
      pending.push(...target.split("/").reverse());
      continue;
    }
    if (stat && !stat.isDirectory() && pending.some((rest) => rest !== "" && rest !== "."))
      return { problem: "file" };
    done.push(part);
  }
  return { path: done.join("/") };
}

/**
 * The absolute path that `path` leads to below `root` (see `followInRoot`).
 * @throws InvalidParameter when links go in circles, NotFound when a file is used as a directory
 */
export function resolveInRoot(root: string, path: string): string {
  const found = followInRoot(root, path);
  if ("path" in found) return join(root, found.path);
  if (found.problem === "file") throw new NotFound(`${path}: not a directory`);
  throw new InvalidParameter(`invalid path ${path}: too many levels of links`);
}
