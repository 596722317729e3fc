import { existsSync, lstatSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { InvalidParameter, NotFound } from "../../lib/errors.ts";
import { newId, randomName, shortId } from "../../lib/ids.ts";
import { resolveInRoot } from "../../store/index.ts";
import type { ImageRecord } from "../../store/types.ts";
import type { HostConfig } from "../config.ts";
import { type Context, paths, snapshotKey } from "../context.ts";
import type { NetworkService } from "../networks.ts";
import type { ContainerRecord, CreateContainer, EndpointState } from "../types.ts";
import type { Volumes } from "../volumes.ts";
import { initLayer, initLayerKey } from "./init-layer.ts";
import { mergeImageConfig } from "./merge.ts";
import { type PlannedMount, planMounts } from "./mounts.ts";
import { newEndpoint, parsePort, sharedWith } from "./networking.ts";
import type { Container, ContainerTable } from "./table.ts";

const namePattern = /^\/?[a-zA-Z0-9][a-zA-Z0-9_.-]+$/;
const restartPolicies = ["", "no", "always", "unless-stopped", "on-failure"];

export interface CreateDependencies {
  context: Context;
  table: ContainerTable;
  networks: NetworkService;
  volumes: Volumes;
  findImage(reference: string): ImageRecord;
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
  const image = deps.findImage(request.config.Image);
  const config = mergeImageConfig(request.config, image.config.config ?? {});
  const hostConfig = checkHostConfig(request.hostConfig, context, warnings);
  config.Hostname ||= hostConfig.UTSMode === "host" ? (process.env.HOSTNAME ?? "") : shortId(id);
  const endpoints = planEndpoints(deps, hostConfig, request);
  const mounts = await planMounts(config, hostConfig, {
    volumes: deps.volumes,
    mountsOf: (target) => table.find(target).record.mounts,
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
    mounts: mounts.map(
      ({ copyUp: _copyUp, tmpfsOptions: _options, recursive: _recursive, ...mount }) => mount,
    ),
    endpoints,
    sandboxId: "",
    ports: {},
    restartCount: 0,
    hasBeenManuallyStopped: false,
    execIds: [],
    logPath:
      hostConfig.LogConfig.Type === "json-file" || hostConfig.LogConfig.Type === "local"
        ? join(data, `${id}-json.log`)
        : "",
    resolvConfPath: join(data, "resolv.conf"),
    hostnamePath: join(data, "hostname"),
    hostsPath: join(data, "hosts"),
  };
  const { snapshots } = context.store;
  const chain = image.layers.at(-1)?.chainId;
  using lease = context.store.images.lease();
  if (chain) lease.addSnapshot(chain);
  lease.addSnapshot(initLayerKey(chain));
  snapshots.prepare(snapshotKey(id), await initLayer(context.store, chain));
  try {
    mkdirSync(data, { recursive: true, mode: 0o710 });
    await deps.volumes.hold(record);
    try {
      fillVolumes(context, id, mounts);
    } finally {
      await deps.volumes.letGo(record);
    }
    const container = table.add(record);
    context.events.publish("container", "create", id, eventAttributes(record));
    return { container, warnings };
  } catch (error) {
    rmSync(data, { recursive: true, force: true });
    snapshots.remove(snapshotKey(id));
    throw error;
  }
}

/** What every event of a container tells: its labels, image and name. */
export function eventAttributes(record: ContainerRecord): Record<string, string> {
  return { ...record.config.Labels, image: record.config.Image, name: record.name };
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

function checkHostConfig(asked: HostConfig, context: Context, warnings: string[]): HostConfig {
  const host = { ...asked };
  const { options } = context;
  host.NetworkMode = host.NetworkMode === "" || host.NetworkMode === "default" ? "bridge" : host.NetworkMode;
  host.Runtime ||= context.runtime.name;
  if (host.Runtime !== context.runtime.name)
    throw new InvalidParameter(`unknown or invalid runtime name: ${host.Runtime}`);
  if (host.LogConfig.Type === "")
    host.LogConfig = { Type: options.logDriver, Config: { ...options.logOptions, ...host.LogConfig.Config } };
  if (!["json-file", "local", "none"].includes(host.LogConfig.Type)) {
    throw new InvalidParameter(
      `logger: no log driver named '${host.LogConfig.Type}' is registered (Gantry has json-file, local and none)`,
    );
  }
  if (!restartPolicies.includes(host.RestartPolicy.Name))
    throw new InvalidParameter(
      `invalid restart policy: unknown policy '${host.RestartPolicy.Name}'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'`,
    );
  if (host.RestartPolicy.Name !== "on-failure" && host.RestartPolicy.MaximumRetryCount > 0) {
    throw new InvalidParameter(
      "invalid restart policy: maximum retry count can only be used with 'on-failure'",
    );
  }
  if (host.RestartPolicy.Name === "") host.RestartPolicy = { Name: "no", MaximumRetryCount: 0 };
  if (host.AutoRemove && host.RestartPolicy.Name !== "no")
    throw new InvalidParameter("can't set 'AutoRemove' and 'RestartPolicy' at the same time"); // Docker's words
  if (host.Memory !== 0 && host.Memory < 6 * 1024 * 1024)
    throw new InvalidParameter("Minimum memory limit allowed is 6MB");
  if (host.MemorySwap > 0 && host.MemorySwap < host.Memory)
    throw new InvalidParameter("Minimum memoryswap limit should be larger than memory limit, see usage");
  if (host.NanoCpus > 0 && (host.CpuPeriod > 0 || host.CpuQuota > 0))
    throw new InvalidParameter("Conflicting options: Nano CPUs and CPU Period/Quota cannot both be set");
  if (host.NanoCpus < 0 || host.NanoCpus > navigator.hardwareConcurrency * 1e9) {
    throw new InvalidParameter(
      `range of CPUs is from 0.01 to ${navigator.hardwareConcurrency}.00, as there are only ${navigator.hardwareConcurrency} CPUs available`,
    );
  }
  if (host.ShmSize < 0) throw new InvalidParameter("SHM size can not be less than 0");
  for (const key of Object.keys(host.PortBindings)) parsePort(key);
  for (const [what, value] of [["UsernsMode", host.UsernsMode]] as const) {
    if (value !== "" && value !== "host")
      throw new InvalidParameter(
        `${what} ${JSON.stringify(value)} is not supported by Gantry yet: containers share the host's user namespace`,
      );
  }
  if (host.Links?.length)
    throw new InvalidParameter(
      "links are not supported by Gantry: put both containers on a user-defined network, where names resolve",
    );
  if (host.IpcMode === "") host.IpcMode = "private";
  host.ShmSize ||= options.defaultShmSize;
  host.CgroupnsMode ||= "host";
  if (host.PortBindings && Object.keys(host.PortBindings).length > 0 && host.NetworkMode === "host") {
    warnings.push("Published ports are discarded when using host network mode");
  }
  return host;
}

function planEndpoints(
  deps: CreateDependencies,
  host: HostConfig,
  request: CreateContainer,
): Record<string, EndpointState> {
  const mode = host.NetworkMode;
  if (sharedWith(mode) !== undefined) {
    deps.table.find(sharedWith(mode)!);
    if (Object.keys(host.PortBindings).length > 0)
      throw new InvalidParameter("conflicting options: port publishing and the container type network mode");
    if (request.config.Hostname !== "")
      throw new InvalidParameter("conflicting options: hostname and the network mode");
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
  for (const [target, endpoint] of [[host.NetworkMode, primary] as const, ...Object.entries(asked)]) {
    const network = deps.networks.find(target);
    deps.networks.checkEndpoint(network, endpoint);
    if (target === host.NetworkMode && target !== network.name) host.NetworkMode = network.name;
    endpoints[network.name] = newEndpoint(network, endpoint);
  }
  return endpoints;
}

/** An empty volume takes what the image has at its place (Docker's copy-up), with owners and modes. */
function fillVolumes(context: Context, id: string, mounts: PlannedMount[]): void {
  const empty = mounts.filter(
    (mount) => mount.type === "volume" && mount.copyUp && readdirSync(mount.source).length === 0,
  );
  if (empty.length === 0) return;
  const { snapshots } = context.store;
  const root = paths.rootfs(context.options, id);
  snapshots.mountAt(snapshotKey(id), root);
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
