/** Device nodes of the host, as `--device` and `--privileged` hand them to a container. */
import { lstatSync, readdirSync, type Stats, statSync } from "node:fs";
import type { DeviceSpec } from "./types.ts";

/** Directories and nodes of /dev that belong to the host's own session. */
const skipped = new Set(["pts", "shm", "fd", "mqueue", ".lxc", ".lxd-mounts", ".udev", "console"]);

/**
 * The device behind `source` (symlinks are followed) as `target` in a container.
 * @param access cgroup access, e.g. `rwm`
 * @returns undefined when there is nothing at `source` or it's no device
 */
export function deviceAt(source: string, target: string, access: string): DeviceSpec | undefined {
  const stat = statSync(source, { throwIfNoEntry: false });
  return stat && describe(stat, target, access);
}

/** Every device node below /dev. */
export function hostDevices(root = "/dev"): DeviceSpec[] {
  return readdirSync(root, { withFileTypes: true }).flatMap((entry) => {
    const path = `${root}/${entry.name}`;
    if (skipped.has(entry.name)) return [];
    if (entry.isDirectory()) return hostDevices(path);
    if (!entry.isCharacterDevice() && !entry.isBlockDevice()) return [];
    const stat = lstatSync(path, { throwIfNoEntry: false });
    return (stat && describe(stat, path, "rwm")) ?? [];
  });
}

function describe(stat: Stats, path: string, access: string): DeviceSpec | undefined {
  const type = stat.isCharacterDevice() ? "c" : stat.isBlockDevice() ? "b" : stat.isFIFO() ? "p" : undefined;
  if (!type) return undefined;
  // makedev(3) of glibc: 12 bits of the major and 8 of the minor are low, the rest above them.
  const low = stat.rdev % 2 ** 32;
  const high = Math.floor(stat.rdev / 2 ** 32);
  return {
    path,
    type,
    major: ((low >>> 8) & 0xfff) + (high & ~0xfff),
    minor: (low & 0xff) + ((low >>> 12) & 0xfff00),
    fileMode: stat.mode & 0o7777,
    uid: stat.uid,
    gid: stat.gid,
    access,
  };
}
