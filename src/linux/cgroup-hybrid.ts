/**
 * The hybrid layout of control groups: v1 hierarchies beside a cgroup2 that holds what v1 left over. crun
 * refuses to run while any controller is on that cgroup2; mounting the left-overs as v1 clears it.
 */
import { mkdirSync, rmdirSync } from "node:fs";
import { dirname } from "node:path";
import { type CgroupLayout, readCgroupFile } from "./cgroup.ts";
import { Errno } from "./libc.ts";
import { mount } from "./mount.ts";

/** Controllers that are on cgroup2 although v1 is in use. Empty on pure v1 and v2. */
export function strayControllers(layout: CgroupLayout): string[] {
  if (layout.version === 2) return [];
  return readCgroupFile(layout.unified, "cgroup.controllers")?.split(" ").filter(Boolean) ?? [];
}

/**
 * Mounts each stray controller as a v1 hierarchy beside the others. Another process doing the same at the
 * same time is no error, nor is a controller that can't be mounted: the caller looks at what is left.
 */
export function adoptStrayControllers(layout: CgroupLayout): void {
  const beside = layout.controllers.values().next().value;
  if (beside === undefined) return;
  for (const controller of strayControllers(layout)) {
    const target = `${dirname(beside)}/${controller}`;
    try {
      mkdirSync(target, { recursive: true });
      mount("cgroup", target, "cgroup", 0, controller);
    } catch (error) {
      if (!(error instanceof Errno)) throw error;
      // EBUSY: in use on cgroup2 or just mounted by someone else. The directory stays if something is on it.
      try {
        rmdirSync(target);
      } catch {}
    }
  }
}
