/** Containers as the Engine API shows them (definitions "ContainerSummary", "ContainerInspectResponse"). */
import type { ContainerDetails, ContainerRecord, EndpointState, MountPoint } from "../../engine/types.ts";
import { shortId } from "../../lib/ids.ts";
import type { Descriptor } from "../../lib/oci.ts";
import { defaultMaskedPaths, defaultReadonlyPaths } from "../../runtime/index.ts";
import { rfc3339 } from "./times.ts";

interface Sizes {
  rw: number;
  rootFs: number;
}

/** A row of `ps`. */
export function summary(record: ContainerRecord, version: number, image?: Descriptor, sizes?: Sizes) {
  const { state, hostConfig } = record;
  return {
    Id: record.id,
    Names: [`/${record.name}`],
    Image: record.config.Image,
    ImageID: record.imageId,
    ...(image && { ImageManifestDescriptor: image }),
    Command: [record.path, ...record.args].join(" "),
    Created: Math.floor(record.createdAt / 1000),
    Ports: portSummary(record),
    ...(sizes && { SizeRw: sizes.rw, SizeRootFs: sizes.rootFs }),
    Labels: record.config.Labels,
    State: state.status,
    Status: statusText(record),
    HostConfig: {
      NetworkMode: hostConfig.NetworkMode,
      ...(hostConfig.Annotations && { Annotations: hostConfig.Annotations }),
    },
    NetworkSettings: { Networks: endpoints(record, version) },
    Mounts: record.mounts.map(mountPoint),
  };
}

function portSummary(record: ContainerRecord) {
  const exposed = new Set([...Object.keys(record.config.ExposedPorts ?? {}), ...Object.keys(record.ports)]);
  const running = record.state.status === "running" || record.state.status === "paused";
  const rows: { IP?: string; PrivatePort: number; PublicPort?: number; Type: string }[] = [];
  if (!running) return rows;
  for (const port of exposed) {
    const [number, protocol = "tcp"] = port.split("/");
    const bindings = record.ports[port] ?? [];
    const base = { PrivatePort: Number(number), Type: protocol };
    if (bindings.length === 0) rows.push(base);
    for (const { HostIp, HostPort } of bindings)
      rows.push({ IP: HostIp || "0.0.0.0", ...base, PublicPort: Number(HostPort) });
  }
  return rows;
}

/** `About an hour`, in the words of Docker's units package. */
export function humanDuration(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  const minutes = Math.floor(seconds / 60);
  const hours = Math.round(seconds / 3600);
  if (seconds < 1) return "Less than a second";
  if (seconds === 1) return "1 second";
  if (seconds < 60) return `${seconds} seconds`;
  if (minutes === 1) return "About a minute";
  if (minutes < 60) return `${minutes} minutes`;
  if (hours === 1) return "About an hour";
  if (hours < 48) return `${hours} hours`;
  const days = Math.floor(hours / 24);
  if (days < 14) return `${days} days`;
  if (days < 60) return `${Math.floor(days / 7)} weeks`;
  if (days < 730) return `${Math.floor(days / 30)} months`;
  return `${Math.floor(days / 365)} years`;
}

function statusText({ state }: ContainerRecord): string {
  const since = (ms: number | undefined) => humanDuration(Date.now() - (ms ?? Date.now()));
  switch (state.status) {
    case "running":
    case "paused": {
      const health = state.health
        ? ` (${state.health.status === "starting" ? "health: starting" : state.health.status})`
        : "";
      return `Up ${since(state.startedAt)}${state.status === "paused" ? " (Paused)" : health}`;
    }
    case "restarting":
      return `Restarting (${state.exitCode}) ${since(state.finishedAt)} ago`;
    case "exited":
      return `Exited (${state.exitCode}) ${since(state.finishedAt)} ago`;
    case "created":
      return "Created";
    case "removing":
      return "Removal In Progress";
    case "dead":
      return "Dead";
  }
}

function endpoints(record: ContainerRecord, version: number): Record<string, object> {
  return Object.fromEntries(
    Object.entries(record.endpoints).map(([name, state]) => [
      name,
      endpointSettings(state, record.id, version),
    ]),
  );
}

function endpointSettings(state: EndpointState, id: string, version: number) {
  const { config } = state;
  // Until 1.45 the short id was among the aliases, where only a user's own network has names.
  const aliases =
    version < 45 && state.dnsNames.length > 0 ? [...(config.Aliases ?? []), shortId(id)] : config.Aliases;
  return {
    IPAMConfig: config.IPAMConfig ?? null,
    Links: config.Links ?? null,
    Aliases: aliases ?? null,
    // Before it is connected, what it asks for.
    MacAddress: state.macAddress || config.MacAddress || "",
    DriverOpts: config.DriverOpts ?? null,
    GwPriority: config.GwPriority ?? 0,
    NetworkID: state.networkId,
    EndpointID: state.endpointId,
    Gateway: state.gateway,
    IPAddress: state.ipAddress,
    IPPrefixLen: state.ipPrefixLen,
    IPv6Gateway: state.ipv6Gateway,
    GlobalIPv6Address: state.globalIPv6Address,
    GlobalIPv6PrefixLen: state.globalIPv6PrefixLen,
    DNSNames: state.dnsNames.length > 0 ? state.dnsNames : null,
  };
}

function mountPoint(mount: MountPoint) {
  const name = mount.image?.name ?? mount.name;
  return {
    Type: mount.type,
    ...(name !== undefined && { Name: name }),
    Source: mount.source,
    Destination: mount.destination,
    ...(mount.driver !== undefined && { Driver: mount.driver }),
    Mode: mount.mode,
    RW: mount.rw,
    Propagation: mount.propagation,
  };
}

/** What `docker inspect` shows. */
export function inspection(
  record: ContainerRecord,
  version: number,
  details: ContainerDetails,
  image?: Descriptor,
  sizes?: Sizes,
) {
  const { state } = record;
  const { ExposedPorts = {}, NetworkDisabled, Volumes, ...config } = record.config;
  const bridge = record.endpoints.bridge;
  return {
    Id: record.id,
    Created: rfc3339(record.createdAt),
    Path: record.path,
    Args: record.args,
    State: {
      Status: state.status,
      Running: ["running", "paused", "restarting"].includes(state.status),
      Paused: state.status === "paused",
      Restarting: state.status === "restarting",
      OOMKilled: state.oomKilled,
      Dead: state.status === "dead",
      Pid: state.pid,
      ExitCode: state.exitCode,
      Error: state.error,
      StartedAt: rfc3339(state.startedAt),
      FinishedAt: rfc3339(state.finishedAt),
      ...(state.health && {
        Health: {
          Status: state.health.status,
          FailingStreak: state.health.failingStreak,
          Log: state.health.log.map((probe) => ({
            Start: rfc3339(probe.start),
            End: rfc3339(probe.end),
            ExitCode: probe.exitCode,
            Output: probe.output,
          })),
        },
      }),
    },
    Image: record.imageId,
    ResolvConfPath: record.resolvConfPath,
    HostnamePath: record.hostnamePath,
    HostsPath: record.hostsPath,
    // As Docker: the files of other drivers are nobody's business.
    LogPath: record.hostConfig.LogConfig.Type === "json-file" ? record.logPath : "",
    Name: `/${record.name}`,
    RestartCount: record.restartCount,
    Driver: "overlay2",
    Platform: record.platform.os,
    ...(image && { ImageManifestDescriptor: image }),
    MountLabel: "",
    ProcessLabel: "",
    AppArmorProfile: "",
    ExecIDs: details.execIds.length > 0 ? details.execIds : null,
    HostConfig: hostConfigOf(record, version),
    GraphDriver: { Data: { ID: record.id, ...details.layers }, Name: "overlay2" },
    ...(sizes && { SizeRw: sizes.rw, SizeRootFs: sizes.rootFs }),
    Mounts: record.mounts.map(mountPoint),
    Config: {
      ...config,
      // Docker leaves out what is empty.
      ...(Object.keys(ExposedPorts).length > 0 && { ExposedPorts }),
      ...(NetworkDisabled && { NetworkDisabled }),
      Volumes: Object.keys(Volumes ?? {}).length > 0 ? Volumes : null,
      ...(bridge?.config.MacAddress && { MacAddress: bridge.config.MacAddress }),
      OnBuild: null,
    },
    NetworkSettings: {
      Bridge: "",
      SandboxID: record.sandboxId,
      SandboxKey: details.sandboxKey,
      Ports: record.ports,
      HairpinMode: false,
      LinkLocalIPv6Address: "",
      LinkLocalIPv6PrefixLen: 0,
      SecondaryIPAddresses: null,
      SecondaryIPv6Addresses: null,
      EndpointID: bridge?.endpointId ?? "",
      Gateway: bridge?.gateway ?? "",
      GlobalIPv6Address: bridge?.globalIPv6Address ?? "",
      GlobalIPv6PrefixLen: bridge?.globalIPv6PrefixLen ?? 0,
      IPAddress: bridge?.ipAddress ?? "",
      IPPrefixLen: bridge?.ipPrefixLen ?? 0,
      IPv6Gateway: bridge?.ipv6Gateway ?? "",
      MacAddress: bridge?.macAddress ?? "",
      Networks: endpoints(record, version),
    },
  };
}

/** With the fields that clients expect and that are always empty here. */
function hostConfigOf(record: ContainerRecord, version: number) {
  const { hostConfig } = record;
  return {
    ...hostConfig,
    BlkioWeightDevice: hostConfig.BlkioWeightDevice ?? [],
    BlkioDeviceReadBps: hostConfig.BlkioDeviceReadBps ?? [],
    BlkioDeviceWriteBps: hostConfig.BlkioDeviceWriteBps ?? [],
    BlkioDeviceReadIOps: hostConfig.BlkioDeviceReadIOps ?? [],
    BlkioDeviceWriteIOps: hostConfig.BlkioDeviceWriteIOps ?? [],
    CpuRealtimePeriod: hostConfig.CpuRealtimePeriod ?? 0,
    CpuRealtimeRuntime: hostConfig.CpuRealtimeRuntime ?? 0,
    DeviceRequests: hostConfig.DeviceRequests ?? null,
    Links: shownLinks(record),
    MaskedPaths: hostConfig.MaskedPaths ?? (hostConfig.Privileged ? null : defaultMaskedPaths),
    ReadonlyPaths: hostConfig.ReadonlyPaths ?? (hostConfig.Privileged ? null : defaultReadonlyPaths),
    KernelMemory: hostConfig.KernelMemory ?? 0,
    KernelMemoryTCP: hostConfig.KernelMemoryTCP || (version < 42 ? 0 : undefined),
    CpuCount: 0,
    CpuPercent: 0,
    IOMaximumIOps: 0,
    IOMaximumBandwidth: 0,
  };
}

/** `/target:/container/alias`; on other networks than the default bridge links are the endpoints' own. */
function shownLinks({ name, hostConfig: { Links, NetworkMode } }: ContainerRecord): string[] | null {
  if (!Links?.length || NetworkMode !== "bridge") return null;
  return Links.map((link) => {
    const [target = "", alias = target] = link.split(":").map((part) => part.replace(/^\//, ""));
    return `/${target}:/${name}/${alias.slice(alias.lastIndexOf("/") + 1)}`;
  });
}
