import { expect, test } from "bun:test";
import { cpuPercent, memoryUsage, statsRow } from "./usage.ts";

const cpu = (total: number, system: number) => ({
  cpu_usage: { total_usage: total },
  system_cpu_usage: system,
  online_cpus: 4,
});

test.each([
  ["half of one of four CPUs", cpu(1_500, 18_000), cpu(1_000, 14_000), 50],
  ["nothing used", cpu(1_000, 18_000), cpu(1_000, 14_000), 0],
  ["no time went by", cpu(2_000, 14_000), cpu(1_000, 14_000), 0],
  ["no sample before", cpu(1_000, 4_000), undefined, 100],
])("CPU: %s", (_, now, before, expected) => {
  expect(cpuPercent({ cpu_stats: now, precpu_stats: before })).toBe(expected);
});

test.each([
  ["cgroup 1", { usage: 100, stats: { total_inactive_file: 30 } }, 70],
  ["cgroup 2", { usage: 100, stats: { inactive_file: 40 } }, 60],
  ["more cache than usage", { usage: 10, stats: { inactive_file: 40 } }, 10],
  ["nothing known", {}, 0],
])("memory: %s", (_, memory_stats, expected) => {
  expect(memoryUsage({ memory_stats })).toBe(expected);
});

const subject = { container: "web", id: "0123456789abcdef", name: "web" };

test("a row without a sample has dashes", () => {
  expect(statsRow(subject, undefined, true)).toMatchObject({
    ID: "0123456789ab",
    CPUPerc: "--",
    MemUsage: "-- / --",
  });
});

test("a row speaks Docker's units", () => {
  const sample = {
    read: "2024-01-02T03:04:05Z",
    memory_stats: { usage: 3 * 2 ** 20, limit: 2 ** 30 },
    networks: { eth0: { rx_bytes: 1_000, tx_bytes: 20 }, eth1: { rx_bytes: 500, tx_bytes: 0 } },
    blkio_stats: { io_service_bytes_recursive: [{ op: "read", value: 4_096 }] },
    pids_stats: { current: 2 },
  };
  expect(statsRow(subject, sample, false)).toEqual({
    Container: "web",
    ID: "0123456789abcdef",
    Name: "web",
    CPUPerc: "0.00%",
    MemUsage: "3MiB / 1GiB",
    MemPerc: "0.29%",
    NetIO: "1.5kB / 20B",
    BlockIO: "4.1kB / 0B",
    PIDs: "2",
  });
});
