/** ContainerSpec as the OCI runtime-spec's config.json, with Docker's defaults. */
import { existsSync, readFileSync } from "node:fs";
import type { IdRange } from "../lib/id-map.ts";
import { type CgroupLayout, cgroupDirectory } from "../linux/cgroup.ts";
import { heldCapabilities } from "../linux/process.ts";
import { hostDevices } from "./devices.ts";
import { ociRlimits } from "./rlimits.ts";
import { type OciSeccomp, ociSeccomp, parseSeccompProfile } from "./seccomp.ts";
import { defaultSeccompProfile } from "./seccomp-default.ts";
import type { ContainerSpec, DeviceSpec, HookSpec, MountSpec, ProcessSpec, ResourceSpec } from "./types.ts";

/** What can't be seen by other processes of the container's host: no names of keys, disks or timers. */
export const defaultMaskedPaths: readonly string[] = [
  "/proc/acpi",
  "/proc/asound",
  "/proc/interrupts",
  "/proc/kcore",
  "/proc/keys",
  "/proc/latency_stats",
  "/proc/sched_debug",
  "/proc/scsi",
  "/proc/timer_list",
  "/proc/timer_stats",
  "/sys/devices/virtual/powercap",
  "/sys/firmware",
];

export const defaultReadonlyPaths: readonly string[] = [
  "/proc/bus",
  "/proc/fs",
  "/proc/irq",
  "/proc/sys",
  "/proc/sysrq-trigger",
];

/** Where `--init` finds its pid 1. */
const initPath = "/sbin/docker-init";
const defaultUmask = 0o022;
const defaultShmSize = 64 * 1024 * 1024;

/** What a spec depends on besides itself. */
export interface SpecHost {
  cgroup: CgroupLayout;
  /** The monitor's executable, which is also the init. */
  monitor: string;
}

/** config.json; typed as far as its parts are touched again. */
export interface OciSpec {
  [field: string]: unknown;
  annotations?: Record<string, string>;
  linux: { [field: string]: unknown; seccomp?: OciSeccomp };
}

/** @throws InvalidParameter for a limit or seccomp profile that can't be applied */
export function ociSpec(spec: ContainerSpec, host: SpecHost): OciSpec {
  const { process, privileged } = spec;
  const args = spec.init ? [initPath, "--", ...process.args] : process.args;
  const init: MountSpec[] = spec.init
    ? [{ destination: initPath, type: "bind", source: host.monitor, options: ["bind", "ro"] }]
    : [];
  const own = new Set(spec.mounts.map(({ destination }) => destination));
  return {
    ociVersion: "1.0.2",
    process: ociProcess({ ...process, args }),
    root: { path: spec.rootfs, readonly: spec.readonlyRootfs },
    hostname: spec.hostname,
    domainname: spec.domainname,
    mounts: [
      ...defaultMounts(spec).filter(({ destination }) => !own.has(destination)),
      ...spec.mounts,
      ...init,
    ],
    annotations: spec.annotations,
    hooks: ociHooks(spec.hooks),
    linux: {
      namespaces: spec.namespaces,
      uidMappings: spec.idMap?.uids.map(ociMapping),
      gidMappings: spec.idMap?.gids.map(ociMapping),
      devices: ociDevices(privileged ? [...hostDevices(), ...spec.devices] : spec.devices),
      resources: { ...ociResources(spec.resources, host.cgroup), devices: deviceRules(spec) },
      cgroupsPath: spec.cgroupPath,
      sysctl: spec.sysctls,
      seccomp: seccompOf(spec),
      maskedPaths: privileged ? [] : (spec.maskedPaths ?? defaultMaskedPaths),
      readonlyPaths: privileged ? [] : (spec.readonlyPaths ?? defaultReadonlyPaths),
    },
  };
}

const ociMapping = ({ inside, outside, size }: IdRange) => ({ containerID: inside, hostID: outside, size });

/** The `process` object; also what an exec is started by. @throws InvalidParameter for a limit that can't be set */
export function ociProcess(process: ProcessSpec) {
  const { uid, gid, additionalGids, umask = defaultUmask } = process.user;
  // Only root keeps effective capabilities through execve; for others the bounding set counts.
  const effective = uid === 0 ? process.capabilities : [];
  return {
    terminal: process.terminal,
    consoleSize: process.terminal ? process.consoleSize : undefined,
    user: { uid, gid, additionalGids, umask },
    args: process.args,
    env: withHome(process),
    cwd: process.cwd,
    capabilities: {
      bounding: process.capabilities,
      effective,
      permitted: effective,
      inheritable: [],
      ambient: [],
    },
    rlimits: ociRlimits(process.rlimits),
    noNewPrivileges: process.noNewPrivileges,
    oomScoreAdj: process.oomScoreAdj ?? defaultOomScore(),
    apparmorProfile: process.apparmorProfile,
  };
}

/** What is known of it here leaves the runtime nothing to look up; crun gives none to a user that no file knows. */
function withHome({ env, user: { home } }: ProcessSpec): string[] {
  // As Docker does it, an empty one is none.
  if (home === undefined || env.some((entry) => /^HOME=./s.test(entry))) return env;
  return [...env.filter((entry) => entry !== "HOME="), `HOME=${home}`];
}

/** JSON with limits of 64 bits as numbers. */
export function ociJson(value: object): string {
  return JSON.stringify(value, (_, field: unknown) =>
    typeof field === "bigint" ? JSON.rawJSON(String(field)) : field,
  );
}

/** 0, unless this process has more and isn't allowed to lower it. */
function defaultOomScore(): number {
  return heldCapabilities().has("CAP_SYS_RESOURCE")
    ? 0
    : Math.max(0, Number(readFileSync("/proc/self/oom_score_adj", "utf8")));
}

function defaultMounts({ privileged, shmSize = defaultShmSize }: ContainerSpec): MountSpec[] {
  const safe = ["nosuid", "noexec", "nodev"];
  const access = privileged ? "rw" : "ro";
  return [
    { destination: "/proc", type: "proc", source: "proc", options: safe },
    {
      destination: "/dev",
      type: "tmpfs",
      source: "tmpfs",
      options: ["nosuid", "strictatime", "mode=755", "size=65536k"],
    },
    {
      destination: "/dev/pts",
      type: "devpts",
      source: "devpts",
      options: ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
    },
    { destination: "/sys", type: "sysfs", source: "sysfs", options: [...safe, access] },
    { destination: "/sys/fs/cgroup", type: "cgroup", source: "cgroup", options: [...safe, access] },
    { destination: "/dev/mqueue", type: "mqueue", source: "mqueue", options: safe },
    ...(shmSize === 0
      ? []
      : [
          {
            destination: "/dev/shm",
            type: "tmpfs",
            source: "shm",
            options: [...safe, "mode=1777", `size=${shmSize}`],
          },
        ]),
  ];
}

function ociHooks(hooks: HookSpec[] | undefined): object | undefined {
  if (!hooks?.length) return undefined;
  const stages = Object.groupBy(hooks, ({ stage }) => stage);
  return Object.fromEntries(
    Object.entries(stages).map(([stage, list = []]) => [stage, list.map(({ stage: _, ...hook }) => hook)]),
  );
}

function ociDevices(devices: DeviceSpec[]): object[] {
  // A later device at the same path replaces an earlier one.
  const byPath = new Map(devices.map((device) => [device.path, device]));
  return [...byPath.values()].map(({ access: _, ...device }) => device);
}

/** Nothing is allowed but what is listed; the OCI runtime adds /dev/null and its like by itself. */
function deviceRules({ privileged, devices, resources }: ContainerSpec): object[] {
  if (privileged) return [{ allow: true, access: "rwm" }];
  const named = devices
    .filter(({ type }) => type !== "p")
    .map(({ type, major, minor, access }) => ({ allow: true, type, major, minor, access }));
  return [{ allow: false, access: "rwm" }, ...named, ...(resources.deviceRules ?? [])];
}

/** `linux.resources`. What this kernel has no file for is left out, as Docker does (it warns at create). */
export function ociResources(resources: ResourceSpec, cgroup: CgroupLayout): Record<string, object> {
  const v1 = cgroup.version === 1;
  const has = (controller: string, file: string) =>
    existsSync(`${cgroupDirectory(cgroup, controller, "")}/${file}`);
  const swap = !v1 || has("memory", "memory.memsw.limit_in_bytes");
  const weight = !v1 || has("blkio", "blkio.weight") || has("blkio", "blkio.bfq.weight");
  return {
    memory: {
      limit: resources.memory,
      reservation: resources.memoryReservation,
      swap: swap ? resources.memorySwap : undefined,
      swappiness: v1 ? resources.memorySwappiness : undefined,
      kernelTCP: v1 ? resources.kernelMemoryTcp : undefined,
      disableOOMKiller: v1 ? resources.oomKillDisable : undefined,
    },
    cpu: {
      shares: resources.cpuShares,
      quota: resources.cpuQuota,
      period: resources.cpuPeriod,
      realtimePeriod: resources.cpuRealtimePeriod,
      realtimeRuntime: resources.cpuRealtimeRuntime,
      cpus: resources.cpusetCpus,
      mems: resources.cpusetMems,
    },
    ...(resources.pids === undefined ? {} : { pids: { limit: resources.pids } }),
    ...blockIo(resources, weight),
  };
}

function blockIo(resources: ResourceSpec, hasWeight: boolean): { blockIO?: object } {
  const given = <T>(list: T[] | undefined) => (list?.length ? list : undefined);
  const blockIO = {
    weight: hasWeight ? resources.blkioWeight : undefined,
    weightDevice: hasWeight ? given(resources.blkioWeightDevices) : undefined,
    throttleReadBpsDevice: given(resources.blkioReadBps),
    throttleWriteBpsDevice: given(resources.blkioWriteBps),
    throttleReadIOPSDevice: given(resources.blkioReadIops),
    throttleWriteIOPSDevice: given(resources.blkioWriteIops),
  };
  return Object.values(blockIO).some((value) => value !== undefined) ? { blockIO } : {};
}

function seccompOf({ seccomp, privileged, process }: ContainerSpec): OciSeccomp | undefined {
  if (seccomp === "unconfined" || (privileged && seccomp === "default")) return undefined;
  const profile = seccomp === "default" ? defaultSeccompProfile : parseSeccompProfile(seccomp);
  return ociSeccomp(profile, process.capabilities);
}
