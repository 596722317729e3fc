/** Samples as the Engine API shows them (definition "ContainerStatsResponse"). */
import type { ContainerRecord, StatsSample } from "../../engine/types.ts";
import { never, rfc3339 } from "./times.ts";

/** Without a sample, as of a container that doesn't run, everything is zero. */
export function encodeStats(
  record: ContainerRecord,
  sample: StatsSample | undefined,
  before: StatsSample | undefined,
) {
  /** The kernel's counts that Docker shows of cgroups version 1, where they are empty on newer kernels. */
  const legacy = sample?.cgroup.cpuEach ? [] : null;
  return {
    id: record.id,
    name: `/${record.name}`,
    os_type: "linux",
    read: sample ? rfc3339(sample.readAt) : never,
    preread: before ? rfc3339(before.readAt) : never,
    cpu_stats: cpu(sample),
    precpu_stats: cpu(before),
    memory_stats: sample
      ? {
          usage: sample.cgroup.memoryUsage,
          ...(sample.cgroup.memoryPeak !== undefined && { max_usage: sample.cgroup.memoryPeak }),
          // Without a limit of its own the machine's memory is the limit.
          limit: Math.min(sample.cgroup.memoryLimit, sample.memoryTotal),
          stats: sample.cgroup.memoryStat,
        }
      : {},
    pids_stats: sample
      ? {
          current: sample.cgroup.pids,
          ...(Number.isFinite(sample.cgroup.pidsLimit) && { limit: sample.cgroup.pidsLimit }),
        }
      : {},
    blkio_stats: {
      io_service_bytes_recursive: sample ? counts(sample.cgroup.ioBytes) : null,
      io_serviced_recursive: sample ? counts(sample.cgroup.ioOperations) : null,
      io_queue_recursive: legacy,
      io_service_time_recursive: legacy,
      io_wait_time_recursive: legacy,
      io_merged_recursive: legacy,
      io_time_recursive: legacy,
      sectors_recursive: legacy,
    },
    num_procs: 0,
    storage_stats: {},
    ...(sample && {
      networks: Object.fromEntries(
        Object.entries(sample.networks).map(([name, counters]) => [
          name,
          {
            rx_bytes: counters.rxBytes,
            rx_packets: counters.rxPackets,
            rx_errors: counters.rxErrors,
            rx_dropped: counters.rxDropped,
            tx_bytes: counters.txBytes,
            tx_packets: counters.txPackets,
            tx_errors: counters.txErrors,
            tx_dropped: counters.txDropped,
          },
        ]),
      ),
    }),
  };
}

const counts = (devices: StatsSample["cgroup"]["ioBytes"]) =>
  devices.map(({ major, minor, operation, value }) => ({ major, minor, op: operation, value }));

function cpu(sample: StatsSample | undefined) {
  const throttling_data = {
    periods: sample?.cgroup.periods ?? 0,
    throttled_periods: sample?.cgroup.throttledPeriods ?? 0,
    throttled_time: sample?.cgroup.throttledTime ?? 0,
  };
  if (!sample)
    return {
      cpu_usage: { total_usage: 0, usage_in_kernelmode: 0, usage_in_usermode: 0 },
      throttling_data,
    };
  return {
    cpu_usage: {
      total_usage: sample.cgroup.cpuTotal,
      ...(sample.cgroup.cpuEach && { percpu_usage: sample.cgroup.cpuEach }),
      usage_in_kernelmode: sample.cgroup.cpuKernel,
      usage_in_usermode: sample.cgroup.cpuUser,
    },
    system_cpu_usage: sample.systemCpu,
    online_cpus: sample.onlineCpus,
    throttling_data,
  };
}
