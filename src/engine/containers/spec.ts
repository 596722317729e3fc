import { realpathSync, statSync } from "node:fs";
import { Internal, InvalidParameter } from "../../lib/errors.ts";
import type { IdMap } from "../../lib/id-map.ts";
import { canMountReadOnlyRecursively } from "../../linux/mount.ts";
import { mountOf } from "../../linux/mountinfo.ts";
import { containerCapabilities, deviceAt, injectCdiDevices, resolveUser } from "../../runtime/index.ts";
import type { ContainerSpec, MountSpec, NamespaceType, ProcessSpec } from "../../runtime/types.ts";
import type { DeviceRequest, HostConfig } from "../config.ts";
import { type Context, cgroupPath, paths } from "../context.ts";
import type { ContainerRecord, MountPoint } from "../types.ts";
import { checkUlimits, resourceSpec } from "./limits.ts";
import { linkEnvironment } from "./links.ts";
import type { MountSources } from "./mount-sources.ts";
import { parseSecurityOptions } from "./security-options.ts";
import type { Container, ContainerTable } from "./table.ts";

const defaultPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/**
 * The spec that the runtime starts a container by.
 * @throws InvalidParameter for a user, capability, device or option that can't be had
 */
export async function containerSpec(
  context: Context,
  table: ContainerTable,
  record: ContainerRecord,
  parts: {
    sandboxPath: string | undefined;
    sources: MountSources;
    user: { path: string; idMap: IdMap } | undefined;
  },
): Promise<ContainerSpec> {
  const { config, hostConfig: host } = record;
  const rootfs = paths.rootfs(context.options, record.id);
  const security = parseSecurityOptions(host.SecurityOpt, context.options);
  const user = await resolveUser(rootfs, config.User, host.GroupAdd ?? []);
  const spec: ContainerSpec = {
    id: record.id,
    runtime: host.Runtime,
    rootfs,
    readonlyRootfs: host.ReadonlyRootfs,
    // The host's own UTS namespace keeps the host's name.
    hostname: host.UTSMode === "host" ? undefined : config.Hostname,
    domainname: host.UTSMode === "host" ? undefined : config.Domainname || undefined,
    process: {
      args: [record.path, ...record.args],
      env: processEnv(record, config.Tty, [], linkEnvironment(record, table)),
      cwd: config.WorkingDir || "/",
      user,
      terminal: config.Tty,
      consoleSize:
        host.ConsoleSize[0] > 0 ? { height: host.ConsoleSize[0], width: host.ConsoleSize[1] } : undefined,
      capabilities: containerCapabilities({
        add: host.CapAdd ?? [],
        drop: host.CapDrop ?? [],
        privileged: host.Privileged,
      }),
      noNewPrivileges: security.noNewPrivileges,
      apparmorProfile: security.apparmor,
      rlimits: rlimits(context, host),
      oomScoreAdj: host.OomScoreAdj || undefined,
    },
    mounts: [...mountSpecs(record, parts.sources), ...sharedMemory(context, table, record)],
    shmSize: host.IpcMode === "none" ? 0 : host.ShmSize || context.options.defaultShmSize,
    namespaces: namespaces(table, record, parts),
    idMap: parts.user?.idMap,
    devices: (host.Devices ?? []).flatMap((device) => devicesOf(device)),
    resources: resourceSpec(host),
    cgroupPath: cgroupPath(host.CgroupParent, record.id),
    sysctls: host.Sysctls ?? {},
    privileged: host.Privileged,
    seccomp: host.Privileged ? "unconfined" : security.seccomp,
    maskedPaths: host.MaskedPaths ?? undefined,
    readonlyPaths: host.ReadonlyPaths ?? undefined,
    annotations: host.Annotations,
    init: host.Init ?? context.options.init,
  };
  return injectCdiDevices(spec, { required: (host.DeviceRequests ?? []).flatMap(requestedDevices) });
}

/** @returns full names of CDI devices @throws Internal, as Docker, for a request that no driver here can meet */
function requestedDevices({ Driver, Capabilities, DeviceIDs }: DeviceRequest): string[] {
  if (Driver === "cdi") return DeviceIDs;
  const capabilities = Capabilities.map((all) => `[${all.join(" ")}]`).join(" ");
  throw new Internal(`could not select device driver "${Driver}" with capabilities: [${capabilities}]`);
}

/** Environment of the container's and its execs' processes. */
export function processEnv(
  record: ContainerRecord,
  tty: boolean,
  extra: string[] = [],
  links: string[] = [],
): string[] {
  const env = [...record.config.Env, ...extra];
  const has = (name: string) => env.some((entry) => entry.startsWith(`${name}=`));
  const defaults = [
    defaultPath,
    `HOSTNAME=${record.config.Hostname}`,
    ...(tty ? ["TERM=xterm"] : []),
    ...links,
  ];
  return [...defaults.filter((entry) => !has(entry.split("=", 1)[0]!)), ...env];
}

/** `--ulimit` over the daemon's defaults; for the container's process and for its execs. @throws InvalidParameter */
export function rlimits(context: Context, host: HostConfig): ProcessSpec["rlimits"] {
  const asked = host.Ulimits ?? [];
  const defaults = context.options.defaultUlimits.filter(
    (limit) => !asked.some((other) => other.Name === limit.Name),
  );
  checkUlimits(asked);
  const spec = (explicit: boolean) => (limit: { Name: string; Soft: number; Hard: number }) => ({
    type: `RLIMIT_${limit.Name.toUpperCase()}`,
    soft: limit.Soft,
    hard: limit.Hard,
    explicit,
  });
  return [...defaults.map(spec(false)), ...asked.map(spec(true))];
}

/** What is mounted later shows only where the source's own mount passes it on. @throws Internal in Docker's words */
function checkPropagation({ propagation, source }: MountPoint): void {
  const wanted = propagation.replace(/^r/, "");
  if (wanted !== "shared" && wanted !== "slave") return;
  const { mountpoint, shared, slave } = mountOf(realpathSync(source));
  if (shared || (wanted === "slave" && slave)) return;
  const kinds = wanted === "shared" ? "a shared" : "a shared or slave";
  throw new Internal(`path ${source} is mounted on ${mountpoint} but it is not ${kinds} mount`);
}

/** Binds, volumes and tmpfs of the record, and the three files that Docker puts into /etc. */
function mountSpecs(record: ContainerRecord, sources: MountSources): MountSpec[] {
  const specs: MountSpec[] = [];
  const etcAccess = record.hostConfig.ReadonlyRootfs ? "ro" : "rw";
  for (const [destination, source] of [
    ["/etc/resolv.conf", record.resolvConfPath],
    ["/etc/hostname", record.hostnamePath],
    ["/etc/hosts", record.hostsPath],
  ] as const) {
    if (record.mounts.some((mount) => mount.destination === destination)) continue;
    specs.push({ destination, type: "bind", source, options: ["rbind", "rprivate", etcAccess] });
  }
  for (const mount of record.mounts) {
    if (mount.type === "tmpfs") {
      const extra = mount.mode === "" ? [] : mount.mode.split(",");
      specs.push({
        destination: mount.destination,
        type: "tmpfs",
        source: "tmpfs",
        options: ["nosuid", "nodev", ...(extra.includes("exec") ? [] : ["noexec"]), ...extra],
      });
    } else {
      checkPropagation(mount);
      const source = sources.sourceOf(mount);
      specs.push({
        destination: mount.destination,
        type: "bind",
        source,
        options: [
          mount.recursion === "none" ? "bind" : "rbind",
          mount.propagation || "rprivate",
          mount.rw ? "rw" : readOnlyOption(mount, source),
        ],
      });
    }
  }
  // Parents before what is mounted inside them: a volume at /etc must not hide its hosts.
  const depth = ({ destination }: MountSpec) => destination.split("/").length;
  return specs.sort((a, b) => depth(a) - depth(b));
}

/** As Docker since 25: read-only is all that the container sees there. Below a file there is nothing; crun insists. */
function readOnlyOption({ recursion }: MountPoint, source: string): "rro" | "ro" {
  const below = recursion === undefined && canMountReadOnlyRecursively;
  return below && statSync(source, { throwIfNoEntry: false })?.isDirectory() ? "rro" : "ro";
}

/** /dev/shm goes with the IPC namespace: the host's, another container's, or one that others may share. */
function sharedMemory(context: Context, table: ContainerTable, record: ContainerRecord): MountSpec[] {
  const { IpcMode } = record.hostConfig;
  const bind = (source: string): MountSpec[] => [
    { destination: "/dev/shm", type: "bind", source, options: ["rbind", "rprivate"] },
  ];
  if (IpcMode === "host") return bind("/dev/shm");
  if (IpcMode === "shareable") return bind(paths.shm(context.options, record.id));
  const donor = ipcDonor(table, record);
  if (!donor) return [];
  return bind(donor.hostConfig.IpcMode === "host" ? "/dev/shm" : paths.shm(context.options, donor.id));
}

/** @throws InvalidParameter when it doesn't run or doesn't share */
function ipcDonor(table: ContainerTable, record: ContainerRecord): ContainerRecord | undefined {
  const { IpcMode } = record.hostConfig;
  if (!IpcMode.startsWith("container:")) return undefined;
  const container = table.find(IpcMode.slice("container:".length));
  runningPid(container);
  const donor = container.record;
  if (!["shareable", "host"].includes(donor.hostConfig.IpcMode))
    throw new InvalidParameter(
      `can't join IPC of container ${donor.id}: non-shareable IPC (hint: use IpcMode:shareable for the donor container)`,
    );
  return donor;
}

function namespaces(
  table: ContainerTable,
  record: ContainerRecord,
  { sandboxPath, user }: { sandboxPath: string | undefined; user: { path: string } | undefined },
): ContainerSpec["namespaces"] {
  const { hostConfig: host } = record;
  const list: ContainerSpec["namespaces"] = [{ type: "mount" }];
  if (user) list.push({ type: "user", path: user.path });
  const add = (type: NamespaceType, mode: string) => {
    if (mode === "host") return;
    if (mode.startsWith("container:"))
      list.push({
        type,
        path: `/proc/${runningPid(table.find(mode.slice("container:".length)))}/ns/${type === "network" ? "net" : type}`,
      });
    else list.push({ type });
  };
  add("pid", host.PidMode);
  add("ipc", ipcDonor(table, record)?.hostConfig.IpcMode === "host" ? "host" : host.IpcMode);
  add("uts", host.UTSMode);
  // On cgroup v1 Docker leaves the cgroup namespace with the host unless asked.
  if (host.CgroupnsMode === "private") list.push({ type: "cgroup" });
  if (sandboxPath) list.push({ type: "network", path: sandboxPath });
  return list;
}

/** @throws Conflict-like InvalidParameter when the other container does not run */
function runningPid(container: Container): number {
  const pid = container.record.state.pid;
  if (pid === 0)
    throw new InvalidParameter(
      `cannot join namespace of a non running container: container ${container.record.id} is ${container.record.state.status}`,
    );
  return pid;
}

function devicesOf(device: NonNullable<HostConfig["Devices"]>[number]): ContainerSpec["devices"] {
  const { PathOnHost: source, PathInContainer: target, CgroupPermissions: access } = device;
  if (!/^[rwm]*$/.test(access)) throw new InvalidParameter(`invalid device mode: ${access}`);
  const stat = statSync(source, { throwIfNoEntry: false });
  if (!stat)
    throw new InvalidParameter(
      `error gathering device information while adding custom device ${JSON.stringify(source)}: no such file or directory`,
    );
  const found = deviceAt(source, target || source, access || "rwm");
  if (!found)
    throw new InvalidParameter(
      `error gathering device information while adding custom device ${JSON.stringify(source)}: not a device node`,
    );
  return [found];
}
