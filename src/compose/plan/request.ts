/** A service's container as the Engine API's create request. Pure. */
import { isAbsolute, resolve } from "node:path";
import { serviceHash } from "../model/hash.ts";
import type { Project, Service, VolumeMount } from "../model/types.ts";
import { endpoints } from "./endpoints.ts";
import { withSharedNamespaces } from "./namespaces.ts";
import { composeVersion, label } from "./observed.ts";
import type { ContainerConfig, EndpointConfig, HostConfig, MountConfig, PortMap } from "./wire.ts";

export interface ContainerRequest {
  body: ContainerConfig & {
    HostConfig: HostConfig;
    NetworkingConfig: { EndpointsConfig: Record<string, EndpointConfig> };
  };
  /** Networks to be connected after creation, in order. */
  laterNetworks: { name: string; endpoint: EndpointConfig }[];
}

export interface RequestContext {
  number: number;
  containerName: string;
  image: string;
  imageId: string | undefined;
  oneOff?: boolean;
  /** One-off containers have a random name part. */
  slug?: string;
  /** The service's name as an alias; false for `run` without --use-aliases. */
  useAliases: boolean;
  /** Containers of other services, for `network_mode: service:x` and the like. */
  containerOf: (service: string) => string;
  /** Container path -> volume of the container that is replaced. */
  inheritedVolumes: Record<string, string>;
  /** Id of the container that is replaced. */
  replaces?: string;
}

/** @throws ComposeError when a namespace of a service without container is asked for */
export function containerRequest(
  project: Project,
  name: string,
  written: Service,
  context: RequestContext,
): ContainerRequest {
  const service = withSharedNamespaces(written, context.containerOf);
  const networks = endpoints(project, name, service, context);
  const [first, ...later] = networks;
  const networkMode = service.network_mode ?? first?.name ?? "none";
  return {
    body: {
      ...configOf(project, name, service, context),
      HostConfig: hostConfigOf(project, service, networkMode, context),
      NetworkingConfig: { EndpointsConfig: first ? { [first.name]: first.endpoint } : {} },
    },
    laterNetworks: later,
  };
}

function configOf(
  project: Project,
  name: string,
  service: Service,
  context: RequestContext,
): ContainerConfig {
  const ports = [
    ...(service.expose ?? []).map((port) => (port.includes("/") ? port : `${port}/tcp`)),
    ...(service.ports ?? []).map(({ target, protocol }) => `${target}/${protocol ?? "tcp"}`),
  ].flatMap(expandRange);
  return {
    Hostname: service.hostname,
    Domainname: service.domainname,
    User: service.user,
    AttachStdin: false,
    AttachStdout: true,
    AttachStderr: true,
    ExposedPorts: Object.fromEntries(ports.map((port) => [port, {}])),
    Tty: service.tty ?? false,
    OpenStdin: service.stdin_open ?? false,
    StdinOnce: false,
    Env: Object.entries(service.environment ?? {}).map(([key, value]) =>
      value === null ? key : `${key}=${value}`,
    ),
    Cmd: service.command,
    Healthcheck: healthcheckOf(service),
    Image: context.image,
    WorkingDir: service.working_dir,
    Entrypoint: service.entrypoint,
    Labels: { ...service.labels, ...composeLabels(project, name, service, context) },
    StopSignal: service.stop_signal,
    StopTimeout:
      service.stop_grace_period === undefined ? undefined : Math.ceil(service.stop_grace_period / 1e9),
    MacAddress: service.mac_address,
  };
}

function composeLabels(
  project: Project,
  name: string,
  service: Service,
  context: RequestContext,
): Record<string, string> {
  const dependencies = Object.entries(service.depends_on ?? {}).map(
    ([needed, { condition, restart }]) => `${needed}:${condition}:${restart ?? false}`,
  );
  return {
    [label.project]: project.name,
    [label.service]: name,
    [label.number]: String(context.number),
    [label.oneoff]: context.oneOff ? "True" : "False",
    [label.configHash]: serviceHash(service),
    [label.workingDir]: project.workingDir,
    [label.configFiles]: project.files.join(","),
    [label.version]: composeVersion,
    [label.dependsOn]: dependencies.join(","),
    ...(context.imageId ? { [label.image]: context.imageId } : {}),
    ...(context.slug ? { [label.slug]: context.slug } : {}),
    ...(context.replaces ? { [label.replace]: context.replaces } : {}),
  };
}

function healthcheckOf(service: Service): ContainerConfig["Healthcheck"] {
  const check = service.healthcheck;
  if (!check) return undefined;
  if (check.disable) return { Test: ["NONE"] };
  return {
    Test: check.test,
    Interval: check.interval,
    Timeout: check.timeout,
    StartPeriod: check.start_period,
    StartInterval: check.start_interval,
    Retries: check.retries,
  };
}

function hostConfigOf(
  project: Project,
  service: Service,
  networkMode: string,
  context: RequestContext,
): HostConfig {
  const limits = service.deploy?.resources?.limits;
  const reservations = service.deploy?.resources?.reservations;
  const cpus = service.cpus ?? limits?.cpus;
  return {
    ...mountsOf(project, service, context),
    NetworkMode: networkMode,
    PortBindings: portBindings(service),
    RestartPolicy: restartPolicy(service),
    LogConfig: service.logging
      ? { Type: service.logging.driver ?? "", Config: service.logging.options ?? {} }
      : undefined,
    VolumesFrom: service.volumes_from?.map((from) => volumesFrom(from, context)),
    Annotations: service.annotations,
    CapAdd: service.cap_add,
    CapDrop: service.cap_drop,
    CgroupnsMode: service.cgroup,
    CgroupParent: service.cgroup_parent,
    Dns: service.dns,
    DnsOptions: service.dns_opt,
    DnsSearch: service.dns_search,
    ExtraHosts: hostList(service.extra_hosts),
    GroupAdd: service.group_add,
    IpcMode: service.ipc,
    PidMode: service.pid,
    UTSMode: service.uts,
    UsernsMode: service.userns_mode,
    Init: service.init,
    Privileged: service.privileged,
    ReadonlyRootfs: service.read_only,
    Runtime: service.runtime,
    SecurityOpt: securityOptions(service, project.workingDir),
    ShmSize: service.shm_size,
    StorageOpt: service.storage_opt,
    Sysctls: service.sysctls,
    Tmpfs: tmpfsOf(service),
    OomKillDisable: service.oom_kill_disable,
    OomScoreAdj: service.oom_score_adj,
    Memory: service.mem_limit ?? limits?.memory,
    MemoryReservation: service.mem_reservation ?? reservations?.memory,
    MemorySwap: service.memswap_limit,
    MemorySwappiness: service.mem_swappiness,
    PidsLimit: service.pids_limit ?? limits?.pids,
    NanoCpus: cpus === undefined ? undefined : Math.round(cpus * 1e9),
    CpuShares: service.cpu_shares,
    CpuPeriod: service.cpu_period,
    CpuQuota: service.cpu_quota,
    CpuRealtimePeriod: service.cpu_rt_period,
    CpuRealtimeRuntime: service.cpu_rt_runtime,
    CpusetCpus: service.cpuset,
    BlkioWeight: service.blkio_config?.weight,
    BlkioWeightDevice: service.blkio_config?.weight_device?.map(({ path, weight }) => ({
      Path: path,
      Weight: weight,
    })),
    BlkioDeviceReadBps: throttles(service.blkio_config?.device_read_bps),
    BlkioDeviceReadIOps: throttles(service.blkio_config?.device_read_iops),
    BlkioDeviceWriteBps: throttles(service.blkio_config?.device_write_bps),
    BlkioDeviceWriteIOps: throttles(service.blkio_config?.device_write_iops),
    Devices: service.devices?.map(({ source, target, permissions }) => ({
      PathOnHost: source,
      PathInContainer: target ?? source,
      CgroupPermissions: permissions ?? "rwm",
    })),
    DeviceRequests: deviceRequests(service),
    DeviceCgroupRules: service.device_cgroup_rules,
    Ulimits: Object.entries(service.ulimits ?? {}).map(([Name, value]) =>
      typeof value === "number"
        ? { Name, Soft: value, Hard: value }
        : { Name, Soft: value.soft, Hard: value.hard },
    ),
  };
}

function deviceRequests(service: Service): HostConfig["DeviceRequests"] {
  const all = [
    ...(service.gpus ?? []).map(({ capabilities = [], ...rest }) => ({
      ...rest,
      capabilities: [...new Set([...capabilities, "gpu"])],
    })),
    ...(service.deploy?.resources?.reservations?.devices ?? []),
  ];
  if (all.length === 0) return undefined;
  return all.map(({ driver = "", count = 0, device_ids = [], capabilities = [], options = {} }) => ({
    Driver: driver,
    Count: count,
    DeviceIDs: device_ids,
    Capabilities: [capabilities],
    Options: options,
  }));
}

function throttles(items: { path: string; rate: number }[] | undefined) {
  return items?.map(({ path, rate }) => ({ Path: path, Rate: rate }));
}

/** Hosts as `name:address`, which every engine reads. */
export function hostList(hosts: Record<string, string[]> | undefined): string[] | undefined {
  return (
    hosts &&
    Object.entries(hosts).flatMap(([host, addresses]) => addresses.map((address) => `${host}:${address}`))
  );
}

function volumesFrom(from: string, context: RequestContext): string {
  if (from.startsWith("container:")) return from.slice("container:".length);
  const [service = "", ...options] = from.split(":");
  return [context.containerOf(service), ...options].join(":");
}

/** A seccomp profile is given by its path, but the engine wants its text: that is put in when the request is sent. */
function securityOptions(service: Service, workingDir: string): string[] | undefined {
  return service.security_opt?.map((option) => {
    const [, separator, path] = /^seccomp([=:])(.*)$/.exec(option) ?? [];
    if (!separator || !path || path === "unconfined" || path === "builtin" || isAbsolute(path)) return option;
    return `seccomp${separator}${resolve(workingDir, path)}`;
  });
}

function restartPolicy(service: Service): HostConfig["RestartPolicy"] {
  if (service.restart !== undefined) {
    const [name = "", count] = service.restart.split(":");
    return { Name: name, MaximumRetryCount: Number(count ?? 0) };
  }
  const policy = service.deploy?.restart_policy;
  if (!policy) return undefined;
  const names: Record<string, string> = { none: "no", "on-failure": "on-failure", any: "always" };
  const name = names[policy.condition ?? "any"] ?? "no";
  return { Name: name, MaximumRetryCount: name === "on-failure" ? (policy.max_attempts ?? 0) : 0 };
}

function portBindings(service: Service): PortMap {
  const bindings: PortMap = {};
  for (const { target, protocol, host_ip, published } of service.ports ?? []) {
    const key = `${target}/${protocol ?? "tcp"}`;
    bindings[key] ??= [];
    bindings[key].push({ HostIp: host_ip ?? "", HostPort: published ?? "" });
  }
  return bindings;
}

/** `8000-8002/tcp` -> three ports. */
function expandRange(port: string): string[] {
  const match = /^(\d+)-(\d+)\/(.+)$/.exec(port);
  if (!match) return [port];
  const [from, to] = [Number(match[1]), Number(match[2])];
  return Array.from({ length: Math.max(0, to - from + 1) }, (_, index) => `${from + index}/${match[3]}`);
}

function tmpfsOf(service: Service): Record<string, string> | undefined {
  if (!service.tmpfs) return undefined;
  return Object.fromEntries(
    service.tmpfs.map((entry) => {
      const cut = entry.indexOf(":");
      return cut < 0 ? [entry, ""] : [entry.slice(0, cut), entry.slice(cut + 1)];
    }),
  );
}

function mountsOf(
  project: Project,
  service: Service,
  context: RequestContext,
): { Binds: string[]; Mounts: MountConfig[] } {
  const binds: string[] = [];
  const mounts: MountConfig[] = [];
  const targets = new Set<string>();
  for (const volume of service.volumes ?? []) {
    const target = volume.target!;
    targets.add(target);
    const inherited =
      volume.type === "volume" && !volume.source ? context.inheritedVolumes[target] : undefined;
    const bind = inherited ? undefined : bindText(project, volume);
    if (bind) binds.push(bind);
    else mounts.push(mountOf(project, volume, inherited));
  }
  // Volumes that the image declares have no entry in the service, but their data stays with the service too.
  for (const [target, name] of Object.entries(context.inheritedVolumes))
    if (!targets.has(target)) mounts.push({ Type: "volume", Source: name, Target: target });
  for (const [kind, references] of [
    ["secrets", service.secrets],
    ["configs", service.configs],
  ] as const)
    for (const { source, target } of references ?? []) {
      const file = project[kind][source]!.file;
      if (file !== undefined)
        mounts.push({
          Type: "bind",
          Source: file,
          Target: fileTarget(kind, target ?? source),
          ReadOnly: true,
        });
    }
  return { Binds: binds, Mounts: mounts };
}

/** Where a secret or config appears in the container. */
export function fileTarget(kind: "secrets" | "configs", target: string): string {
  if (isAbsolute(target)) return target;
  return kind === "secrets" ? `/run/secrets/${target}` : `/${target}`;
}

/** The `Binds` form, which makes missing host directories and names volumes; undefined when it can't say all. */
function bindText(project: Project, volume: VolumeMount): string | undefined {
  const options = [volume.read_only ? "ro" : "rw"];
  if (volume.type === "bind") {
    if (volume.bind?.create_host_path === false || volume.bind?.recursive) return undefined;
    if (volume.bind?.selinux) options.push(volume.bind.selinux);
    if (volume.bind?.propagation) options.push(volume.bind.propagation);
    return `${volume.source}:${volume.target}:${options.join(",")}`;
  }
  if (volume.type !== "volume" || !volume.source || volume.volume?.subpath || volume.volume?.labels)
    return undefined;
  if (volume.volume?.nocopy) options.push("nocopy");
  return `${project.volumes[volume.source]!.name}:${volume.target}:${options.join(",")}`;
}

function mountOf(project: Project, volume: VolumeMount, inherited: string | undefined): MountConfig {
  const base = { Target: volume.target!, ReadOnly: volume.read_only, Consistency: volume.consistency };
  if (volume.type === "tmpfs")
    return {
      ...base,
      Type: "tmpfs",
      TmpfsOptions: { SizeBytes: volume.tmpfs?.size, Mode: volume.tmpfs?.mode },
    };
  if (volume.type === "bind")
    return {
      ...base,
      Type: "bind",
      Source: volume.source,
      BindOptions: {
        Propagation: volume.bind?.propagation,
        NonRecursive: volume.bind?.recursive === "disabled" || undefined,
      },
    };
  if (volume.type === "image")
    return {
      ...base,
      Type: "image",
      Source: volume.source,
      ImageOptions: { Subpath: volume.image?.subpath },
    };
  return {
    ...base,
    Type: "volume",
    Source: inherited ?? (volume.source && project.volumes[volume.source]?.name),
    VolumeOptions: {
      NoCopy: volume.volume?.nocopy,
      Labels: volume.volume?.labels,
      Subpath: volume.volume?.subpath,
    },
  };
}
