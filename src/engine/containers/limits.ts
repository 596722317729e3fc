/** Limits of a container: what Docker allows, and what the runtime gets of them. */
import { readFileSync, statSync } from "node:fs";
import { isIP } from "node:net";
import { InvalidParameter } from "../../lib/errors.ts";
import { ulimitNames } from "../../lib/ulimits.ts";
import type { ResourceSpec } from "../../runtime/types.ts";
import type { DeviceRate, HostConfig } from "../config.ts";

const mebibyte = 1024 * 1024;
/** The kernel's PID_MAX_LIMIT. */
const mostPids = 4_194_304;
const leastMemory = 6 * mebibyte;

function refuse(wrong: boolean, message: string): void {
  if (wrong) throw new InvalidParameter(message);
}

/** For a create, and for what an update would come to. @throws InvalidParameter in Docker's words */
export function checkLimits(host: HostConfig): void {
  checkMemory(host);
  checkCpu(host);
  const weight = (value: number) => value !== 0 && (value < 10 || value > 1000);
  refuse(weight(host.BlkioWeight), "Range of blkio weight is from 10 to 1000");
  for (const { Path, Weight } of host.BlkioWeightDevice ?? [])
    refuse(weight(Weight), `Range of blkio weight is from 10 to 1000: ${Path}`);
  refuse(
    host.PidsLimit !== null && host.PidsLimit > mostPids,
    `Invalid value: ${host.PidsLimit}, a pids limit ends at ${mostPids}`,
  );
  refuse(host.ShmSize < 0, "SHM size can not be less than 0");
  refuse(
    host.OomScoreAdj < -1000 || host.OomScoreAdj > 1000,
    `Invalid value ${host.OomScoreAdj}, range for oom score adj is [-1000, 1000]`,
  );
  checkUlimits(host.Ulimits ?? []);
  for (const entry of host.ExtraHosts ?? []) checkExtraHost(entry);
}

/** @throws InvalidParameter in Docker's words */
export function checkMemory(
  host: Pick<HostConfig, "Memory" | "MemorySwap" | "MemoryReservation" | "MemorySwappiness">,
): void {
  const { Memory, MemorySwap, MemoryReservation, MemorySwappiness } = host;
  refuse(Memory !== 0 && Memory < leastMemory, "Minimum memory limit allowed is 6MB");
  refuse(
    Memory > 0 && MemorySwap > 0 && MemorySwap < Memory,
    "Minimum memoryswap limit should be larger than memory limit, see usage",
  );
  refuse(
    MemorySwap < -1,
    `Invalid value: ${MemorySwap}, memory-swap is -1 (no limit) or the sum of memory and swap`,
  );
  refuse(
    Memory === 0 && MemorySwap > 0,
    "You should always set the Memory limit when using Memoryswap limit, see usage",
  );
  refuse(
    MemorySwappiness !== null && (MemorySwappiness < -1 || MemorySwappiness > 100),
    `Invalid value: ${MemorySwappiness}, valid memory swappiness range is 0-100`,
  );
  refuse(
    MemoryReservation !== 0 && MemoryReservation < leastMemory,
    "Minimum memory reservation allowed is 6MB",
  );
  refuse(
    Memory > 0 && MemoryReservation > Memory,
    "Minimum memory limit can not be less than memory reservation limit, see usage",
  );
}

/** @throws InvalidParameter in Docker's words */
export function checkUlimits(limits: NonNullable<HostConfig["Ulimits"]>): void {
  for (const { Name, Soft, Hard } of limits) {
    refuse(!ulimitNames.includes(Name), `invalid ulimit type: ${Name}`);
    refuse(
      Hard !== -1 && Soft > Hard,
      `ulimit soft limit must be less than or equal to hard limit: ${Soft} > ${Hard}`,
    );
  }
}

/** `name:address` or `name=address`; the address may be `host-gateway`. @throws InvalidParameter in Docker's words */
export function checkExtraHost(entry: string): void {
  const match = /^[^:=\s]+[:=](\S+)$/.exec(entry);
  if (!match) throw new InvalidParameter(`bad format for add-host: ${JSON.stringify(entry)}`);
  const address = match[1]!.replace(/^\[(.*)\]$/, "$1");
  refuse(
    address !== "host-gateway" && isIP(address) === 0,
    `invalid IP address in add-host: ${JSON.stringify(address)}`,
  );
}

/** @throws InvalidParameter in Docker's words */
export function checkCpu(
  host: Pick<
    HostConfig,
    | "NanoCpus"
    | "CpuPeriod"
    | "CpuQuota"
    | "CpuShares"
    | "CpuRealtimeRuntime"
    | "CpuRealtimePeriod"
    | "CpusetCpus"
    | "CpusetMems"
  >,
): void {
  const { NanoCpus, CpuPeriod, CpuQuota } = host;
  const cpus = navigator.hardwareConcurrency;
  refuse(NanoCpus !== 0 && CpuPeriod > 0, "Conflicting options: Nano CPUs and CPU Period cannot both be set");
  refuse(NanoCpus !== 0 && CpuQuota > 0, "Conflicting options: Nano CPUs and CPU Quota cannot both be set");
  refuse(
    NanoCpus < 0 || NanoCpus > cpus * 1e9,
    `range of CPUs is from 0.01 to ${cpus}.00, as there are only ${cpus} CPUs available`,
  );
  refuse(
    CpuPeriod !== 0 && (CpuPeriod < 1000 || CpuPeriod > 1_000_000),
    "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)",
  );
  refuse(CpuQuota < -1, `Invalid value: ${CpuQuota}, a CPU quota is -1 (no limit) or 1000 at least`);
  refuse(CpuQuota > 0 && CpuQuota < 1000, "CPU cfs quota can not be less than 1ms (i.e. 1000)");
  refuse(host.CpuShares < 0, `invalid CPU shares (${host.CpuShares}): value must be a positive integer`);
  refuse(
    host.CpuRealtimeRuntime !== 0 && host.CpuRealtimeRuntime > host.CpuRealtimePeriod,
    "cpu real-time runtime cannot be higher than cpu real-time period",
  );
  checkSet(host.CpusetCpus, "cpuset cpus", "CPUs", "/sys/devices/system/cpu/online");
  checkSet(host.CpusetMems, "cpuset mems", "memory nodes", "/sys/devices/system/node/online");
}

/** `0-2,4`: that it can be read, and that the machine has them. */
function checkSet(asked: string, what: string, things: string, onlineFile: string): void {
  if (asked === "") return;
  const wanted = parseSet(asked);
  if (!wanted) throw new InvalidParameter(`Invalid value ${asked} for ${what}`);
  let available: string;
  try {
    available = readFileSync(onlineFile, "utf8").trim();
  } catch {
    // A kernel without NUMA has no such file, and one node.
    available = "0";
  }
  const online = parseSet(available) ?? new Set();
  if ([...wanted].some((one) => !online.has(one)))
    throw new InvalidParameter(
      `Requested ${things} are not available - requested ${asked}, available: ${available}`,
    );
}

const mostInSet = 8192;

function parseSet(text: string): Set<number> | undefined {
  const set = new Set<number>();
  for (const part of text.split(",")) {
    const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(part);
    if (!match) return undefined;
    const last = Number(match[2] ?? match[1]);
    if (last > mostInSet) return undefined;
    for (let one = Number(match[1]); one <= last; one++) set.add(one);
  }
  return set;
}

/** The limits as the runtime takes them; also for `update`. @throws InvalidParameter for a rule or device that is none */
export function resourceSpec(host: HostConfig): ResourceSpec {
  return {
    memory: host.Memory || undefined,
    memoryReservation: host.MemoryReservation || undefined,
    // Docker's default: as much swap again as memory.
    memorySwap: host.MemorySwap || (host.Memory ? host.Memory * 2 : undefined),
    memorySwappiness:
      host.MemorySwappiness !== null && host.MemorySwappiness >= 0 ? host.MemorySwappiness : undefined,
    kernelMemoryTcp: host.KernelMemoryTCP || undefined,
    oomKillDisable: host.OomKillDisable || undefined,
    cpuShares: host.CpuShares || undefined,
    cpuQuota: host.NanoCpus ? Math.round(host.NanoCpus / 10_000) : host.CpuQuota || undefined,
    cpuPeriod: host.NanoCpus ? 100_000 : host.CpuPeriod || undefined,
    cpuRealtimePeriod: host.CpuRealtimePeriod || undefined,
    cpuRealtimeRuntime: host.CpuRealtimeRuntime || undefined,
    cpusetCpus: host.CpusetCpus || undefined,
    cpusetMems: host.CpusetMems || undefined,
    pids: host.PidsLimit && host.PidsLimit > 0 ? host.PidsLimit : undefined,
    blkioWeight: host.BlkioWeight || undefined,
    blkioWeightDevices: (host.BlkioWeightDevice ?? []).map(({ Path, Weight }) => ({
      ...deviceNumbers(Path),
      weight: Weight,
    })),
    blkioReadBps: rates(host.BlkioDeviceReadBps),
    blkioWriteBps: rates(host.BlkioDeviceWriteBps),
    blkioReadIops: rates(host.BlkioDeviceReadIOps),
    blkioWriteIops: rates(host.BlkioDeviceWriteIOps),
    deviceRules: (host.DeviceCgroupRules ?? []).map(deviceRule),
  };
}

function rates(devices: DeviceRate[] | null) {
  return (devices ?? []).map(({ Path, Rate }) => ({ ...deviceNumbers(Path), rate: Rate }));
}

/** The numbers by which the kernel knows a device. */
function deviceNumbers(path: string): { major: number; minor: number } {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (!stat?.isBlockDevice())
    throw new InvalidParameter(`${path}: ${stat ? "not a block device" : "no such file or directory"}`);
  return { major: stat.rdev >> 8, minor: stat.rdev & 0xff };
}

function deviceRule(rule: string): NonNullable<ResourceSpec["deviceRules"]>[number] {
  const match = /^([acb]) (\*|\d+):(\*|\d+) ([rwm]{1,3})$/.exec(rule);
  if (!match) throw new InvalidParameter(`invalid device cgroup rule format: '${rule}'`);
  const number = (text: string) => (text === "*" ? undefined : Number(text));
  return {
    allow: true,
    type: match[1]!,
    major: number(match[2]!),
    minor: number(match[3]!),
    access: match[4]!,
  };
}
