/**
 * Mount points leave no trace: the runtime creates what is missing below a step's root, and that must not become
 * part of its layer.
 */
import { lstatSync, readdirSync, rmdirSync, type Stats, unlinkSync } from "node:fs";
import { join } from "node:path";
import { resolveInside } from "../files/inside.ts";

interface Missing {
  /** Resolved, below the root. */
  path: string;
  /** How many leading components were there. */
  present: number;
  /** Attributes of the components that were there, root first. */
  ancestors: Stats[];
}

/** What the OCI runtime mounts by itself. */
export const runtimeMountPoints = ["/proc", "/dev", "/sys"];

/** Remembers which mount points are missing, before the container starts. */
export function missingMountPoints(root: string, destinations: string[]): Missing[] {
  return destinations.flatMap((destination) => {
    const path = resolveInside(root, destination);
    if (!path) return [];
    const ancestors = [lstatSync(root)];
    const parts = path.split("/");
    for (let n = 1; n <= parts.length; n++) {
      const stat = lstatSync(join(root, ...parts.slice(0, n)), { throwIfNoEntry: false });
      if (!stat) return [{ path, present: n - 1, ancestors }];
      ancestors.push(stat);
    }
    return [];
  });
}

/**
 * Takes the mount points out of a layer after everything is unmounted. One that the step put something into stays;
 * so does a parent directory that the step changed.
 * @param upper - the step's own layer
 */
export function removeMountPoints(upper: string, missing: Missing[]): void {
  // Deepest first, so that one mount point inside another is gone before it.
  for (const { path, present, ancestors } of [...missing].sort((a, b) => b.path.length - a.path.length)) {
    const parts = path.split("/");
    let n = parts.length;
    for (; n > present; n--) {
      if (!removeEmpty(join(upper, ...parts.slice(0, n)))) break;
    }
    if (n > present) continue;
    // Directories above were copied up only to hold the mount point.
    for (; n > 0; n--) {
      const at = join(upper, ...parts.slice(0, n));
      const now = lstatSync(at, { throwIfNoEntry: false });
      const before = ancestors[n]!;
      if (!now?.isDirectory() || now.mode !== before.mode) break;
      if (now.uid !== before.uid || now.gid !== before.gid || !removeEmpty(at)) break;
    }
  }
}

/** Removes an empty file or directory; true when nothing is there any more. */
function removeEmpty(path: string): boolean {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (!stat) return true;
  if (stat.isDirectory()) {
    if (readdirSync(path).length > 0) return false;
    rmdirSync(path);
    return true;
  }
  if (!stat.isFile() || stat.size > 0) return false;
  unlinkSync(path);
  return true;
}
