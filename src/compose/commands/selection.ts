/** Which containers a command is about. */

import { NotFound } from "../../lib/errors.ts";
import { ComposeError, didYouMean } from "../model/errors.ts";
import type { Project } from "../model/types.ts";
import { label } from "../plan/observed.ts";
import { type ContainerSummary, isOneOff, numberOf } from "../run/engine.ts";
import type { Session } from "../run/session.ts";

export interface Selection {
  name: string;
  /** Missing when only a name was given and there is no file. */
  project?: Project;
  containers: ContainerSummary[];
}

/**
 * The project's containers, of the named services only when there are any.
 * @throws ComposeError "no such service: x" for a service that neither the files nor the engine know
 */
export async function selectContainers(
  session: Session,
  services: string[],
  options: { all?: boolean; oneOff?: boolean } = {},
): Promise<Selection> {
  const { name, project } = session.projectNameOnly();
  const found = (await session.engine.containers(name, { all: options.all })).filter(
    (container) => options.oneOff || !isOneOff(container),
  );
  const known = new Set([
    ...Object.keys(project?.services ?? {}),
    ...found.map((container) => container.Labels[label.service] ?? ""),
  ]);
  for (const service of services)
    if (!known.has(service))
      throw ComposeError.at(undefined, `no such service: ${service}`, didYouMean(service, known));
  const containers = found.filter(
    (container) => services.length === 0 || services.includes(container.Labels[label.service] ?? ""),
  );
  return { name, project, containers };
}

/**
 * One running container of a service.
 * @param index its number; undefined: the lowest
 * @throws NotFound `service "web" is not running`
 */
export async function oneContainer(
  session: Session,
  service: string,
  index?: number,
): Promise<ContainerSummary> {
  const { containers } = await selectContainers(session, [service], { all: false });
  const found = containers.find((container) => !index || numberOf(container) === index);
  if (!found)
    throw new NotFound(
      index
        ? `service ${JSON.stringify(service)} is not running container #${index}`
        : `service ${JSON.stringify(service)} is not running`,
    );
  return found;
}
