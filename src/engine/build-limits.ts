/** What a build may ask of its steps: looked at before anything is fetched or run, for a cached step asks nothing. */
import type { BuildRequest } from "../build/types.ts";
import { InvalidParameter } from "../lib/errors.ts";
import { checkCpu, checkExtraHost, checkMemory, checkUlimits } from "./containers/limits.ts";
import { sharedWith } from "./containers/networking.ts";

type StepSettings = Pick<BuildRequest, "limits" | "ulimits" | "shmSize" | "extraHosts" | "networkMode">;

/** @throws InvalidParameter in the words that a container's create has for it */
export function checkStepSettings(settings: StepSettings): void {
  const { limits, ulimits, shmSize = 0, extraHosts, networkMode } = settings;
  checkMemory({
    Memory: limits.memory ?? 0,
    MemorySwap: limits.memorySwap ?? 0,
    MemoryReservation: 0,
    MemorySwappiness: null,
  });
  checkCpu({
    NanoCpus: 0,
    CpuPeriod: limits.cpuPeriod ?? 0,
    CpuQuota: limits.cpuQuota ?? 0,
    CpuShares: limits.cpuShares ?? 0,
    CpuRealtimeRuntime: 0,
    CpuRealtimePeriod: 0,
    CpusetCpus: limits.cpusetCpus ?? "",
    CpusetMems: limits.cpusetMems ?? "",
  });
  checkUlimits(ulimits.map(({ name, soft, hard }) => ({ Name: name, Soft: soft, Hard: hard })));
  if (shmSize < 0) throw new InvalidParameter("SHM size can not be less than 0");
  for (const entry of extraHosts) checkExtraHost(entry);
  checkStepNetwork(networkMode);
}

/** @throws InvalidParameter for what is no network of a step's */
export function checkStepNetwork(mode: string): void {
  if (mode === "host") return;
  if (sharedWith(mode) !== undefined || !["", "default", "bridge", "none"].includes(mode))
    throw new InvalidParameter(
      `network mode ${JSON.stringify(mode)} is not supported by Gantry's builder: use default, none or host`,
    );
}
