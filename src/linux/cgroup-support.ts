/** Which limits of control groups this kernel knows: they come and go with its version, configuration and boot line. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { type CgroupLayout, readCgroupFile } from "./cgroup.ts";

/** True: a group has the file that the limit is written to. */
export interface CgroupSupport {
  memory: boolean;
  swap: boolean;
  memoryReservation: boolean;
  memorySwappiness: boolean;
  oomKillDisable: boolean;
  kernelMemoryTcp: boolean;
  cpuShares: boolean;
  cpuCfs: boolean;
  cpuRealtime: boolean;
  cpuset: boolean;
  pids: boolean;
  blkioWeight: boolean;
  blkioWeightDevice: boolean;
  blkioReadBps: boolean;
  blkioWriteBps: boolean;
  blkioReadIops: boolean;
  blkioWriteIops: boolean;
}

/** Sources: Linux, admin-guide/cgroup-v1 and admin-guide/cgroup-v2.rst. */
export function readCgroupSupport(layout: CgroupLayout): CgroupSupport {
  return layout.version === 1 ? ofV1(layout) : ofV2(layout);
}

function ofV1({ controllers }: CgroupLayout): CgroupSupport {
  const has = (controller: string, ...files: string[]) =>
    files.some((file) => existsSync(`${controllers.get(controller)}/${file}`));
  return {
    memory: has("memory", "memory.limit_in_bytes"),
    swap: has("memory", "memory.memsw.limit_in_bytes"),
    memoryReservation: has("memory", "memory.soft_limit_in_bytes"),
    memorySwappiness: has("memory", "memory.swappiness"),
    oomKillDisable: has("memory", "memory.oom_control"),
    kernelMemoryTcp: has("memory", "memory.kmem.tcp.limit_in_bytes"),
    cpuShares: has("cpu", "cpu.shares"),
    cpuCfs: has("cpu", "cpu.cfs_quota_us"),
    cpuRealtime: has("cpu", "cpu.rt_period_us"),
    cpuset: controllers.has("cpuset"),
    pids: controllers.has("pids"),
    blkioWeight: has("blkio", "blkio.weight", "blkio.bfq.weight"),
    blkioWeightDevice: has("blkio", "blkio.weight_device", "blkio.bfq.weight_device"),
    blkioReadBps: has("blkio", "blkio.throttle.read_bps_device"),
    blkioWriteBps: has("blkio", "blkio.throttle.write_bps_device"),
    blkioReadIops: has("blkio", "blkio.throttle.read_iops_device"),
    blkioWriteIops: has("blkio", "blkio.throttle.write_iops_device"),
  };
}

function ofV2({ unified }: CgroupLayout): CgroupSupport {
  const enabled = readCgroupFile(unified, "cgroup.controllers")?.split(" ") ?? [];
  const groups = unified === undefined ? [] : exampleGroups(unified);
  /** The root has no limits, so groups below it tell; without any that has the controller on, its usual files count. */
  const has = (controller: string, sign: string, ...files: string[]) => {
    if (!enabled.includes(controller)) return false;
    const telling = groups.filter((group) => existsSync(`${group}/${sign}`));
    return (
      telling.length === 0 || telling.some((group) => files.some((file) => existsSync(`${group}/${file}`)))
    );
  };
  const io = (...files: string[]) => has("io", "io.stat", ...files);
  const throttle = io("io.max");
  const weight = io("io.weight", "io.bfq.weight");
  return {
    memory: enabled.includes("memory"),
    swap: has("memory", "memory.max", "memory.swap.max"),
    memoryReservation: enabled.includes("memory"),
    memorySwappiness: false,
    oomKillDisable: false,
    kernelMemoryTcp: false,
    cpuShares: enabled.includes("cpu"),
    cpuCfs: has("cpu", "cpu.weight", "cpu.max"),
    cpuRealtime: false,
    cpuset: enabled.includes("cpuset"),
    pids: enabled.includes("pids"),
    blkioWeight: weight,
    blkioWeightDevice: weight,
    blkioReadBps: throttle,
    blkioWriteBps: throttle,
    blkioReadIops: throttle,
    blkioWriteIops: throttle,
  };
}

/** Our own group, and those right below the root. */
function exampleGroups(root: string): string[] {
  const own = /^0::(\/.+)$/m.exec(readFileSync("/proc/self/cgroup", "utf8"))?.[1];
  const below = readdirSync(root, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  return [...(own === undefined ? [] : [root + own]), ...below.map(({ name }) => `${root}/${name}`)];
}
