/** When a container that has ended begins again, and after how long. */
import type { ContainerRecord } from "../types.ts";
import type { Container } from "./table.ts";

/** Milliseconds that a first restart waits. */
export const firstDelay = 100;
const longestDelay = 60_000;
/** A run at least this long forgets the back-off (milliseconds). */
const steadyRun = 10_000;

/** Whether the policy wants the container, which has just ended, to go on. */
export function shouldRestart({
  hasBeenManuallyStopped,
  hostConfig,
  state,
  restartCount,
}: ContainerRecord): boolean {
  const { Name, MaximumRetryCount } = hostConfig.RestartPolicy;
  if (hasBeenManuallyStopped) return false;
  if (Name === "always" || Name === "unless-stopped") return true;
  return (
    Name === "on-failure" &&
    state.exitCode !== 0 &&
    (MaximumRetryCount === 0 || restartCount < MaximumRetryCount)
  );
}

/** `always` brings a container back with the daemon; `unless-stopped` unless somebody stopped it. */
export function startsWithDaemon(record: ContainerRecord): boolean {
  const { Name } = record.hostConfig.RestartPolicy;
  if (record.state.status !== "exited") return false;
  return Name === "always" || (Name === "unless-stopped" && !record.hasBeenManuallyStopped);
}

/** How long the next restart waits (milliseconds); the one after that waits twice as long. */
export function backOff(container: Pick<Container, "restartDelay">, ranMs: number): number {
  const delay = ranMs >= steadyRun ? firstDelay : container.restartDelay;
  container.restartDelay = Math.min(delay * 2, longestDelay);
  return delay;
}
