/**
 * Control groups, v1 and v2 behind one shape: where they are mounted, who is in one, freezing, removal.
 * Paths such as `/gantry/<id>` count from the root of every hierarchy.
 */
import { readdirSync, readFileSync, rmdirSync, statSync, writeFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { constants } from "node:os";
import { Errno } from "./libc.ts";
import { openPidfd } from "./process.ts";

export interface CgroupLayout {
  version: 1 | 2;
  /** v1: mount point of each controller (and of named hierarchies as `name=systemd`). Empty on v2. */
  controllers: ReadonlyMap<string, string>;
  /** Where cgroup2 is mounted: the only hierarchy of v2, beside the others in the hybrid layout. */
  unified?: string;
}

/** @throws an errno error when /proc is not there */
export function readCgroupLayout(mountinfo = readFileSync("/proc/self/mountinfo", "utf8")): CgroupLayout {
  const controllers = new Map<string, string>();
  let unified: string | undefined;
  for (const line of mountinfo.split("\n")) {
    // proc(5): id parent dev root mountpoint options [optional fields] - type source super-options
    const [mount, filesystem] = line.split(" - ");
    const mountPoint = mount?.split(" ")[4];
    const [type, , superOptions] = filesystem?.split(" ") ?? [];
    if (!mountPoint) continue;
    if (type === "cgroup2") unified ??= mountPoint;
    if (type !== "cgroup") continue;
    for (const option of superOptions?.split(",") ?? []) {
      if (!["rw", "ro", "xattr", "noprefix", "clone_children"].includes(option))
        controllers.set(option, mountPoint);
    }
  }
  return { version: controllers.size > 0 ? 1 : 2, controllers, unified };
}

/** A group's directory for one controller; undefined when the controller isn't mounted. */
export function cgroupDirectory(layout: CgroupLayout, controller: string, path: string): string | undefined {
  const root = layout.version === 2 ? layout.unified : layout.controllers.get(controller);
  return root === undefined ? undefined : root + path;
}

/** A group's directories in every hierarchy. */
export function cgroupDirectories(layout: CgroupLayout, path: string): string[] {
  const roots = new Set(layout.controllers.values());
  if (layout.unified) roots.add(layout.unified);
  return [...roots].map((root) => root + path);
}

/** Text of a control file, trimmed; undefined when it or its group is gone. */
export function readCgroupFile(directory: string | undefined, name: string): string | undefined {
  if (directory === undefined) return undefined;
  try {
    return readFileSync(`${directory}/${name}`, "utf8").trimEnd();
  } catch {
    return undefined;
  }
}

/** Host pids in the group and all groups below it; none when it's gone. */
export function cgroupPids(layout: CgroupLayout, path: string): number[] {
  const directory = ["pids", "memory", "devices", "freezer", "cpu"]
    .map((controller) => cgroupDirectory(layout, controller, path))
    .find((candidate) => candidate !== undefined);
  return directory === undefined ? [] : pidsBelow(directory);
}

function pidsBelow(directory: string): number[] {
  const own = readCgroupFile(directory, "cgroup.procs");
  if (own === undefined) return [];
  const below = childGroups(directory).flatMap((name) => pidsBelow(`${directory}/${name}`));
  return [...(own === "" ? [] : own.split("\n").map(Number)), ...below];
}

function childGroups(directory: string): string[] {
  try {
    // Two links mean no subdirectory, which spares listing some forty control files.
    if (statSync(directory).nlink <= 2) return [];
    return readdirSync(directory, { withFileTypes: true }).flatMap((entry) =>
      entry.isDirectory() ? [entry.name] : [],
    );
  } catch {
    return [];
  }
}

/** Signals every process of the group that is there now. @throws Errno */
export function signalCgroup(layout: CgroupLayout, path: string, signal: number): void {
  for (const pid of cgroupPids(layout, path)) {
    using pidfd = openPidfd(pid);
    // Asked again now that the descriptor pins the pid: it may have been another's by then.
    if (pidfd && cgroupPids(layout, path).includes(pid)) pidfd.signal(signal);
  }
}

/** Between two looks at a group that is freezing, and how long that goes on; milliseconds. */
const freezerPace = 2;
const freezerPatience = 10_000;
/** A group of version 1 that is not frozen by then is thawed for a moment. */
const stuckAfter = 200;

/**
 * Stops or continues every process of the group, and returns when the kernel has done so.
 * @throws Errno ENOENT when the group is gone, ETIMEDOUT when a process can't be frozen within 10 s
 */
export async function freezeCgroup(layout: CgroupLayout, path: string, frozen: boolean): Promise<void> {
  const directory = cgroupDirectory(layout, "freezer", path);
  if (directory === undefined) throw new Errno(constants.errno.ENOENT, "freeze", path);
  const { order, reached } = layout.version === 1 ? freezerV1(directory) : freezerV2(directory);
  order(frozen);
  for (let waited = freezerPace; !reached(frozen); waited += freezerPace) {
    if (waited > freezerPatience) throw new Errno(constants.errno.ETIMEDOUT, "freeze", path);
    // A process that forks or comes in while version 1 freezes can keep it on its way for ever.
    if (frozen && layout.version === 1 && waited % stuckAfter === 0) {
      order(false);
      order(true);
    }
    await Bun.sleep(freezerPace);
  }
}

interface Freezer {
  order(frozen: boolean): void;
  reached(frozen: boolean): boolean;
}

function freezerV1(directory: string): Freezer {
  const word = (frozen: boolean) => (frozen ? "FROZEN" : "THAWED");
  return {
    order: (frozen) => writeFileSync(`${directory}/freezer.state`, word(frozen)),
    reached: (frozen) => readCgroupFile(directory, "freezer.state") === word(frozen),
  };
}

function freezerV2(directory: string): Freezer {
  const word = (frozen: boolean) => (frozen ? "1" : "0");
  return {
    order: (frozen) => writeFileSync(`${directory}/cgroup.freeze`, word(frozen)),
    reached: (frozen) =>
      readCgroupFile(directory, "cgroup.events")?.includes(`frozen ${word(frozen)}`) ?? false,
  };
}

/** True while any process of the group is frozen or on its way to be. */
export function isFrozen(layout: CgroupLayout, path: string): boolean {
  const directory = cgroupDirectory(layout, "freezer", path);
  if (layout.version === 2) return readCgroupFile(directory, "cgroup.freeze") === "1";
  const state = readCgroupFile(directory, "freezer.state");
  return state !== undefined && state !== "THAWED";
}

/**
 * Removes the group in every hierarchy with all groups below it. A group that isn't there is no error.
 * @throws Errno EBUSY when processes are still in it after 2 s
 */
export async function removeCgroup(layout: CgroupLayout, path: string): Promise<void> {
  for (const directory of cgroupDirectories(layout, path)) {
    // The kernel says EBUSY for a moment after the last process has gone.
    for (let waited = 0; !removeTree(directory); waited += 5) {
      if (waited > 2000) throw new Errno(constants.errno.EBUSY, "rmdir", directory);
      await Bun.sleep(5);
    }
  }
}

function removeTree(directory: string): boolean {
  if (tryRemove(directory)) return true;
  for (const name of childGroups(directory)) removeTree(`${directory}/${name}`);
  return tryRemove(directory);
}

function tryRemove(directory: string): boolean {
  try {
    rmdirSync(directory);
    return true;
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === "ENOENT") return true;
    if (code === "EBUSY" || code === "ENOTEMPTY") return false;
    throw error;
  }
}

/**
 * Tells the kernel that a process is about to enter a cgroup. The first to do so after a rest waits for an RCU grace
 * period (5 to 20 ms, in percpu_down_write of cgroup_threadgroup_rwsem); here a move of this process to where it is
 * waits for it, on another thread and while the caller does the rest. Nothing depends on its success.
 */
export function expectEntry(layout: CgroupLayout): void {
  const procs = ownProcsFile(layout);
  if (procs) writeFile(procs, String(process.pid)).catch(() => {});
}

function ownProcsFile(layout: CgroupLayout): string | undefined {
  const groups = readFileSync("/proc/self/cgroup", "utf8").trimEnd().split("\n");
  for (const line of groups) {
    // cgroups(7): hierarchy, controllers, path.
    const [, controllers = "", path] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    const root = controllers === "" ? layout.unified : layout.controllers.get(controllers.split(",")[0]!);
    if (root !== undefined && path !== undefined) return `${root}${path}/cgroup.procs`;
  }
  return undefined;
}
