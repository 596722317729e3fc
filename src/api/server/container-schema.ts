/** Bodies of container requests (Engine API, "ContainerCreate", "ContainerUpdate"). */
import * as v from "valibot";
import type { EndpointConfig } from "../../engine/config.ts";
import type { CreateBody } from "./create-versions.ts";
import {
  commandLine,
  field,
  flag,
  integer,
  maybeInteger,
  maybeText,
  natural,
  set,
  stringMap,
  strings,
  text,
  whole,
} from "./fields.ts";

const portMap = v.record(
  v.string(),
  v.nullable(v.array(v.object({ HostIp: text(), HostPort: text() }), "a list of bindings is wanted")),
  "an object is wanted",
);
const ulimits = v.array(v.object({ Name: v.string(), Soft: whole, Hard: whole }));

const healthcheck = v.object({
  Test: field(strings, undefined),
  Interval: maybeInteger,
  Timeout: maybeInteger,
  StartPeriod: maybeInteger,
  StartInterval: maybeInteger,
  Retries: maybeInteger,
});

const config = {
  Hostname: text(),
  Domainname: text(),
  User: text(),
  AttachStdin: flag(),
  AttachStdout: flag(),
  AttachStderr: flag(),
  ExposedPorts: field(set, undefined),
  Tty: flag(),
  OpenStdin: flag(),
  StdinOnce: flag(),
  Env: field(strings, [] as string[]),
  Cmd: field(commandLine, null),
  Healthcheck: field(healthcheck, undefined),
  Image: text(),
  Volumes: field(set, null),
  WorkingDir: text(),
  Entrypoint: field(commandLine, null),
  NetworkDisabled: field(v.boolean(), undefined),
  Labels: field(stringMap, {} as Record<string, string>),
  StopSignal: maybeText,
  StopTimeout: maybeInteger,
  Shell: field(strings, undefined),
};

/** A configuration alone: the body of a commit. */
export const configSchema = v.object(config);

const mount = v.object({
  // Which there are is the engine's to say, in Docker's words.
  Type: text(),
  Source: maybeText,
  Target: text(),
  ReadOnly: field(v.boolean(), undefined),
  Consistency: maybeText,
  BindOptions: field(
    v.object({
      Propagation: maybeText,
      NonRecursive: field(v.boolean(), undefined),
      CreateMountpoint: field(v.boolean(), undefined),
      ReadOnlyNonRecursive: field(v.boolean(), undefined),
      ReadOnlyForceRecursive: field(v.boolean(), undefined),
    }),
    undefined,
  ),
  VolumeOptions: field(
    v.object({
      NoCopy: field(v.boolean(), undefined),
      Labels: field(stringMap, undefined),
      DriverConfig: field(v.object({ Name: maybeText, Options: field(stringMap, undefined) }), undefined),
      Subpath: maybeText,
    }),
    undefined,
  ),
  ImageOptions: field(v.object({ Subpath: maybeText }), undefined),
  TmpfsOptions: field(
    v.object({
      SizeBytes: maybeInteger,
      Mode: maybeInteger,
      Options: field(v.array(v.pipe(strings, v.minLength(1), v.maxLength(2))), undefined),
    }),
    undefined,
  ),
});

const restartPolicy = v.object({
  Name: text(),
  MaximumRetryCount: integer(),
});

const deviceRates = v.array(v.object({ Path: v.string(), Rate: whole }));

/** What `update` may change too. */
const resources = {
  CpuShares: integer(),
  Memory: integer(),
  NanoCpus: integer(),
  CgroupParent: text(),
  BlkioWeight: integer(),
  BlkioWeightDevice: field(v.array(v.object({ Path: v.string(), Weight: whole })), null),
  BlkioDeviceReadBps: field(deviceRates, null),
  BlkioDeviceWriteBps: field(deviceRates, null),
  BlkioDeviceReadIOps: field(deviceRates, null),
  BlkioDeviceWriteIOps: field(deviceRates, null),
  CpuPeriod: integer(),
  CpuQuota: integer(),
  CpuRealtimePeriod: integer(),
  CpuRealtimeRuntime: integer(),
  CpusetCpus: text(),
  CpusetMems: text(),
  Devices: field(
    v.array(v.object({ PathOnHost: text(), PathInContainer: text(), CgroupPermissions: text() })),
    null,
  ),
  DeviceCgroupRules: field(strings, null),
  DeviceRequests: field(
    v.array(
      v.object({
        Driver: text(),
        Count: integer(),
        DeviceIDs: field(strings, [] as string[]),
        Capabilities: field(v.array(strings), [] as string[][]),
        Options: field(stringMap, {} as Record<string, string>),
      }),
    ),
    null,
  ),
  MemoryReservation: integer(),
  KernelMemory: maybeInteger,
  KernelMemoryTCP: maybeInteger,
  MemorySwap: integer(),
  MemorySwappiness: field(whole, null),
  OomKillDisable: field(v.boolean(), null),
  PidsLimit: field(whole, null),
  Ulimits: field(ulimits, null),
};

const hostConfig = v.object({
  Binds: field(strings, null),
  ContainerIDFile: text(),
  LogConfig: field(v.object({ Type: text(), Config: field(stringMap, {}) }), { Type: "", Config: {} }),
  NetworkMode: text(),
  PortBindings: field(portMap, {}),
  RestartPolicy: field(restartPolicy, { Name: "" as const, MaximumRetryCount: 0 }),
  AutoRemove: flag(),
  VolumeDriver: text(),
  VolumesFrom: field(strings, null),
  Mounts: field(v.array(mount), undefined),
  ConsoleSize: field(v.tuple([natural, natural]), [0, 0] as [number, number]),
  Annotations: field(stringMap, undefined),
  CapAdd: field(strings, null),
  CapDrop: field(strings, null),
  CgroupnsMode: text(),
  Dns: field(strings, [] as string[]),
  DnsOptions: field(strings, [] as string[]),
  DnsSearch: field(strings, [] as string[]),
  ExtraHosts: field(strings, null),
  GroupAdd: field(strings, null),
  IpcMode: text(),
  Cgroup: text(),
  Links: field(strings, null),
  OomScoreAdj: integer(),
  PidMode: text(),
  Privileged: flag(),
  PublishAllPorts: flag(),
  ReadonlyRootfs: flag(),
  SecurityOpt: field(strings, null),
  StorageOpt: field(stringMap, undefined),
  Tmpfs: field(stringMap, undefined),
  UTSMode: text(),
  UsernsMode: text(),
  ShmSize: integer(),
  Sysctls: field(stringMap, undefined),
  Runtime: text(),
  Isolation: text(),
  ...resources,
  Init: field(v.boolean(), undefined),
  MaskedPaths: field(strings, null),
  ReadonlyPaths: field(strings, null),
});

/** What is asked of a container's place in a network. */
export const endpoint = v.object({
  IPAMConfig: field(
    v.object({ IPv4Address: maybeText, IPv6Address: maybeText, LinkLocalIPs: field(strings, undefined) }),
    undefined,
  ),
  Links: field(strings, undefined),
  Aliases: field(strings, undefined),
  MacAddress: maybeText,
  DriverOpts: field(stringMap, undefined),
  GwPriority: maybeInteger,
});

const createBody = v.object({
  ...config,
  /** Where clients before 1.44 say it. */
  MacAddress: text(),
  HostConfig: v.optional(
    v.pipe(
      v.nullable(v.unknown()),
      v.transform((value) => value ?? {}),
      hostConfig,
    ),
    {},
  ),
  NetworkingConfig: field(
    v.object({ EndpointsConfig: field(v.record(v.string(), v.nullable(endpoint)), {}) }),
    { EndpointsConfig: {} },
  ),
});

/** The body of a create; create-versions.ts makes of it what the engine takes. */
export const createSchema = v.pipe(
  v.looseObject({}, "an object is wanted"),
  v.check((body) => Object.keys(body).length > 0, "config cannot be empty in order to create a container"),
  createBody,
  v.transform(({ HostConfig, NetworkingConfig, MacAddress, ...config }): CreateBody => {
    const endpoints: Record<string, EndpointConfig> = {};
    for (const [name, value] of Object.entries(NetworkingConfig.EndpointsConfig))
      endpoints[name] = value ?? {};
    return { config, hostConfig: HostConfig, endpoints, macAddress: MacAddress };
  }),
);

/** Fields that are given only; an update leaves the rest. */
const updateBody = v.object({
  CpuShares: maybeInteger,
  Memory: maybeInteger,
  NanoCpus: maybeInteger,
  BlkioWeight: maybeInteger,
  CpuPeriod: maybeInteger,
  CpuQuota: maybeInteger,
  CpuRealtimePeriod: maybeInteger,
  CpuRealtimeRuntime: maybeInteger,
  CpusetCpus: maybeText,
  CpusetMems: maybeText,
  MemoryReservation: maybeInteger,
  KernelMemory: maybeInteger,
  KernelMemoryTCP: maybeInteger,
  MemorySwap: maybeInteger,
  PidsLimit: field(whole, undefined),
  RestartPolicy: field(restartPolicy, undefined),
});

/** The body of an update. Docker's clients send zero for what was not asked; a limit of processes alone can be zero. */
export const updateSchema = v.pipe(
  updateBody,
  v.transform(({ RestartPolicy, ...resources }) => ({
    hostConfig: Object.fromEntries(
      Object.entries(resources).filter(
        ([name, value]) => value !== undefined && (name === "PidsLimit" || (value !== 0 && value !== "")),
      ),
    ),
    restartPolicy: RestartPolicy?.Name ? RestartPolicy : undefined,
  })),
);
