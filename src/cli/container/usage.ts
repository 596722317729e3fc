/** What a sample of `stats` means in percent and bytes. Pure. */
import type { Row } from "../format/listing.ts";
import { bytesSize, humanSize } from "../format/units.ts";

/** The parts of the API's sample that are shown. */
export interface StatsMessage {
  id?: string;
  name?: string;
  cpu_stats?: CpuStats;
  precpu_stats?: CpuStats;
  memory_stats?: { usage?: number; limit?: number; stats?: Record<string, number> };
  pids_stats?: { current?: number };
  networks?: Record<string, { rx_bytes: number; tx_bytes: number }> | null;
  blkio_stats?: { io_service_bytes_recursive?: { op: string; value: number }[] | null };
}

interface CpuStats {
  cpu_usage?: { total_usage?: number; percpu_usage?: number[] | null };
  system_cpu_usage?: number;
  online_cpus?: number;
}

/** A hundred for each CPU that is wholly busy. */
export function cpuPercent({ cpu_stats: now, precpu_stats: before }: StatsMessage): number {
  const used = (now?.cpu_usage?.total_usage ?? 0) - (before?.cpu_usage?.total_usage ?? 0);
  const host = (now?.system_cpu_usage ?? 0) - (before?.system_cpu_usage ?? 0);
  const cpus = now?.online_cpus || now?.cpu_usage?.percpu_usage?.length || 0;
  return used > 0 && host > 0 ? (used / host) * cpus * 100 : 0;
}

/** Memory without the page cache that the kernel would give back at once. */
export function memoryUsage({ memory_stats: memory }: StatsMessage): number {
  const usage = memory?.usage ?? 0;
  const cache = memory?.stats?.total_inactive_file ?? memory?.stats?.inactive_file ?? 0;
  return cache < usage ? usage - cache : usage;
}

function networkBytes({ networks }: StatsMessage): [number, number] {
  const all = Object.values(networks ?? {});
  return [
    all.reduce((sum, { rx_bytes }) => sum + rx_bytes, 0),
    all.reduce((sum, { tx_bytes }) => sum + tx_bytes, 0),
  ];
}

function blockBytes({ blkio_stats }: StatsMessage): [number, number] {
  const sum = (letter: string) =>
    (blkio_stats?.io_service_bytes_recursive ?? [])
      .filter(({ op }) => op.toLowerCase().startsWith(letter))
      .reduce((total, { value }) => total + value, 0);
  return [sum("r"), sum("w")];
}

export interface StatsSubject {
  /** As the user wrote it. */
  container: string;
  id: string;
  name: string;
}

/** A row of `stats`; dashes until there is a sample. */
export function statsRow(subject: StatsSubject, sample: StatsMessage | undefined, truncate: boolean): Row {
  const names = {
    Container: subject.container,
    ID: truncate ? subject.id.slice(0, 12) : subject.id,
    Name: subject.name,
  };
  if (!sample)
    return {
      ...names,
      CPUPerc: "--",
      MemUsage: "-- / --",
      MemPerc: "--",
      NetIO: "--",
      BlockIO: "--",
      PIDs: "--",
    };
  const memory = memoryUsage(sample);
  const limit = sample.memory_stats?.limit ?? 0;
  const pair = ([a, b]: [number, number]) => `${humanSize(a, 3)} / ${humanSize(b, 3)}`;
  return {
    ...names,
    CPUPerc: `${cpuPercent(sample).toFixed(2)}%`,
    MemUsage: `${bytesSize(memory)} / ${bytesSize(limit)}`,
    MemPerc: `${(limit > 0 ? (memory / limit) * 100 : 0).toFixed(2)}%`,
    NetIO: pair(networkBytes(sample)),
    BlockIO: pair(blockBytes(sample)),
    PIDs: String(sample.pids_stats?.current ?? 0),
  };
}
