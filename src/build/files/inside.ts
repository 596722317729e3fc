/**
 * Paths resolved inside a root, as chroot would: links are followed against the root and `..` stops at it. For
 * trees that no other process changes meanwhile (a build's own context and mounts).
 */
import { chmodSync, lchownSync, lstatSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { followInRoot } from "../../store/index.ts";

export interface Owner {
  uid: number;
  gid: number;
}

/**
 * The path below `root` (no leading slash, `""` for root itself) that `path` leads to, all links followed. The
 * missing rest of a path is taken as it stands; undefined: a file is used as a directory, or links go in circles.
 */
export function resolveInside(root: string, path: string): string | undefined {
  const found = followInRoot(root, path);
  return "path" in found ? found.path : undefined;
}

/**
 * Makes `path` below `root` a directory, creating what is missing with this owner and mode.
 * @returns its resolved path below root and whether it is new; undefined when a file is in the way
 */
export function makeDirectory(
  root: string,
  path: string,
  { owner, mode = 0o755 }: { owner: Owner; mode?: number },
): { path: string; created: boolean } | undefined {
  const real = resolveInside(root, path);
  if (real === undefined) return undefined;
  let at = root;
  let created = false;
  for (const part of real.split("/").filter(Boolean)) {
    at = join(at, part);
    const stat = lstatSync(at, { throwIfNoEntry: false });
    if (stat && !stat.isDirectory()) return undefined;
    if (stat) continue;
    mkdirSync(at);
    lchownSync(at, owner.uid, owner.gid);
    chmodSync(at, mode);
    created = true;
  }
  return { path: real, created };
}
