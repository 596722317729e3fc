/** `run --wait`. */
import type { CliContext } from "../context.ts";
import { ExitStatus } from "../context.ts";

/** Between two looks, in milliseconds. */
const pause = 50;

interface Seen {
  State: {
    Status: string;
    Running: boolean;
    ExitCode: number;
    Health?: { Status: string; Log: { Output: string }[] | null };
  };
}

/**
 * Waits until a container is healthy, or just runs when it has no health check.
 * @param seconds how long at most; 0: for ever
 * @throws ExitStatus when it ends, is unhealthy, or takes too long
 */
export async function untilReady(context: CliContext, id: string, seconds: number): Promise<void> {
  const end = seconds > 0 ? Date.now() + seconds * 1000 : Number.POSITIVE_INFINITY;
  for (;;) {
    const { State } = await context.client.call<Seen>("GET", `/containers/${id}/json`);
    const { Health } = State;
    const short = id.slice(0, 12);
    if (!State.Running)
      throw new ExitStatus(1, `container ${short} ended with exit code ${State.ExitCode}; see why ${short}`);
    if (!Health || Health.Status === "healthy") return;
    if (Health.Status === "unhealthy") {
      const said = Health.Log?.at(-1)?.Output.trim();
      throw new ExitStatus(1, `container ${short} is unhealthy${said ? `: ${said}` : ""}`);
    }
    if (Date.now() > end)
      throw new ExitStatus(1, `container ${short} is not healthy after ${seconds} seconds`);
    await Bun.sleep(pause);
  }
}
