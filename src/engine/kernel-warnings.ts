/** What `docker info` says of things that the kernel lacks. Words: moby, daemon/info_unix.go. */
import type { CgroupSupport } from "../runtime/types.ts";

/** @param support of control groups @param cgroupVersion some limits are known to be gone from one of them */
export function kernelWarnings(
  support: CgroupSupport,
  cgroupVersion: 1 | 2,
  ipv4Forwarding: boolean,
): string[] {
  const v1 = cgroupVersion === 1;
  const throttle = (file: string, short: string) =>
    v1 ? `No blkio throttle.${file} support` : `No io.max (${short}) support`;
  const lacking: [missing: boolean, words: string][] = [
    [!support.memory, "No memory limit support"],
    [!support.swap, "No swap limit support"],
    [v1 && !support.kernelMemoryTcp, "No kernel memory TCP limit support"],
    [v1 && !support.oomKillDisable, "No oom kill disable support"],
    [!support.cpuCfs, "No cpu cfs quota support"],
    [!support.cpuCfs, "No cpu cfs period support"],
    [!support.cpuShares, "No cpu shares support"],
    [!support.cpuset, "No cpuset support"],
    // No kernel has weights on v1 since 5.0: there is nothing that who reads it could do.
    [!v1 && !support.blkioWeight, "No io.weight support"],
    [!v1 && !support.blkioWeightDevice, "No io.weight (per device) support"],
    [!support.blkioReadBps, throttle("read_bps_device", "rbps")],
    [!support.blkioWriteBps, throttle("write_bps_device", "wbps")],
    [!support.blkioReadIops, throttle("read_iops_device", "riops")],
    [!support.blkioWriteIops, throttle("write_iops_device", "wiops")],
    [!ipv4Forwarding, "IPv4 forwarding is disabled"],
  ];
  return lacking.filter(([missing]) => missing).map(([, words]) => `WARNING: ${words}`);
}
