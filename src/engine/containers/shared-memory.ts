import { mkdirSync } from "node:fs";
import { MS_NODEV, MS_NOEXEC, MS_NOSUID, mount } from "../../linux/mount.ts";

/** The /dev/shm that a container shares. @param size bytes @param owner host ids */
export function mountSharedMemory(path: string, size: number, owner = { uid: 0, gid: 0 }): void {
  mkdirSync(path, { mode: 0o700 });
  const data = `mode=1777,size=${size},uid=${owner.uid},gid=${owner.gid}`;
  mount("shm", path, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, data);
}
