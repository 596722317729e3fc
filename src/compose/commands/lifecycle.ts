/** Commands that do one thing to each container: start, stop, restart, kill, pause, unpause, rm, wait. */
import { ComposeError } from "../model/errors.ts";
import type { Project } from "../model/types.ts";
import { label } from "../plan/observed.ts";
import type { LiveContainer } from "../run/converge.ts";
import { type ContainerSummary, isOneOff, nameOf, numberOf } from "../run/engine.ts";
import { runHooks } from "../run/hooks.ts";
import { forEachParallel } from "../run/parallel.ts";
import { suspend } from "../run/provider.ts";
import type { Session } from "../run/session.ts";
import { hookedOf, startServices, stopContainers } from "../run/start.ts";
import { timeoutSignal, waitForCondition } from "../run/wait.ts";
import { defineCommand } from "./command.ts";
import { selectContainers } from "./selection.ts";

export const start = defineCommand({
  name: "start",
  usage: "[SERVICE...]",
  summary: "Start services",
  flags: {
    wait: { type: "bool", help: "Wait for services to be running|healthy. Implies detached mode" },
    "wait-timeout": {
      type: "int",
      help: "Maximum duration in seconds to wait for the project to be running|healthy",
    },
  },
  async run(session, flags, args) {
    const project = session.project(args);
    const { containers } = await selectContainers(session, args, { all: true });
    const live = new Map<string, LiveContainer[]>();
    for (const container of containers) {
      const service = container.Labels[label.service] ?? "";
      const entry: LiveContainer = {
        id: container.Id,
        name: nameOf(container),
        service,
        number: numberOf(container),
        state: container.State === "running" ? "running" : "kept",
      };
      live.set(service, [...(live.get(service) ?? []), entry]);
    }
    for (const name of args)
      if (!live.has(name))
        throw ComposeError.at(undefined, `service ${JSON.stringify(name)} has no container to start`);
    using progress = session.progress("Running");
    await startServices(session, project, live, progress);
    if (flags.wait) {
      const signal = timeoutSignal(flags["wait-timeout"]);
      for (const container of [...live.values()].flat())
        await waitForCondition(session, container, "running_or_healthy", progress, signal);
    }
    return 0;
  },
});

const timeoutFlag = {
  timeout: { type: "int", short: "t", help: "Specify a shutdown timeout in seconds" },
} as const;

export const stop = defineCommand({
  name: "stop",
  usage: "[OPTIONS] [SERVICE...]",
  summary: "Stop services",
  flags: timeoutFlag,
  async run(session, flags, args) {
    const { containers, project } = await selectContainers(session, args, { all: true });
    using progress = session.progress("Stopping");
    await stopContainers(session, project, containers, progress, flags.timeout);
    if (project)
      await suspend(
        session,
        project,
        new Set(args.length > 0 ? args : Object.keys(project.services)),
        progress,
      );
    return 0;
  },
});

export const restart = defineCommand({
  name: "restart",
  usage: "[OPTIONS] [SERVICE...]",
  summary: "Restart service containers",
  flags: { ...timeoutFlag, "no-deps": { type: "bool", help: "Don't restart dependent services" } },
  async run(session, flags, args) {
    const { containers, project } = await selectContainers(session, args, { all: true });
    const dependents =
      args.length === 0 || flags["no-deps"] || !project
        ? []
        : Object.entries(project.services)
            .filter(
              ([name, service]) =>
                !args.includes(name) && args.some((needed) => service.depends_on?.[needed]?.restart),
            )
            .map(([name]) => name);
    const more =
      dependents.length > 0 ? (await selectContainers(session, dependents, { all: false })).containers : [];
    using progress = session.progress("Restarting");
    for (const group of [containers, more])
      await forEachParallel(group, session.flags.parallel, async (container) => {
        const id = `Container ${nameOf(container)}`;
        progress.event(id, "Restarting");
        if (!session.flags.dryRun) await restartOne(session, project, container, flags.timeout);
        progress.event(id, "Started", "done");
      });
    return 0;
  },
});

/** With the hooks around it that stop and start have. */
async function restartOne(
  session: Session,
  project: Project | undefined,
  container: ContainerSummary,
  timeout: number | undefined,
): Promise<void> {
  const own = hookedOf(container);
  const { pre_stop, post_start } = project?.services[own.service] ?? {};
  if (container.State === "running") await runHooks(session, pre_stop, own);
  await session.client.call("POST", `/containers/${own.id}/restart`, { query: { t: timeout } });
  await runHooks(session, post_start, own);
}

/** Does `path` to each container and tells of it in two words. */
async function each(
  session: Session,
  containers: ContainerSummary[],
  words: { title: string; doing: string; done: string },
  act: (container: ContainerSummary) => Promise<unknown>,
): Promise<void> {
  using progress = session.progress(words.title);
  await forEachParallel(containers, session.flags.parallel, async (container) => {
    const id = `Container ${nameOf(container)}`;
    progress.event(id, words.doing);
    if (!session.flags.dryRun) await act(container);
    progress.event(id, words.done, "done");
  });
}

export const kill = defineCommand({
  name: "kill",
  usage: "[OPTIONS] [SERVICE...]",
  summary: "Force stop service containers",
  flags: {
    signal: { type: "string", short: "s", help: "SIGNAL to send to the container", default: "SIGKILL" },
    "remove-orphans": {
      type: "bool",
      help: "Remove containers for services not defined in the Compose file",
    },
  },
  async run(session, flags, args) {
    const { containers } = await selectContainers(session, args, { all: false });
    if (containers.length === 0) {
      session.warn("no container to kill");
      return 0;
    }
    await each(session, containers, { title: "Killing", doing: "Killing", done: "Killed" }, ({ Id }) =>
      session.client.call("POST", `/containers/${Id}/kill`, { query: { signal: flags.signal } }),
    );
    return 0;
  },
});

export const pause = defineCommand({
  name: "pause",
  usage: "[SERVICE...]",
  summary: "Pause services",
  flags: {},
  async run(session, _flags, args) {
    const { containers } = await selectContainers(session, args, { all: false });
    await each(session, containers, { title: "Pausing", doing: "Pausing", done: "Paused" }, ({ Id }) =>
      session.client.call("POST", `/containers/${Id}/pause`),
    );
    return 0;
  },
});

export const unpause = defineCommand({
  name: "unpause",
  usage: "[SERVICE...]",
  summary: "Unpause services",
  flags: {},
  async run(session, _flags, args) {
    const { containers } = await selectContainers(session, args, { all: true });
    const paused = containers.filter(({ State }) => State === "paused");
    await each(session, paused, { title: "Unpausing", doing: "Unpausing", done: "Unpaused" }, ({ Id }) =>
      session.client.call("POST", `/containers/${Id}/unpause`),
    );
    return 0;
  },
});

export const rm = defineCommand({
  name: "rm",
  usage: "[OPTIONS] [SERVICE...]",
  summary: "Removes stopped service containers",
  flags: {
    force: { type: "bool", short: "f", help: "Don't ask to confirm removal" },
    stop: { type: "bool", short: "s", help: "Stop the containers, if required, before removing" },
    volumes: { type: "bool", short: "v", help: "Remove any anonymous volumes attached to containers" },
    all: { type: "bool", short: "a", help: "Deprecated - no effect", hidden: true },
  },
  async run(session, flags, args) {
    const { containers, project } = await selectContainers(session, args, { all: true, oneOff: true });
    if (flags.stop) {
      using progress = session.progress("Stopping");
      const running = containers.filter(({ State }) => State === "running");
      await stopContainers(session, project, running, progress);
    }
    const removable = containers.filter(
      ({ State }) => flags.stop || !["running", "paused", "restarting"].includes(State),
    );
    if (removable.length === 0) {
      session.err.write("No stopped containers\n");
      return 0;
    }
    if (!flags.force) {
      const names = removable.map(nameOf).join(", ");
      if (!confirm(`Going to remove ${names}\nAre you sure?`)) return 0;
    }
    await each(session, removable, { title: "Removing", doing: "Removing", done: "Removed" }, ({ Id }) =>
      session.engine.remove(Id, flags.volumes),
    );
    return 0;
  },
});

export const wait = defineCommand({
  name: "wait",
  usage: "SERVICE [SERVICE...] [OPTIONS]",
  summary: "Block until containers of all (or specified) services stop.",
  flags: { "down-project": { type: "bool", help: "Drops project when the first container stops" } },
  async run(session, flags, args) {
    if (args.length === 0) throw ComposeError.at(undefined, "requires at least 1 arg(s), only received 0");
    const { containers, name, project } = await selectContainers(session, args, { all: false });
    if (containers.length === 0)
      throw ComposeError.at(undefined, `no containers for project ${JSON.stringify(name)}`);
    const stop = new AbortController();
    const release = session.onInterrupt(() => stop.abort());
    try {
      const waits = containers.map(async (container) => {
        const code = await session.engine.wait(container.Id, stop.signal);
        session.out.write(`container ${JSON.stringify(container.Id)} exited with status code ${code}\n`);
        return code;
      });
      const code = flags["down-project"]
        ? await Promise.race(waits)
        : ((await Promise.all(waits)).at(-1) ?? 0);
      if (flags["down-project"]) {
        using progress = session.progress("Running");
        const all = (await session.engine.containers(name)).filter((container) => !isOneOff(container));
        await stopContainers(session, project, all, progress);
        await forEachParallel(all, session.flags.parallel, ({ Id }) => session.engine.remove(Id, false));
      }
      return code;
    } finally {
      release();
      stop.abort();
    }
  },
});
