import { Conflict, Forbidden, NotFound } from "../../lib/errors.ts";
import { ComposeError } from "../model/errors.ts";
import type { Project } from "../model/types.ts";
import { label } from "../plan/observed.ts";
import { removeContainer } from "../run/converge.ts";
import { encodeImage, isOneOff, nameOf } from "../run/engine.ts";
import { imageOf } from "../run/images.ts";
import { forEachParallel } from "../run/parallel.ts";
import type { Progress } from "../run/progress.ts";
import { withdraw } from "../run/provider.ts";
import type { Session } from "../run/session.ts";
import { hookedOf, inReverseOrder } from "../run/start.ts";
import { defineCommand } from "./command.ts";

export const down = defineCommand({
  name: "down",
  usage: "[OPTIONS] [SERVICES]",
  summary: "Stop and remove containers, networks",
  flags: {
    "remove-orphans": {
      type: "bool",
      help: "Remove containers for services not defined in the Compose file",
    },
    rmi: {
      type: "string",
      help: 'Remove images used by services. "local" remove only images that don\'t have a custom tag ("local"|"all")',
    },
    timeout: { type: "int", short: "t", help: "Specify a shutdown timeout in seconds" },
    volumes: {
      type: "bool",
      short: "v",
      help: 'Remove named volumes declared in the "volumes" section of the Compose file and anonymous volumes attached to containers',
    },
  },
  async run(session, flags, args) {
    if (flags.rmi !== undefined && flags.rmi !== "local" && flags.rmi !== "all")
      throw ComposeError.at(
        undefined,
        `invalid value for --rmi: ${JSON.stringify(flags.rmi)}`,
        "it is local or all",
      );
    const { name, project } = session.projectNameOnly();
    for (const service of args)
      if (project && !project.services[service])
        throw ComposeError.at(undefined, `no such service: ${service}`);
    const all = await session.engine.containers(name);
    const known = (service: string) => !project || project.services[service] !== undefined;
    const orphans = all.filter(
      (container) => !isOneOff(container) && !known(container.Labels[label.service] ?? ""),
    );
    const chosen = all.filter((container) => {
      const service = container.Labels[label.service] ?? "";
      if (args.length > 0) return args.includes(service);
      return known(service) || flags["remove-orphans"];
    });
    if (orphans.length > 0 && !flags["remove-orphans"])
      session.warn(
        `Found orphan containers ([${orphans.map(nameOf).join(" ")}]) for this project. If you removed or renamed this service in your compose file, you can run this command with the --remove-orphans flag to clean it up.`,
      );

    using progress = session.progress("Running");
    await inReverseOrder(chosen, session.flags.parallel, (container) =>
      removeContainer(
        session,
        project,
        { ...hookedOf(container), state: container.State },
        progress,
        flags.timeout,
        flags.volumes,
      ),
    );
    if (project && args.length === 0) await withdraw(session, project, progress);
    const found = await session.engine.observe(name, { networks: [], volumes: [] });
    const work: (() => Promise<void>)[] = [];
    if (args.length === 0) {
      for (const network of Object.values(found.networks))
        work.push(() => removeNamed(session, progress, `Network ${network.name}`, `/networks/${network.id}`));
      if (flags.volumes)
        for (const volume of Object.values(found.volumes))
          work.push(() =>
            removeNamed(
              session,
              progress,
              `Volume ${volume.name}`,
              `/volumes/${encodeURIComponent(volume.name)}`,
            ),
          );
    }
    if (flags.rmi && project)
      for (const image of imagesToRemove(project, flags.rmi, args))
        work.push(() => removeNamed(session, progress, `Image ${image}`, `/images/${encodeImage(image)}`));
    if (chosen.length === 0 && work.length === 0 && args.length === 0)
      session.warn(`No resource found to remove for project ${JSON.stringify(name)}.`);
    await forEachParallel(work, session.flags.parallel, (remove) => remove());
    return 0;
  },
});

/** Something in use by others stays, and that is said. */
async function removeNamed(session: Session, progress: Progress, id: string, path: string): Promise<void> {
  progress.event(id, "Removing");
  try {
    if (!session.flags.dryRun) await session.client.call("DELETE", path);
    progress.event(id, "Removed", "done");
  } catch (error) {
    if (error instanceof NotFound) progress.event(id, "Warning: No resource found to remove", "warning");
    else if (error instanceof Conflict || error instanceof Forbidden)
      progress.event(id, "Resource is still in use", "warning");
    else throw error;
  }
}

/** `local`: what was built without a name of the user's choice; `all`: every service's image. */
function imagesToRemove(project: Project, which: "local" | "all", services: string[]): string[] {
  const names = Object.entries(project.services)
    .filter(
      ([name, { image, provider }]) =>
        !provider &&
        (services.length === 0 || services.includes(name)) &&
        (which === "all" || image === undefined),
    )
    .map(([name]) => imageOf(project, name));
  return [...new Set(names)].sort();
}
