/** Carrying out a plan: networks and volumes, then containers in the order of their dependencies. */
import { readFileSync } from "node:fs";
import { Internal } from "../../lib/errors.ts";
import { ComposeError } from "../model/errors.ts";
import { networkHash, volumeHash } from "../model/hash.ts";
import type { Project, Service } from "../model/types.ts";
import { composeVersion, label, type ObservedContainer } from "../plan/observed.ts";
import type { ContainerAction, NetworkAction, Plan } from "../plan/plan.ts";
import { type ContainerRequest, containerRequest, type RequestContext } from "../plan/request.ts";
import { injectFiles, warnAboutModes } from "./files.ts";
import { type HookedContainer, stopContainer } from "./hooks.ts";
import { imageOf } from "./images.ts";
import { forEachParallel, runGraph } from "./parallel.ts";
import type { Progress } from "./progress.ts";
import type { Session } from "./session.ts";

/** A container that the plan wants, after it was carried out. */
export interface LiveContainer {
  id: string;
  name: string;
  service: string;
  number: number;
  /** What became of it; a kept one that runs is left alone. */
  state: "created" | "recreated" | "kept" | "running";
}

export interface ConvergeOptions {
  /** Image ids by service. */
  imageIds: Record<string, string | undefined>;
  /** Seconds to stop; undefined: each container's own. */
  timeout?: number;
  /** Anonymous volumes are made new instead of carried over. */
  renewAnonymousVolumes: boolean;
}

/** Makes it so. @returns the containers of each service, ready to be started */
export async function converge(
  session: Session,
  project: Project,
  plan: Plan,
  progress: Progress,
  options: ConvergeOptions,
): Promise<Map<string, LiveContainer[]>> {
  for (const message of plan.warnings) session.warn(message);
  const limit = session.flags.parallel;
  await forEachParallel(plan.orphans, limit, (orphan) =>
    removeContainer(session, project, orphan, progress, options.timeout),
  );
  for (const action of plan.networks) await applyNetwork(session, project, action, progress, options.timeout);
  await forEachParallel(plan.volumes, limit, (key) => createVolume(session, project, key, progress));

  const live = new Map<string, LiveContainer[]>();
  const byName = new Map(plan.services.map((item) => [item.service, item]));
  await runGraph(
    plan.services,
    (item) => item.after.flatMap((name) => byName.get(name) ?? []),
    limit,
    async ({ service, actions }) => {
      const containers: LiveContainer[] = [];
      live.set(service, containers);
      warnAboutModes(session, project, project.services[service]!);
      await forEachParallel(actions, limit, async (action) => {
        const container = await applyContainer(session, project, service, action, progress, options, live);
        if (container) containers.push(container);
      });
      containers.sort((a, b) => a.number - b.number);
    },
  );
  return live;
}

/** Stops and removes one container, told as two steps. @param project for its hooks */
export async function removeContainer(
  session: Session,
  project: Project | undefined,
  container: HookedContainer & { state?: string },
  progress: Progress,
  timeout?: number,
  volumes = false,
): Promise<void> {
  const id = `Container ${container.name}`;
  progress.event(id, "Stopping");
  if (!session.flags.dryRun && container.state !== "exited" && container.state !== "created")
    await stopContainer(session, project, container, timeout);
  progress.event(id, "Stopped", "done");
  progress.event(id, "Removing");
  if (!session.flags.dryRun) await session.engine.remove(container.id, volumes);
  progress.event(id, "Removed", "done");
}

async function applyNetwork(
  session: Session,
  project: Project,
  { kind, key, name, users }: NetworkAction,
  progress: Progress,
  timeout?: number,
): Promise<void> {
  const id = `Network ${name}`;
  if (kind === "recreate") {
    await forEachParallel(users, session.flags.parallel, async (container) => {
      progress.event(`Container ${container.name}`, "Stopping");
      if (!session.flags.dryRun) {
        await stopContainer(session, project, container, timeout);
        await session.client.call("POST", `/networks/${name}/disconnect`, {
          body: { Container: container.id, Force: true },
        });
      }
      progress.event(`Container ${container.name}`, "Stopped", "done");
    });
    progress.event(id, "Removing");
    if (!session.flags.dryRun) await session.client.call("DELETE", `/networks/${name}`);
    progress.event(id, "Removed", "done");
  }
  progress.event(id, "Creating");
  if (!session.flags.dryRun) await createNetwork(session, project, key);
  progress.event(id, "Created", "done");
}

async function createNetwork(session: Session, project: Project, key: string): Promise<void> {
  const network = project.networks[key]!;
  await session.client.call("POST", "/networks/create", {
    body: {
      Name: network.name,
      CheckDuplicate: true,
      Driver: network.driver ?? "bridge",
      Options: network.driver_opts,
      Internal: network.internal ?? false,
      Attachable: network.attachable ?? false,
      EnableIPv4: network.enable_ipv4,
      EnableIPv6: network.enable_ipv6,
      IPAM: network.ipam
        ? {
            Driver: network.ipam.driver ?? "default",
            Options: network.ipam.options,
            Config: (network.ipam.config ?? []).map(({ subnet, gateway, ip_range, aux_addresses }) => ({
              Subnet: subnet,
              Gateway: gateway,
              IPRange: ip_range,
              AuxiliaryAddresses: aux_addresses,
            })),
          }
        : undefined,
      Labels: {
        ...network.labels,
        [label.project]: project.name,
        [label.network]: key,
        [label.version]: composeVersion,
        [label.configHash]: networkHash(network),
      },
    },
  });
}

async function createVolume(
  session: Session,
  project: Project,
  key: string,
  progress: Progress,
): Promise<void> {
  const volume = project.volumes[key]!;
  const id = `Volume ${volume.name}`;
  progress.event(id, "Creating");
  if (!session.flags.dryRun)
    await session.client.call("POST", "/volumes/create", {
      body: {
        Name: volume.name,
        Driver: volume.driver ?? "local",
        DriverOpts: volume.driver_opts,
        Labels: {
          ...volume.labels,
          [label.project]: project.name,
          [label.volume]: key,
          [label.version]: composeVersion,
          [label.configHash]: volumeHash(volume),
        },
      },
    });
  progress.event(id, "Created", "done");
}

async function applyContainer(
  session: Session,
  project: Project,
  service: string,
  action: ContainerAction,
  progress: Progress,
  options: ConvergeOptions,
  live: Map<string, LiveContainer[]>,
): Promise<LiveContainer | undefined> {
  if (action.kind === "remove") {
    await removeContainer(session, project, action.container, progress, options.timeout);
    return undefined;
  }
  if (action.kind === "keep") {
    const { id, name, number, state } = action.container;
    const running = state === "running";
    if (running) progress.event(`Container ${name}`, "Running", "done");
    return { id, name, service, number, state: running ? "running" : "kept" };
  }
  const context: RequestContext = {
    number: action.number,
    containerName: action.name,
    image: imageOf(project, service),
    imageId: options.imageIds[service],
    useAliases: true,
    containerOf: (other) => firstContainer(live, other),
    inheritedVolumes: {},
  };
  const result = { name: action.name, service, number: action.number };
  const id = `Container ${action.name}`;
  if (action.kind === "create") {
    progress.event(id, "Creating");
    try {
      const created = await createContainer(
        session,
        project,
        service,
        project.services[service]!,
        context,
        action.name,
      );
      progress.event(id, "Created", "done");
      return { ...result, id: created, state: "created" };
    } catch (error) {
      progress.event(id, "Error", "error");
      throw error;
    }
  }
  progress.event(id, "Recreate");
  try {
    const created = await recreate(session, project, service, action.old, context, options);
    progress.event(id, "Recreated", "done");
    return { ...result, id: created, state: "recreated" };
  } catch (error) {
    progress.event(id, "Error", "error");
    throw error;
  }
}

function firstContainer(live: Map<string, LiveContainer[]>, service: string): string {
  const container = live.get(service)?.[0];
  if (!container)
    throw ComposeError.at(undefined, `no container of the service ${JSON.stringify(service)} to share with`);
  return container.id;
}

/** The new container is made beside the old one, under a name for the time being, so that a failure loses nothing. */
async function recreate(
  session: Session,
  project: Project,
  service: string,
  old: ObservedContainer,
  context: RequestContext,
  options: ConvergeOptions,
): Promise<string> {
  if (session.flags.dryRun) return old.id;
  const inheritedVolumes = options.renewAnonymousVolumes
    ? {}
    : await anonymousVolumes(session, project, service, old);
  const temporary = `${old.id.slice(0, 12)}_${context.containerName}`;
  const created = await createContainer(
    session,
    project,
    service,
    project.services[service]!,
    { ...context, inheritedVolumes, replaces: old.name },
    temporary,
  );
  try {
    await stopContainer(session, project, old, options.timeout);
    await session.engine.remove(old.id, false);
  } catch (error) {
    await session.engine.remove(created, false);
    throw error;
  }
  await session.client.call("POST", `/containers/${created}/rename`, {
    query: { name: context.containerName },
  });
  return created;
}

/** Volumes of the old container that have no name in the project, by where they are mounted. */
async function anonymousVolumes(
  session: Session,
  project: Project,
  service: string,
  old: ObservedContainer,
): Promise<Record<string, string>> {
  const { Mounts } = await session.engine.inspect(old.id);
  const own = new Map((project.services[service]!.volumes ?? []).map((mount) => [mount.target, mount]));
  const inherited: Record<string, string> = {};
  for (const { Type, Name, Destination } of Mounts) {
    const mount = own.get(Destination);
    const isAnonymous =
      mount === undefined ? /^[0-9a-f]{64}$/.test(Name ?? "") : mount.type === "volume" && !mount.source;
    if (Type === "volume" && Name && isAnonymous) inherited[Destination] = Name;
  }
  return inherited;
}

/** Creates a container under `name`, with all its networks and files. @returns its id */
export async function createContainer(
  session: Session,
  project: Project,
  serviceName: string,
  service: Service,
  context: RequestContext,
  name: string,
  change: (request: ContainerRequest) => void = () => {},
): Promise<string> {
  if (session.flags.dryRun) return name;
  const request = containerRequest(project, serviceName, service, context);
  request.body.HostConfig.SecurityOpt = request.body.HostConfig.SecurityOpt?.map(withProfileText);
  change(request);
  const { Id, Warnings } = await session.client.call<{ Id: string; Warnings: string[] | null }>(
    "POST",
    "/containers/create",
    { query: { name, platform: service.platform }, body: request.body },
  );
  for (const warning of Warnings ?? []) session.warn(warning);
  try {
    for (const network of request.laterNetworks)
      await session.client.call("POST", `/networks/${encodeURIComponent(network.name)}/connect`, {
        body: { Container: Id, EndpointConfig: network.endpoint },
      });
    await injectFiles(session, project, service, Id);
  } catch (error) {
    await session.engine.remove(Id, true);
    throw error;
  }
  return Id;
}

/** `seccomp:/path/profile.json` -> `seccomp={...}`. */
function withProfileText(option: string): string {
  const path = /^seccomp[=:](\/.*)$/.exec(option)?.[1];
  if (!path) return option;
  try {
    return `seccomp=${JSON.stringify(JSON.parse(readFileSync(path, "utf8")))}`;
  } catch (error) {
    throw new Internal(`opening seccomp profile (${path}) failed: ${(error as Error).message}`);
  }
}
