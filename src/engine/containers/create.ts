import { existsSync, lstatSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { InvalidParameter, NotFound } from "../../lib/errors.ts";
import { newId, randomName, shortId } from "../../lib/ids.ts";
import type { Platform } from "../../lib/oci.ts";
import { formatPlatform, hostPlatform, platformDistance } from "../../lib/platform.ts";
import { resolveInRoot } from "../../store/index.ts";
import type { ImageRecord } from "../../store/types.ts";
import type { ContainerConfig, HostConfig } from "../config.ts";
import { type Context, paths, snapshotKey } from "../context.ts";
import { checkEndpoint } from "../endpoint-check.ts";
import type { NetworkService } from "../networks.ts";
import { remapOf } from "../remap.ts";
import type { ContainerRecord, CreateContainer, EndpointState } from "../types.ts";
import type { Volumes } from "../volumes.ts";
import { containerEvent } from "./events.ts";
import { checkHostConfig } from "./host-config.ts";
import { initLayer, initLayerKey } from "./init-layer.ts";
import { checkLinks } from "./links.ts";
import { keepsLog } from "./log-config.ts";
import { mergeImageConfig } from "./merge.ts";
import { type PlannedMount, planMounts } from "./mounts.ts";
import { newEndpoint, sharedWith } from "./networking.ts";
import { parseSignal } from "./signals.ts";
import type { Container, ContainerTable } from "./table.ts";

const namePattern = /^\/?[a-zA-Z0-9][a-zA-Z0-9_.-]+$/;

export interface CreateDependencies {
  context: Context;
  table: ContainerTable;
  networks: NetworkService;
  volumes: Volumes;
  findImage(reference: string, platform?: Platform): ImageRecord;
}

/**
 * Creates a container: everything is checked before anything is made, and what was made goes again when a later
 * step fails.
 * @throws NotFound image or network, Conflict name, InvalidParameter
 */
export async function createContainer(
  deps: CreateDependencies,
  request: CreateContainer,
): Promise<{ container: Container; warnings: string[] }> {
  const { context, table } = deps;
  const id = newId();
  const name = chooseName(table, request.name);
  const warnings: string[] = [];
  const image = deps.findImage(request.config.Image, request.platform);
  deps.context.signatures.check(request.config.Image, image.id);
  if (!request.platform && platformDistance(image.platform, hostPlatform) === undefined)
    warnings.push(
      `The requested image's platform (${formatPlatform(image.platform)}) does not match the detected host platform (${formatPlatform(hostPlatform)}) and no specific platform was requested`,
    );
  const config = mergeImageConfig(request.config, image.config.config ?? {});
  const hostConfig = checkHostConfig(request.hostConfig, context, warnings);
  // With the host's network goes the host's name.
  config.Hostname ||=
    hostConfig.UTSMode === "host" || hostConfig.NetworkMode === "host" ? hostname() : shortId(id);
  checkLinks(hostConfig, table);
  const process = /^container:(.+)$/.exec(hostConfig.PidMode)?.[1];
  if (process !== undefined) mustExist(() => table.find(process));
  if (hostConfig.UTSMode === "host" && request.config.Hostname !== "")
    throw new InvalidParameter("conflicting options: hostname and the UTS mode");
  for (const entry of request.config.Env)
    if (/^(=|$)/.test(entry)) throw new InvalidParameter(`invalid environment variable: ${entry}`);
  checkConfig(config);
  const endpoints = planEndpoints(deps, hostConfig, request);
  using lease = context.store.images.lease();
  const mounts = await planMounts(config, hostConfig, {
    volumes: deps.volumes,
    mountsOf: (target) => mustExist(() => table.find(target)).record.mounts,
    findImage: (reference) => {
      const found = mustExist(() => deps.findImage(reference));
      context.signatures.check(reference, found.id);
      const top = found.layers.at(-1);
      if (top) lease.addSnapshot(top.chainId);
      return found;
    },
    shallowReadOnly: request.shallowReadOnly ?? false,
    root: hostConfig.UsernsMode === "host" ? undefined : context.remap?.root,
  });
  const data = paths.containerData(context.options, id);
  const args = [...(config.Entrypoint ?? []), ...(config.Cmd ?? [])];
  const record: ContainerRecord = {
    id,
    name,
    createdAt: Date.now(),
    path: args[0]!,
    args: args.slice(1),
    state: { status: "created", pid: 0, exitCode: 0, error: "", oomKilled: false },
    imageId: image.id,
    imageManifest: image.manifest,
    platform: image.platform,
    config,
    hostConfig,
    mounts: mounts.map(({ copyUp: _copyUp, tmpfsOptions: _options, ...mount }) => mount),
    endpoints,
    sandboxId: "",
    ports: {},
    restartCount: 0,
    hasBeenManuallyStopped: false,
    logPath: keepsLog(hostConfig.LogConfig) ? join(data, `${id}-json.log`) : "",
    resolvConfPath: join(data, "resolv.conf"),
    hostnamePath: join(data, "hostname"),
    hostsPath: join(data, "hosts"),
  };
  const { snapshots } = context.store;
  const chain = image.layers.at(-1)?.chainId;
  if (chain) lease.addSnapshot(chain);
  lease.addSnapshot(initLayerKey(chain));
  snapshots.prepare(snapshotKey(id), await initLayer(context.store, chain));
  try {
    mkdirSync(data, { recursive: true, mode: 0o710 });
    await deps.volumes.hold(record);
    try {
      fillVolumes(context, record, mounts);
    } finally {
      await deps.volumes.letGo(record);
    }
    const container = table.add(record);
    containerEvent(context, record, "create");
    return { container, warnings };
  } catch (error) {
    rmSync(data, { recursive: true, force: true });
    snapshots.remove(snapshotKey(id));
    throw error;
  }
}

/** @throws InvalidParameter for a bad name, Conflict for a taken one */
export function checkContainerName(table: ContainerTable, asked: string): string {
  if (!namePattern.test(asked)) {
    throw new InvalidParameter(
      `Invalid container name (${asked}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed`,
    );
  }
  const name = asked.replace(/^\//, "");
  table.checkName(name);
  return name;
}

function chooseName(table: ContainerTable, asked: string | undefined): string {
  if (asked) return checkContainerName(table, asked);
  for (let attempt = 0; ; attempt++) {
    const name = randomName(attempt);
    if (!table.hasName(name)) return name;
  }
}

const leastInterval = 1_000_000;

function checkConfig(config: ContainerConfig): void {
  if (config.WorkingDir !== "" && !config.WorkingDir.startsWith("/"))
    throw new InvalidParameter(
      `the working directory '${config.WorkingDir}' is invalid, it needs to be an absolute path`,
    );
  if (config.StopSignal) parseSignal(config.StopSignal);
  const { Interval, Timeout, StartPeriod, StartInterval, Retries } = config.Healthcheck ?? {};
  for (const [name, value] of Object.entries({ Interval, Timeout, StartPeriod, StartInterval }))
    if (value && value < leastInterval)
      throw new InvalidParameter(`${name} in Healthcheck cannot be less than 1ms`);
  if (Retries && Retries < 0) throw new InvalidParameter("Retries in Healthcheck cannot be negative");
}

function planEndpoints(
  deps: CreateDependencies,
  host: HostConfig,
  request: CreateContainer,
): Record<string, EndpointState> {
  const mode = host.NetworkMode;
  if (sharedWith(mode) !== undefined) {
    mustExist(() => deps.table.find(sharedWith(mode)!));
    checkShared(host, request.config);
    return {};
  }
  if (request.config.NetworkDisabled) host.NetworkMode = "none";
  const endpoints: Record<string, EndpointState> = {};
  const asked = { ...request.endpoints };
  const own = Object.keys(asked).find(
    (name) => name === host.NetworkMode || (name === "default" && host.NetworkMode === "bridge"),
  );
  const primary = own ? asked[own]! : {};
  if (own) delete asked[own];
  // As Docker: who names networks and no mode isn't on the default bridge besides.
  const named = Object.entries(asked);
  const all =
    host.NetworkMode === "bridge" && !own && named.length > 0
      ? named
      : [[host.NetworkMode, primary] as const, ...named];
  for (const [target, endpoint] of all) {
    const network = mustExist(() => deps.networks.find(target));
    try {
      checkEndpoint(network, endpoint);
    } catch (error) {
      if (!(error instanceof InvalidParameter)) throw error;
      throw new InvalidParameter(`invalid config for network ${network.name}: ${error.message}`, {
        cause: error,
      });
    }
    if (target === host.NetworkMode && target !== network.name) host.NetworkMode = network.name;
    endpoints[network.name] = newEndpoint(network, endpoint);
  }
  return endpoints;
}

/** What is the other container's, who shares its network. @throws InvalidParameter in Docker's words */
function checkShared(host: HostConfig, { Hostname, ExposedPorts = {} }: ContainerConfig): void {
  const conflicts: [asked: boolean, what: string][] = [
    [Hostname !== "", "hostname and the network mode"],
    [host.Dns.length > 0, "dns and the network mode"],
    [(host.ExtraHosts ?? []).length > 0, "custom host-to-IP mapping and the network mode"],
    [
      Object.keys(host.PortBindings).length > 0 || host.PublishAllPorts,
      "port publishing and the container type network mode",
    ],
    [Object.keys(ExposedPorts).length > 0, "port exposing and the container type network mode"],
  ];
  for (const [asked, what] of conflicts)
    if (asked) throw new InvalidParameter(`conflicting options: ${what}`);
}

/** @throws InvalidParameter for what isn't there: Docker's clients take a 404 for a missing image, and pull it */
function mustExist<T>(find: () => T): T {
  try {
    return find();
  } catch (error) {
    if (error instanceof NotFound) throw new InvalidParameter(error.message, { cause: error });
    throw error;
  }
}

/** An empty volume takes what the image has at its place (Docker's copy-up), with owners and modes. */
function fillVolumes(context: Context, record: ContainerRecord, mounts: PlannedMount[]): void {
  const empty = mounts.filter(
    (mount) => mount.type === "volume" && mount.copyUp && readdirSync(mount.source).length === 0,
  );
  if (empty.length === 0) return;
  const { snapshots } = context.store;
  const root = paths.rootfs(context.options, record.id);
  snapshots.mountAt(snapshotKey(record.id), root, remapOf(context.remap, record)?.view);
  try {
    for (const mount of empty) {
      const source = resolveInRoot(root, mount.destination);
      if (!existsSync(source) || !lstatSync(source).isDirectory()) continue;
      copyTree(source, mount.source);
    }
  } finally {
    snapshots.unmount(root);
  }
}

function copyTree(source: string, target: string): void {
  // cp keeps owners, modes, times, links and xattrs of a tree; node's own copy loses owners.
  const result = Bun.spawnSync(["cp", "-a", "--", `${source}/.`, target]);
  if (!result.success)
    throw new NotFound(`cannot fill the volume from ${source}: ${result.stderr.toString().trim()}`);
}
