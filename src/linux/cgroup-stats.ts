/** What a control group has used: the kernel's files of v1 and v2 read into one shape. */
import { type CgroupLayout, cgroupDirectory, readCgroupFile } from "./cgroup.ts";

export interface DeviceCount {
  major: number;
  minor: number;
  operation: string;
  value: number;
}

export interface CgroupFigures {
  /** Nanoseconds. */
  cpuTotal: number;
  cpuUser: number;
  cpuKernel: number;
  /** Nanoseconds on each processor; undefined: the kernel doesn't tell (version 2). */
  cpuEach?: number[];
  /** Of the CPU quota: how many there were, and in how many the group had to wait. */
  periods: number;
  throttledPeriods: number;
  throttledTime: number;
  /** Bytes; a limit of Infinity is none. */
  memoryUsage: number;
  memoryLimit: number;
  /** The most that was used at once; undefined where the kernel doesn't keep it. */
  memoryPeak?: number;
  memoryCache: number;
  memoryStat: Record<string, number>;
  pids: number;
  pidsLimit: number;
  /** Bytes, and operations, of each block device by kind (`Read`, `Write`, `Sync`; v2: `read`, `write`). */
  ioBytes: DeviceCount[];
  ioOperations: DeviceCount[];
  oomKills: number;
}

const nanosecondsPerTick = 10_000_000; // USER_HZ is 100 on every architecture that runs containers

/** `name value` lines, as of memory.stat and cpu.stat. */
export function parseFlatKeyed(text: string | undefined): Record<string, number> {
  const values: Record<string, number> = {};
  for (const line of text?.split("\n") ?? []) {
    const [name, value] = line.split(" ");
    if (name && value !== undefined) values[name] = Number(value);
  }
  return values;
}

/** A single number; `max` and v1's page-rounded "no limit" (2^63) are Infinity; absent is `otherwise`. */
function number(text: string | undefined, otherwise: number): number {
  if (text === undefined || text === "") return otherwise;
  const value = text === "max" ? Number.POSITIVE_INFINITY : Number(text);
  return value >= 2 ** 62 ? Number.POSITIVE_INFINITY : value;
}

const maybeNumber = (text: string | undefined): number | undefined =>
  text === undefined ? undefined : number(text, 0);

/** io.stat: `8:0 rbytes=1 wbytes=2 rios=3 ...` for each device. */
function v2Counts(text: string | undefined, kinds: Record<string, string>): DeviceCount[] {
  return [...(text ?? "").matchAll(/^(\d+):(\d+) (.*)$/gm)].flatMap(([, major, minor, fields]) => {
    const values = new Map(fields!.split(" ").map((field) => field.split("=") as [string, string]));
    return Object.entries(kinds).map(([key, operation]) => ({
      major: Number(major),
      minor: Number(minor),
      operation,
      value: Number(values.get(key) ?? 0),
    }));
  });
}

/** `8:0 Read 4096` for each device and kind. */
function v1Counts(text: string | undefined): DeviceCount[] {
  return [...(text ?? "").matchAll(/^(\d+):(\d+) (\w+) (\d+)$/gm)].map(
    ([, major, minor, operation, value]) => ({
      major: Number(major),
      minor: Number(minor),
      operation: operation!,
      value: Number(value),
    }),
  );
}

/** undefined when the group is gone. */
export function readCgroupFigures(layout: CgroupLayout, path: string): CgroupFigures | undefined {
  return layout.version === 2 ? readV2(layout, path) : readV1(layout, path);
}

function readV2(layout: CgroupLayout, path: string): CgroupFigures | undefined {
  const directory = cgroupDirectory(layout, "", path);
  const cpuText = readCgroupFile(directory, "cpu.stat");
  if (cpuText === undefined) return undefined;
  const file = (name: string) => readCgroupFile(directory, name);
  const cpu = parseFlatKeyed(cpuText);
  const memoryStat = parseFlatKeyed(file("memory.stat"));
  const io = file("io.stat");
  return {
    cpuTotal: (cpu.usage_usec ?? 0) * 1000,
    cpuUser: (cpu.user_usec ?? 0) * 1000,
    cpuKernel: (cpu.system_usec ?? 0) * 1000,
    periods: cpu.nr_periods ?? 0,
    throttledPeriods: cpu.nr_throttled ?? 0,
    throttledTime: (cpu.throttled_usec ?? 0) * 1000,
    memoryUsage: number(file("memory.current"), 0),
    memoryLimit: number(file("memory.max"), Number.POSITIVE_INFINITY),
    memoryPeak: maybeNumber(file("memory.peak")),
    memoryCache: memoryStat.inactive_file ?? 0,
    memoryStat,
    pids: number(file("pids.current"), 0),
    pidsLimit: number(file("pids.max"), Number.POSITIVE_INFINITY),
    ioBytes: v2Counts(io, { rbytes: "read", wbytes: "write" }),
    ioOperations: v2Counts(io, { rios: "read", wios: "write" }),
    oomKills: parseFlatKeyed(file("memory.events")).oom_kill ?? 0,
  };
}

function readV1(layout: CgroupLayout, path: string): CgroupFigures | undefined {
  const file = (controller: string, name: string) =>
    readCgroupFile(cgroupDirectory(layout, controller, path), name);
  const usage = file("cpuacct", "cpuacct.usage") ?? file("memory", "memory.usage_in_bytes");
  if (usage === undefined) return undefined;
  const cpu = parseFlatKeyed(file("cpuacct", "cpuacct.stat"));
  const throttling = parseFlatKeyed(file("cpu", "cpu.stat"));
  const memoryStat = parseFlatKeyed(file("memory", "memory.stat"));
  return {
    cpuTotal: number(file("cpuacct", "cpuacct.usage"), 0),
    cpuEach: (file("cpuacct", "cpuacct.usage_percpu") ?? "").split(" ").filter(Boolean).map(Number),
    cpuUser: (cpu.user ?? 0) * nanosecondsPerTick,
    cpuKernel: (cpu.system ?? 0) * nanosecondsPerTick,
    periods: throttling.nr_periods ?? 0,
    throttledPeriods: throttling.nr_throttled ?? 0,
    throttledTime: throttling.throttled_time ?? 0,
    memoryUsage: number(file("memory", "memory.usage_in_bytes"), 0),
    memoryLimit: number(file("memory", "memory.limit_in_bytes"), Number.POSITIVE_INFINITY),
    memoryPeak: maybeNumber(file("memory", "memory.max_usage_in_bytes")),
    memoryCache: memoryStat.total_inactive_file ?? memoryStat.total_cache ?? 0,
    memoryStat,
    pids: number(file("pids", "pids.current"), 0),
    pidsLimit: number(file("pids", "pids.max"), Number.POSITIVE_INFINITY),
    // BFQ's own files are empty unless BFQ schedules the disk.
    ioBytes: v1Counts(file("blkio", "blkio.throttle.io_service_bytes_recursive")),
    ioOperations: v1Counts(file("blkio", "blkio.throttle.io_serviced_recursive")),
    oomKills: parseFlatKeyed(file("memory", "memory.oom_control")).oom_kill ?? 0,
  };
}
