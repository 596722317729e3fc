/** Starting and stopping the containers of a project in the order of their dependencies. */
import type { Dependency, Project } from "../model/types.ts";
import { label } from "../plan/observed.ts";
import type { LiveContainer } from "./converge.ts";
import { type ContainerSummary, nameOf } from "./engine.ts";
import { type HookedContainer, runHooks, stopContainer } from "./hooks.ts";
import { forEachParallel, runGraph } from "./parallel.ts";
import type { Progress } from "./progress.ts";
import type { Session } from "./session.ts";
import { DependencyFailed, waitForCondition } from "./wait.ts";

export interface StartOptions {
  /** Called before the first container of all is started, and after each start. */
  onStarted?: (container: LiveContainer) => void;
  /** What `post_start` hooks say. */
  onHookOutput?: (container: LiveContainer, text: string) => void;
  signal?: AbortSignal;
}

/**
 * Starts what does not run, each service once the conditions on its dependencies hold.
 * @throws DependencyFailed "dependency failed to start: …"
 */
export async function startServices(
  session: Session,
  project: Project,
  live: Map<string, LiveContainer[]>,
  progress: Progress,
  options: StartOptions = {},
): Promise<void> {
  const names = [...live.keys()];
  const restarted = new Set<string>();
  await runGraph(
    names,
    (name) => Object.keys(project.services[name]?.depends_on ?? {}).filter((needed) => live.has(needed)),
    0,
    async (name) => {
      const containers = live.get(name)!;
      const dependencies = Object.entries(project.services[name]?.depends_on ?? {}).filter(([needed]) =>
        live.has(needed),
      );
      const mustRestart = dependencies.some(([needed, { restart }]) => restart && restarted.has(needed));
      const stopped = containers.filter(({ state }) => state !== "running");
      if (containers.some(({ state }) => state === "recreated")) restarted.add(name);
      if (stopped.length === 0 && !mustRestart) return;
      await awaitDependencies(session, live, dependencies, progress, options.signal);
      for (const container of containers) {
        const id = `Container ${container.name}`;
        if (container.state === "running") {
          if (!mustRestart) continue;
          progress.event(id, "Restarting");
          if (!session.flags.dryRun) await stopContainer(session, project, container);
        } else progress.event(id, "Starting");
        try {
          if (!session.flags.dryRun) await session.engine.start(container.id);
        } catch (error) {
          progress.event(id, "Error", "error");
          throw error;
        }
        options.onStarted?.(container);
        if (!session.flags.dryRun) await startHooks(session, project, container, progress, options);
        progress.event(id, "Started", "done");
      }
    },
  );
}

async function startHooks(
  session: Session,
  project: Project,
  container: LiveContainer,
  progress: Progress,
  { onHookOutput }: StartOptions,
): Promise<void> {
  const hooks = project.services[container.service]?.post_start;
  try {
    await runHooks(session, hooks, container, onHookOutput && ((text) => onHookOutput(container, text)));
  } catch (error) {
    progress.event(`Container ${container.name}`, "Error", "error");
    throw error;
  }
}

async function awaitDependencies(
  session: Session,
  live: Map<string, LiveContainer[]>,
  dependencies: [string, Dependency][],
  progress: Progress,
  signal?: AbortSignal,
): Promise<void> {
  if (session.flags.dryRun) return;
  await Promise.all(
    dependencies.map(async ([needed, { condition, required }]) => {
      try {
        for (const container of live.get(needed)!)
          await waitForCondition(session, container, condition, progress, signal);
      } catch (error) {
        if (!(error instanceof DependencyFailed)) throw error;
        if (required) throw new DependencyFailed(`dependency failed to start: ${error.message}`);
        session.warn(`optional dependency ${JSON.stringify(needed)} failed to start: ${error.message}`);
      }
    }),
  );
}

/** Runs `task` for containers so that those that need others come before them: for stopping and removing. */
export async function inReverseOrder(
  containers: readonly ContainerSummary[],
  limit: number,
  task: (container: ContainerSummary) => Promise<void>,
): Promise<void> {
  const byService = new Map<string, ContainerSummary[]>();
  for (const container of containers) {
    const name = container.Labels[label.service] ?? nameOf(container);
    byService.set(name, [...(byService.get(name) ?? []), container]);
  }
  const dependents = new Map<string, Set<string>>();
  for (const [name, [first]] of byService)
    for (const needed of neededServices(first!))
      dependents.set(needed, (dependents.get(needed) ?? new Set()).add(name));
  await runGraph(
    [...byService.keys()],
    (name) => [...(dependents.get(name) ?? [])],
    0,
    (name) => forEachParallel(byService.get(name)!, limit, task),
  );
}

/** From the label `db:service_healthy:false,cache:…`, so that no file is needed. */
function neededServices(container: ContainerSummary): string[] {
  return (container.Labels[label.dependsOn] ?? "").split(",").flatMap((entry) => entry.split(":")[0] || []);
}

/**
 * Stops containers, dependents first.
 * @param project for their hooks
 * @param timeout seconds; undefined: each container's own
 */
export async function stopContainers(
  session: Session,
  project: Project | undefined,
  containers: readonly ContainerSummary[],
  progress: Progress,
  timeout?: number,
): Promise<void> {
  await inReverseOrder(containers, session.flags.parallel, async (container) => {
    const id = `Container ${nameOf(container)}`;
    progress.event(id, "Stopping");
    if (!session.flags.dryRun) await stopContainer(session, project, hookedOf(container), timeout);
    progress.event(id, "Stopped", "done");
  });
}

export const hookedOf = (container: ContainerSummary): HookedContainer => ({
  id: container.Id,
  name: nameOf(container),
  service: container.Labels[label.service] ?? "",
});
