/** What is mounted where, as this process sees it: proc(5), /proc/self/mountinfo. */
import { readFileSync } from "node:fs";

export interface MountInfo {
  mountpoint: string;
  /** Mounts below it appear in its peers too. */
  shared: boolean;
  /** What its master gets, it gets too. */
  slave: boolean;
}

/** The mount that holds `path`, which is absolute and without links. */
export function mountOf(path: string, mountinfo = readFileSync("/proc/self/mountinfo", "utf8")): MountInfo {
  let found: MountInfo = { mountpoint: "/", shared: false, slave: false };
  for (const line of mountinfo.split("\n")) {
    const [mount = "", type] = line.split(" - ");
    const [, , , , escaped, , ...optional] = mount.split(" ");
    if (type === undefined || escaped === undefined) continue;
    const mountpoint = escaped.replace(/\\([0-7]{3})/g, (_, code) => String.fromCharCode(parseInt(code, 8)));
    const holds = mountpoint === "/" || path === mountpoint || path.startsWith(`${mountpoint}/`);
    // Of several at one place the last covers the others.
    if (!holds || mountpoint.length < found.mountpoint.length) continue;
    found = {
      mountpoint,
      shared: optional.some((field) => field.startsWith("shared:")),
      slave: optional.some((field) => field.startsWith("master:")),
    };
  }
  return found;
}
