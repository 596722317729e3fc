import { messageOf } from "../../lib/errors.ts";
import type { HealthState } from "../types.ts";
import type { Container } from "./table.ts";

const second = 1_000_000_000;
const keptResults = 5;
const keptOutput = 4096;

interface Probes {
  probe(command: string[], timeoutMs: number): Promise<{ exitCode: number; output: string }>;
  changed(status: HealthState["status"]): void;
  /** A probe failed: the streak must outlive the daemon. Successes of the healthy are not worth a write. */
  failed(): void;
}

/** Runs a container's health check at its interval. Returns what stops it; undefined when there is none. */
export function watchHealth(container: Container, probes: Probes): (() => void) | undefined {
  const check = container.record.config.Healthcheck;
  const command = probeCommand(check?.Test ?? [], container.record.config.Shell);
  if (!check || !command) return undefined;
  const ms = (nanoseconds: number | undefined, fallback: number) => (nanoseconds || fallback) / 1e6;
  const interval = ms(check.Interval, 30 * second);
  const timeout = ms(check.Timeout, 30 * second);
  const startPeriod = (check.StartPeriod ?? 0) / 1e6;
  const startInterval = ms(check.StartInterval, 5 * second);
  const retries = check.Retries || 3;
  const { state } = container.record;
  const health: HealthState = state.health ?? { status: "starting", failingStreak: 0, log: [] };
  state.health = health;
  let stopped = false;
  let timer: ReturnType<typeof setTimeout>;

  const inStartPeriod = () =>
    health.status === "starting" && Date.now() - (state.startedAt ?? 0) < startPeriod;
  const schedule = () => {
    // Within the start period a check comes sooner, so that a quick start is seen quickly.
    timer = setTimeout(run, inStartPeriod() ? Math.min(startInterval, interval) : interval);
  };
  const run = async () => {
    const start = Date.now();
    const result =
      state.status === "paused"
        ? undefined
        : await probes.probe(command, timeout).catch((error) => ({ exitCode: -1, output: messageOf(error) }));
    if (stopped) return;
    if (result) record(start, result);
    schedule();
  };
  const record = (start: number, result: { exitCode: number; output: string }) => {
    const lenient = inStartPeriod();
    health.log = [
      ...health.log,
      { start, end: Date.now(), ...result, output: result.output.slice(0, keptOutput) },
    ].slice(-keptResults);
    const before = health.status;
    if (result.exitCode === 0) {
      health.failingStreak = 0;
      health.status = "healthy";
    } else if (!lenient) {
      health.failingStreak++;
      if (health.failingStreak >= retries) health.status = "unhealthy";
    }
    if (health.status !== before) probes.changed(health.status);
    else if (result.exitCode !== 0) probes.failed();
  };

  schedule();
  return () => {
    stopped = true;
    clearTimeout(timer);
  };
}

function probeCommand(test: string[], shell: string[] | undefined): string[] | undefined {
  if (test[0] === "CMD") return test.slice(1);
  if (test[0] === "CMD-SHELL") return [...(shell ?? ["/bin/sh", "-c"]), test.slice(1).join(" ")];
  return undefined;
}
