import type { ContainerRecord } from "../../engine/types.ts";
import { rfc3339 } from "./times.ts";

/** What is known of a container's end: Gantry's own answer to `GET /containers/{id}/why`. */
export function ending(record: ContainerRecord, lines: string[]) {
  const { state, hostConfig } = record;
  const probe = state.health?.log.at(-1);
  return {
    Id: record.id,
    Name: record.name,
    Status: state.status,
    ExitCode: state.exitCode,
    Error: state.error,
    OOMKilled: state.oomKilled,
    OOM: state.oom
      ? {
          Kills: state.oom.kills,
          MemoryPeak: state.oom.memoryPeak,
          SwapPeak: state.oom.swapPeak,
        }
      : null,
    MemoryLimit: hostConfig.Memory,
    StartedAt: rfc3339(state.startedAt),
    FinishedAt: rfc3339(state.finishedAt),
    Asked: state.asked
      ? {
          What: state.asked.what,
          Signal: state.asked.signal,
          By: state.asked.by,
          At: rfc3339(state.asked.at),
        }
      : null,
    RestartPolicy: hostConfig.RestartPolicy,
    RestartCount: record.restartCount,
    Health: state.health ? { Status: state.health.status, Output: probe?.output ?? "" } : null,
    LastLines: lines,
  };
}
