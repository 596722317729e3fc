/** Waiting until a dependency's condition holds. */
import { GantryError, Internal } from "../../lib/errors.ts";
import type { Condition } from "../model/types.ts";
import type { ContainerDetails } from "./engine.ts";
import type { Progress } from "./progress.ts";
import type { Session } from "./session.ts";

/** A condition that can no longer come true; message as Docker Compose's. */
export class DependencyFailed extends GantryError {
  constructor(message: string) {
    super("internal", message);
  }
}

const longestPause = 500;

/**
 * Waits for one container. An engine tells of health only when asked, so it is asked, more and more seldom.
 * @throws DependencyFailed when the container is unhealthy, has no health check, or exited otherwise than it should
 */
export async function waitForCondition(
  session: Session,
  container: { id: string; name: string },
  condition: Condition | "running_or_healthy",
  progress: Progress,
  signal?: AbortSignal,
): Promise<void> {
  const id = `Container ${container.name}`;
  if (condition === "service_started") return;
  progress.event(id, "Waiting");
  try {
    if (condition === "service_completed_successfully") {
      const code = await session.engine.wait(container.id, signal);
      if (code !== 0)
        throw new DependencyFailed(
          `service ${JSON.stringify(container.name)} didn't complete successfully: exit ${code}`,
        );
      progress.event(id, "Exited", "done");
      return;
    }
    for (let pause = 20; ; pause = Math.min(pause * 1.5, longestPause)) {
      signal?.throwIfAborted();
      const details = await session.engine.inspect(container.id);
      if (isReady(details, container.name, condition)) break;
      await Bun.sleep(pause);
    }
    progress.event(id, "Healthy", "done");
  } catch (error) {
    progress.event(id, "Error", "error");
    throw error;
  }
}

function isReady(
  { State, Config }: ContainerDetails,
  name: string,
  condition: Condition | "running_or_healthy",
): boolean {
  const hasCheck =
    State.Health !== undefined && State.Health.Status !== "none" && Config.Healthcheck?.Test?.[0] !== "NONE";
  if (State.Status === "exited" || State.Status === "dead")
    throw new DependencyFailed(`container ${name} exited (${State.ExitCode})`);
  if (!hasCheck) {
    if (condition === "running_or_healthy") return State.Status === "running";
    throw new DependencyFailed(`container ${name} has no healthcheck configured`);
  }
  if (State.Health?.Status === "unhealthy") throw new DependencyFailed(`container ${name} is unhealthy`);
  return State.Health?.Status === "healthy";
}

/** @throws Internal with the seconds that were allowed */
export function timeoutSignal(seconds: number | undefined): AbortSignal | undefined {
  if (!seconds) return undefined;
  const controller = new AbortController();
  const timer = setTimeout(
    () =>
      controller.abort(
        new Internal(`timed out after ${seconds}s waiting for the services to be running or healthy`),
      ),
    seconds * 1000,
  );
  timer.unref();
  return controller.signal;
}
