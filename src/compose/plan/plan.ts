/** From a project and what exists to what has to be done. Pure: the same input gives the same plan. */
import { ComposeError } from "../model/errors.ts";
import { startOrder, withDependencies } from "../model/graph.ts";
import { networkHash, serviceHash, volumeHash } from "../model/hash.ts";
import type { Project, Service } from "../model/types.ts";
import { withSharedNamespaces } from "./namespaces.ts";
import { label, type Observed, type ObservedContainer } from "./observed.ts";

export type RecreatePolicy = "diverged" | "force" | "never";

export interface UpOptions {
  /** Services to bring up; empty: all. */
  services: string[];
  /** For the services that were named, or all when none were. */
  recreate: RecreatePolicy;
  /** For those drawn in by dependencies. */
  recreateDependencies: RecreatePolicy;
  /** Leave out what the named services need. */
  noDeps: boolean;
  scale: Record<string, number>;
  removeOrphans: boolean;
  /** Image ids now behind each service's image; a missing one is not compared. */
  imageIds: Record<string, string | undefined>;
}

export type ContainerAction =
  | { kind: "create"; number: number; name: string }
  | { kind: "recreate"; number: number; name: string; old: ObservedContainer; reason: string }
  | { kind: "keep"; container: ObservedContainer }
  | { kind: "remove"; container: ObservedContainer };

export interface ServicePlan {
  service: string;
  /** Services that have to be created before this one. */
  after: string[];
  actions: ContainerAction[];
}

export interface NetworkAction {
  kind: "create" | "recreate";
  key: string;
  name: string;
  /** Containers to be stopped and detached first. */
  users: ObservedContainer[];
}

export interface Plan {
  networks: NetworkAction[];
  /** Keys of volumes to create. */
  volumes: string[];
  services: ServicePlan[];
  orphans: ObservedContainer[];
  warnings: string[];
}

/**
 * @throws ComposeError when an external network or volume is missing, a scale contradicts a container name, or a
 * service is unknown
 */
export function planUp(project: Project, observed: Observed, options: UpOptions): Plan {
  const warnings: string[] = [];
  const chosen = chooseServices(project, options);
  const networks = planNetworks(project, observed, chosen);
  const volumes = planVolumes(project, observed, chosen, warnings);
  const newNetworks = new Set(networks.map(({ key }) => key));
  const recreated = new Set<string>();
  const named = new Set(options.services);

  const services = startOrder(project.services)
    .filter((name) => chosen.has(name))
    .map((name): ServicePlan => {
      const service = project.services[name]!;
      const policy = named.size === 0 || named.has(name) ? options.recreate : options.recreateDependencies;
      const actions = planContainers(project, name, observed, policy, options, newNetworks, recreated);
      if (actions.some(({ kind }) => kind === "recreate" || kind === "create")) recreated.add(name);
      return {
        service: name,
        after: Object.keys(service.depends_on ?? {}).filter((needed) => chosen.has(needed)),
        actions,
      };
    });

  const known = new Set([...Object.keys(project.services), ...Object.keys(project.disabledServices)]);
  const orphans = observed.containers.filter(({ service, oneOff }) => !oneOff && !known.has(service));
  if (orphans.length > 0 && !options.removeOrphans)
    warnings.push(
      `Found orphan containers ([${orphans.map(({ name }) => name).join(" ")}]) for this project. If you removed or renamed this service in your compose file, you can run this command with the --remove-orphans flag to clean it up.`,
    );
  return { networks, volumes, services, orphans: options.removeOrphans ? orphans : [], warnings };
}

/** The services that a command is about. @throws ComposeError `no such service: x` */
export function chooseServices(
  project: Project,
  options: { services: string[]; noDeps: boolean },
): Set<string> {
  for (const name of options.services)
    if (!project.services[name]) throw ComposeError.at(undefined, `no such service: ${name}`);
  if (options.services.length === 0) return new Set(Object.keys(project.services));
  return options.noDeps ? new Set(options.services) : withDependencies(project.services, options.services);
}

/** How many containers a service has; what a provider gives has none. */
export function scaleOf(service: Service): number {
  if (service.provider) return 0;
  return service.scale ?? service.deploy?.replicas ?? 1;
}

/** `demo-web-1`, or the name that the service insists on. */
export function containerName(project: Project, name: string, number: number): string {
  return project.services[name]?.container_name ?? `${project.name}-${name}-${number}`;
}

function planNetworks(project: Project, observed: Observed, chosen: Set<string>): NetworkAction[] {
  const needed = new Set([...chosen].flatMap((name) => Object.keys(project.services[name]!.networks ?? {})));
  const actions: NetworkAction[] = [];
  for (const key of needed) {
    const network = project.networks[key]!;
    const name = network.name!;
    const existing = observed.networks[name];
    if (network.external) {
      if (!existing && !["host", "none", "bridge"].includes(name))
        throw ComposeError.at(
          undefined,
          `network ${name} declared as external, but could not be found`,
          `create it with docker network create ${name}`,
        );
    } else if (!existing) actions.push({ kind: "create", key, name, users: [] });
    else {
      const owner = existing.labels[label.project];
      if (owner !== project.name)
        throw ComposeError.at(
          undefined,
          owner === undefined
            ? `network ${name} was found but has incorrect label ${label.network} set to ""`
            : `network ${name} belongs to the project ${owner}`,
          "declare it external: true to use it as it is",
        );
      const hash = existing.labels[label.configHash];
      if (hash !== undefined && hash !== networkHash(network))
        actions.push({
          kind: "recreate",
          key,
          name,
          users: observed.containers.filter(({ networkIds }) => networkIds.includes(existing.id)),
        });
    }
  }
  return actions.sort((a, b) => (a.name < b.name ? -1 : 1));
}

function planVolumes(
  project: Project,
  observed: Observed,
  chosen: Set<string>,
  warnings: string[],
): string[] {
  const needed = new Set(
    [...chosen].flatMap((name) =>
      (project.services[name]!.volumes ?? []).flatMap(({ type, source }) =>
        type === "volume" && source ? [source] : [],
      ),
    ),
  );
  const missing: string[] = [];
  for (const key of [...needed].sort()) {
    const volume = project.volumes[key]!;
    const name = volume.name!;
    const existing = observed.volumes[name];
    if (volume.external) {
      if (!existing)
        throw ComposeError.at(
          undefined,
          `external volume ${JSON.stringify(name)} not found`,
          `create it with docker volume create ${name}`,
        );
    } else if (!existing) missing.push(key);
    else if (existing.labels[label.project] !== project.name)
      warnings.push(
        existing.labels[label.project] === undefined
          ? `volume ${JSON.stringify(name)} already exists but was not created by Docker Compose. Use \`external: true\` to use an existing volume`
          : `volume ${JSON.stringify(name)} already exists but was created for project ${JSON.stringify(existing.labels[label.project])} (expected ${JSON.stringify(project.name)}). Use \`external: true\` to use an existing volume`,
      );
    else if (
      existing.labels[label.configHash] !== undefined &&
      existing.labels[label.configHash] !== volumeHash(volume)
    )
      warnings.push(
        `Volume ${JSON.stringify(name)} exists but doesn't match configuration in compose file. It is kept as it is; remove it to have it made anew (its data will be lost).`,
      );
  }
  return missing;
}

function planContainers(
  project: Project,
  name: string,
  observed: Observed,
  policy: RecreatePolicy,
  options: UpOptions,
  newNetworks: Set<string>,
  recreated: Set<string>,
): ContainerAction[] {
  const service = project.services[name]!;
  const wanted = options.scale[name] ?? scaleOf(service);
  if (service.container_name && wanted > 1)
    throw ComposeError.at(
      undefined,
      `The ${JSON.stringify(name)} service is using the custom container name ${JSON.stringify(service.container_name)}. Docker requires each container to have a unique name. Remove the custom name to scale the service`,
    );
  const reasonOf = (container: ObservedContainer): string | undefined => {
    if (policy === "never") return undefined;
    if (policy === "force") return "asked for";
    return divergence(project, service, container, observed, options.imageIds[name], newNetworks, recreated);
  };
  const existing = observed.containers
    .filter((container) => container.service === name && !container.oneOff)
    .map((container) => ({ container, reason: reasonOf(container) }))
    // When there are too many, those that would have to be made anew go first, then the highest numbers.
    .sort(
      (a, b) =>
        Number(a.reason !== undefined) - Number(b.reason !== undefined) ||
        a.container.number - b.container.number,
    );

  const actions: ContainerAction[] = [];
  for (const [index, { container, reason }] of existing.entries()) {
    if (index >= wanted) actions.push({ kind: "remove", container });
    else if (reason === undefined) actions.push({ kind: "keep", container });
    else {
      const number = container.number;
      actions.push({
        kind: "recreate",
        number,
        name: containerName(project, name, number),
        old: container,
        reason,
      });
    }
  }
  const taken = new Set(existing.map(({ container }) => container.number));
  for (let number = 1, missing = wanted - existing.length; missing > 0; number++) {
    if (taken.has(number)) continue;
    actions.push({ kind: "create", number, name: containerName(project, name, number) });
    missing--;
  }
  return actions;
}

/** Why a container no longer is what the project says; undefined: it is. */
function divergence(
  project: Project,
  service: Service,
  container: ObservedContainer,
  observed: Observed,
  imageId: string | undefined,
  newNetworks: Set<string>,
  recreated: Set<string>,
): string | undefined {
  const sharing = [service.network_mode, service.ipc, service.pid, service.uts].flatMap((mode) =>
    mode?.startsWith("service:") ? [mode.slice("service:".length)] : [],
  );
  const renewed = sharing.find((name) => recreated.has(name));
  if (renewed !== undefined) return `the container of ${renewed} is a new one`;
  const containerOf = (name: string) =>
    observed.containers
      .filter((other) => other.service === name && !other.oneOff)
      .sort((a, b) => a.number - b.number)[0]?.id ?? "";
  if (container.labels[label.configHash] !== serviceHash(withSharedNamespaces(service, containerOf)))
    return "configuration changed";
  const madeFrom = container.labels[label.image];
  if (imageId !== undefined && madeFrom !== undefined && madeFrom !== imageId) return "image changed";
  for (const key of Object.keys(service.networks ?? {})) {
    if (newNetworks.has(key)) return `network ${key} changed`;
    const id = observed.networks[project.networks[key]!.name!]?.id;
    if (id !== undefined && !container.networkIds.includes(id)) return `not attached to network ${key}`;
  }
  for (const mount of service.volumes ?? []) {
    if (mount.type !== "volume" || !mount.source) continue;
    if (!container.volumes.includes(project.volumes[mount.source]!.name!))
      return `volume ${mount.source} changed`;
  }
  return undefined;
}
