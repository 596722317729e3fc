/** Limits that the kernel lacks are dropped, and the user is told. Words: moby, daemon/daemon_unix.go. */
import { InvalidParameter } from "../../lib/errors.ts";
import type { CgroupSupport } from "../../runtime/types.ts";
import type { HostConfig } from "../config.ts";

const unmounted = "or the cgroup is not mounted.";

/**
 * Takes out of `host`, in place, what control groups here can't hold a container to.
 * @returns a warning for each
 * @throws InvalidParameter for what a container is not run without: CPUs, realtime scheduling
 */
export function discardUnsupported(host: HostConfig, support: CgroupSupport): string[] {
  if (host.NanoCpus > 0 && !support.cpuCfs)
    throw new InvalidParameter(
      `NanoCPUs can not be set, as your kernel does not support CPU CFS scheduler ${unmounted.slice(0, -1)}`,
    );
  if ((host.CpuRealtimePeriod !== 0 || host.CpuRealtimeRuntime !== 0) && !support.cpuRealtime)
    throw new InvalidParameter("Your kernel does not support cgroup CPU real-time scheduler");
  const warnings: string[] = [];
  const discard = (unmet: boolean, words: string, change: Partial<HostConfig>) => {
    if (!unmet) return;
    Object.assign(host, change);
    if (words !== "") warnings.push(words);
  };
  discardMemory(host, support, discard);
  discard(
    host.PidsLimit !== null && !support.pids,
    (host.PidsLimit ?? 0) > 0
      ? `Your kernel does not support PIDs limit capabilities ${unmounted} PIDs limit discarded.`
      : "",
    { PidsLimit: null },
  );
  discard(
    host.CpuShares > 0 && !support.cpuShares,
    `Your kernel does not support CPU shares ${unmounted} Shares discarded.`,
    { CpuShares: 0 },
  );
  discard(
    (host.CpuPeriod !== 0 || host.CpuQuota !== 0) && !support.cpuCfs,
    "Your kernel does not support CPU CFS scheduler. CPU period/quota discarded.",
    { CpuPeriod: 0, CpuQuota: 0 },
  );
  discard(
    (host.CpusetCpus !== "" || host.CpusetMems !== "") && !support.cpuset,
    `Your kernel does not support cpuset ${unmounted} Cpuset discarded.`,
    { CpusetCpus: "", CpusetMems: "" },
  );
  discardBlockIo(host, support, discard);
  return warnings;
}

type Discard = (unmet: boolean, words: string, change: Partial<HostConfig>) => void;

function discardMemory(host: HostConfig, support: CgroupSupport, discard: Discard): void {
  const lacks = (what: string) => `Your kernel does not support ${what} ${unmounted}`;
  discard(host.Memory > 0 && !support.memory, `${lacks("memory limit capabilities")} Limitation discarded.`, {
    Memory: 0,
    MemorySwap: -1,
  });
  discard(
    host.Memory > 0 && host.MemorySwap !== -1 && !support.swap,
    `${lacks("swap limit capabilities")} Memory limited without swap.`,
    { MemorySwap: -1 },
  );
  discard(
    host.MemorySwappiness !== null && !support.memorySwappiness,
    `${lacks("memory swappiness capabilities")} Memory swappiness discarded.`,
    { MemorySwappiness: null },
  );
  discard(
    host.MemoryReservation > 0 && !support.memoryReservation,
    `${lacks("memory soft limit capabilities")} Limitation discarded.`,
    { MemoryReservation: 0 },
  );
  // No kernel holds a container to it any more: its memory is part of the rest.
  discard(
    (host.KernelMemory ?? 0) > 0,
    `${lacks("kernel memory limit capabilities")} Limitation discarded.`,
    { KernelMemory: 0 },
  );
  discard(
    (host.KernelMemoryTCP ?? 0) > 0 && !support.kernelMemoryTcp,
    `${lacks("kernel memory TCP limit capabilities")} Limitation discarded.`,
    { KernelMemoryTCP: 0 },
  );
  discard(
    host.OomKillDisable !== null && !support.oomKillDisable,
    host.OomKillDisable ? "Your kernel does not support OomKillDisable. OomKillDisable discarded." : "",
    { OomKillDisable: null },
  );
}

function discardBlockIo(host: HostConfig, support: CgroupSupport, discard: Discard): void {
  discard(
    host.BlkioWeight > 0 && !support.blkioWeight,
    `Your kernel does not support Block I/O weight ${unmounted} Weight discarded.`,
    { BlkioWeight: 0 },
  );
  const given = (list: unknown[] | null) => (list ?? []).length > 0;
  discard(
    given(host.BlkioWeightDevice) && !support.blkioWeightDevice,
    `Your kernel does not support Block I/O weight_device ${unmounted} Weight-device discarded.`,
    { BlkioWeightDevice: [] },
  );
  discard(
    given(host.BlkioDeviceReadBps) && !support.blkioReadBps,
    `Your kernel does not support BPS Block I/O read limit ${unmounted} Block I/O BPS read limit discarded.`,
    { BlkioDeviceReadBps: [] },
  );
  discard(
    given(host.BlkioDeviceWriteBps) && !support.blkioWriteBps,
    `Your kernel does not support BPS Block I/O write limit ${unmounted} Block I/O BPS write limit discarded.`,
    { BlkioDeviceWriteBps: [] },
  );
  discard(
    given(host.BlkioDeviceReadIOps) && !support.blkioReadIops,
    `Your kernel does not support IOPS Block read limit ${unmounted} Block I/O IOPS read limit discarded.`,
    { BlkioDeviceReadIOps: [] },
  );
  discard(
    given(host.BlkioDeviceWriteIOps) && !support.blkioWriteIops,
    `Your kernel does not support IOPS Block write limit ${unmounted} Block I/O IOPS write limit discarded.`,
    { BlkioDeviceWriteIOps: [] },
  );
}
