import { ComposeError } from "../model/errors.ts";
import type { Project } from "../model/types.ts";
import { chooseServices } from "../plan/plan.ts";
import type { LiveContainer } from "../run/converge.ts";
import type { Session } from "../run/session.ts";
import { startServices } from "../run/start.ts";
import { type WatchOptions, watchedServices, watchServices } from "../run/watch/watch.ts";
import { defineCommand } from "./command.ts";
import { createProject } from "./up.ts";

export const watch = defineCommand({
  name: "watch",
  usage: "[SERVICE...]",
  summary: "Watch build context for service and rebuild/refresh containers when files are updated",
  flags: {
    "no-up": { type: "bool", help: "Do not build & start services before watching" },
    prune: { type: "bool", help: "Prune dangling images on rebuild", default: true },
    quiet: { type: "bool", help: "hide build output" },
  },
  async run(session, flags, args) {
    const project = session.project(args);
    const services = toWatch(project, args);
    if (!flags["no-up"]) await bringUp(session, project, args, { build: true, quiet: flags.quiet });
    const stop = new AbortController();
    const release = session.onInterrupt(() => stop.abort());
    try {
      await watchServices(session, project, services, {
        quiet: flags.quiet,
        prune: flags.prune,
        recreate: recreating(session, project),
        signal: stop.signal,
      });
    } finally {
      release();
    }
    return 130;
  },
});

/** @throws ComposeError when nothing is to be watched */
export function toWatch(project: Project, args: string[]): string[] {
  const services = watchedServices(project, chooseServices(project, { services: args, noDeps: false }));
  if (services.length === 0)
    throw ComposeError.at(
      undefined,
      "none of the selected services is configured for watch, consider setting a 'develop' section",
    );
  return services;
}

/** @param onStarted hears of each container that is started */
export function recreating(
  session: Session,
  project: Project,
  onStarted?: (container: LiveContainer) => void,
): WatchOptions["recreate"] {
  return (services) => bringUp(session, project, services, { force: true, onStarted });
}

async function bringUp(
  session: Session,
  project: Project,
  services: string[],
  options: {
    build?: boolean;
    quiet?: boolean;
    force?: boolean;
    onStarted?: (container: LiveContainer) => void;
  },
): Promise<void> {
  const live = await createProject(session, project, services, {
    build: options.build ?? false,
    "no-build": false,
    "force-recreate": options.force ?? false,
    "no-recreate": false,
    pull: undefined,
    "quiet-pull": false,
    "quiet-build": options.quiet,
    "remove-orphans": false,
    "no-deps": options.force,
    scale: [],
  });
  using progress = session.progress("Running");
  await startServices(session, project, live, progress, { onStarted: options.onStarted });
}
