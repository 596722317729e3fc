/**
 * The domain as its callers (the API server) see it. No HTTP here. Ids are 64 hex digits; times are
 * milliseconds since the epoch; names have no leading slash. `target` arguments take an id, a unique id prefix or
 * a name. All methods throw the classes of lib/errors.ts with Docker's messages.
 */
import type { Duplex, Readable } from "node:stream";
import type { BuildEvent, BuildRequest, BuildResult } from "../build/types.ts";
import type { Digest } from "../lib/digest.ts";
import type { Platform } from "../lib/oci.ts";
import type { InterfaceCounters } from "../net/types.ts";
import type { Credentials } from "../registry/types.ts";
import type { CgroupStats } from "../runtime/types.ts";
import type { ImageRecord } from "../store/types.ts";
import type { ContainerConfig, EndpointConfig, HostConfig, PortMap, RestartPolicy } from "./config.ts";

export type ContainerStatus =
  | "created"
  | "running"
  | "paused"
  | "restarting"
  | "removing"
  | "exited"
  | "dead";

export interface HealthState {
  status: "starting" | "healthy" | "unhealthy";
  failingStreak: number;
  log: { start: number; end: number; exitCode: number; output: string }[];
}

export interface ContainerState {
  status: ContainerStatus;
  pid: number;
  exitCode: number;
  error: string;
  oomKilled: boolean;
  /** undefined: never. */
  startedAt?: number;
  finishedAt?: number;
  health?: HealthState;
}

/** A mount as resolved at create. */
export interface MountPoint {
  type: "bind" | "volume" | "tmpfs";
  /** Volume name. */
  name?: string;
  source: string;
  destination: string;
  driver?: string;
  /** The part of the volume that is mounted, relative to its root. */
  subpath?: string;
  mode: string;
  rw: boolean;
  propagation: string;
}

/** One network attachment: what was asked and what was given (empty while not running). */
export interface EndpointState {
  networkName: string;
  networkId: string;
  config: EndpointConfig;
  endpointId: string;
  gateway: string;
  ipAddress: string;
  ipPrefixLen: number;
  ipv6Gateway: string;
  globalIPv6Address: string;
  globalIPv6PrefixLen: number;
  macAddress: string;
  /** Link in the sandbox, while running. */
  interfaceName?: string;
  /** Names that resolve to this endpoint on its network. */
  dnsNames: string[];
}

export interface ContainerRecord {
  id: string;
  name: string;
  createdAt: number;
  /** argv[0] and the rest, after entrypoint and cmd are joined. */
  path: string;
  args: string[];
  state: ContainerState;
  /** Config digest; `config.Image` is what the user wrote. */
  imageId: Digest;
  imageManifest?: Digest;
  platform: Platform;
  config: ContainerConfig;
  hostConfig: HostConfig;
  mounts: MountPoint[];
  endpoints: Record<string, EndpointState>;
  sandboxId: string;
  /** Host ports in force while running. */
  ports: PortMap;
  restartCount: number;
  hasBeenManuallyStopped: boolean;
  execIds: string[];
  logPath: string;
  resolvConfPath: string;
  hostnamePath: string;
  hostsPath: string;
}

export interface CreateContainer {
  name?: string;
  platform?: Platform;
  config: ContainerConfig;
  hostConfig: HostConfig;
  endpoints: Record<string, EndpointConfig>;
}

/** Docker's `filters`: name -> set of values. */
export type Filters = Record<string, string[]>;

export interface LogEntry {
  stream: 1 | 2;
  /** Nanoseconds since the epoch. */
  timeNs: bigint;
  /** With the newline, when the writer wrote one. */
  data: Uint8Array;
}

export interface LogQuery {
  follow: boolean;
  stdout: boolean;
  stderr: boolean;
  /** Nanoseconds since the epoch. */
  since?: bigint;
  until?: bigint;
  /** Last n lines; undefined: all. */
  tail?: number;
}

export interface StatsSample {
  readAt: number;
  cgroup: CgroupStats;
  /** Nanoseconds of CPU of the whole host. */
  systemCpu: number;
  onlineCpus: number;
  networks: Record<string, InterfaceCounters>;
}

export interface Containers {
  create(request: CreateContainer): Promise<{ id: string; warnings: string[] }>;
  /** @throws NotFound "No such container: x" */
  get(target: string): ContainerRecord;
  /** Newest first; `all` or only running. Filters: id, name, label, status, exited, ancestor, before, since, volume, network, publish, expose, health, is-task. */
  list(options: { all: boolean; limit?: number; filters: Filters }): ContainerRecord[];
  /** @throws NotModified when it runs */
  start(target: string): Promise<void>;
  /** Seconds; -1 waits for ever. @throws NotModified when it does not run */
  stop(target: string, options: { signal?: string; timeout?: number }): Promise<void>;
  restart(target: string, options: { signal?: string; timeout?: number }): Promise<void>;
  kill(target: string, signal?: string): Promise<void>;
  pause(target: string): Promise<void>;
  unpause(target: string): Promise<void>;
  rename(target: string, name: string): Promise<void>;
  update(
    target: string,
    change: { hostConfig: Partial<HostConfig>; restartPolicy?: RestartPolicy },
  ): Promise<{ warnings: string[] }>;
  remove(target: string, options: { force: boolean; volumes: boolean; link: boolean }): Promise<void>;
  /** Settles when the condition holds. Registers before it returns the inner promise. */
  wait(
    target: string,
    condition: "not-running" | "next-exit" | "removed",
    signal: AbortSignal,
  ): Promise<{ done: Promise<{ exitCode: number; error?: string }> }>;
  /** The stream has stdcopy frames without TTY and raw bytes with one; `logs` replays the log first. */
  attach(
    target: string,
    options: { stdin: boolean; stdout: boolean; stderr: boolean; stream: boolean; logs: boolean },
  ): Promise<Duplex>;
  logs(target: string, query: LogQuery, signal: AbortSignal): AsyncIterable<LogEntry>;
  resize(target: string, size: { width: number; height: number }): Promise<void>;
  top(target: string, psArgs: string): Promise<{ titles: string[]; processes: string[][] }>;
  /** Samples at about one a second until aborted or the container is removed. */
  stats(target: string, signal: AbortSignal): AsyncIterable<StatsSample>;
  sample(target: string): StatsSample | undefined;
  /** 0 modified, 1 added, 2 deleted. */
  changes(target: string): Promise<{ path: string; kind: 0 | 1 | 2 }[]>;
  export(target: string): Promise<Readable>;
  statPath(target: string, path: string): Promise<PathStat>;
  getArchive(target: string, path: string): Promise<{ stat: PathStat; tar: Readable }>;
  putArchive(
    target: string,
    path: string,
    tar: Readable,
    options: { noOverwriteDirNonDir: boolean; copyUidGid: boolean },
  ): Promise<void>;
  commit(target: string, options: CommitOptions): Promise<Digest>;
  prune(filters: Filters): Promise<{ removed: string[]; bytes: number }>;
  /** Bytes of the writable layer and of the whole tree. */
  sizes(target: string): Promise<{ rw: number; rootFs: number }>;
}

export interface CommitOptions {
  repository?: string;
  comment: string;
  author: string;
  /** Freeze a running container meanwhile. */
  pause: boolean;
  /** Dockerfile instructions (`CMD ["sh"]`). */
  changes: string[];
  /** Comes over the container's own configuration. */
  config?: ContainerConfig;
}

export interface PathStat {
  name: string;
  size: number;
  /** Go's os.FileMode bits. */
  mode: number;
  /** Milliseconds since the epoch. */
  mtime: number;
  linkTarget: string;
}

export interface ExecConfig {
  attachStdin: boolean;
  attachStdout: boolean;
  attachStderr: boolean;
  tty: boolean;
  detachKeys?: string;
  env: string[];
  cmd: string[];
  privileged: boolean;
  user: string;
  workingDir: string;
  consoleSize?: [number, number];
}

export interface ExecRecord {
  id: string;
  containerId: string;
  config: ExecConfig;
  running: boolean;
  exitCode: number | null;
  pid: number;
}

export interface Execs {
  create(container: string, config: ExecConfig): Promise<string>;
  /** With a stream: attached; it ends with the process. */
  start(
    id: string,
    options: { detach: boolean; tty?: boolean; consoleSize?: [number, number] },
  ): Promise<Duplex | undefined>;
  resize(id: string, size: { width: number; height: number }): Promise<void>;
  get(id: string): ExecRecord;
}

/** Progress of pull, push and load, in Docker's JSON message terms. */
export interface ProgressMessage {
  id?: string;
  status: string;
  /** Text to print as it is, instead of a status (load). */
  stream?: string;
  progressDetail?: { current?: number; total?: number };
  aux?: object;
}
export type OnProgress = (message: ProgressMessage) => void;

export interface ImageSummary {
  record: ImageRecord;
  repoTags: string[];
  repoDigests: string[];
  containers: number;
  sharedSize: number;
}

export interface EngineImages {
  list(options: { all: boolean; filters: Filters }): ImageSummary[];
  /** By id, prefix or reference. @throws NotFound "No such image: x" */
  get(target: string): ImageSummary;
  history(
    target: string,
  ): { id: string; createdAt: number; createdBy: string; tags: string[]; size: number; comment: string }[];
  pull(
    reference: string,
    options: { platform?: Platform; auth?: Credentials; signal: AbortSignal },
    onProgress: OnProgress,
  ): Promise<void>;
  /** All tags of a repository when `tag` is missing and `all`. */
  push(
    reference: string,
    options: { tag?: string; auth?: Credentials; signal: AbortSignal },
    onProgress: OnProgress,
  ): Promise<void>;
  tag(target: string, repository: string, tag: string): void;
  remove(
    target: string,
    options: { force: boolean; noPrune: boolean },
  ): Promise<({ untagged: string } | { deleted: string })[]>;
  prune(
    filters: Filters,
  ): Promise<{ deleted: ({ untagged: string } | { deleted: string })[]; bytes: number }>;
  /** Docker archive that is an OCI layout too. */
  save(targets: string[], signal: AbortSignal): Promise<Readable>;
  load(tar: Readable, onProgress: OnProgress, signal: AbortSignal): Promise<void>;
  importTar(
    tar: Readable,
    options: { repository?: string; tag?: string; message: string; changes: string[]; platform?: Platform },
    signal: AbortSignal,
  ): Promise<Digest>;
  login(domain: string, auth: Credentials): Promise<{ status: string; identityToken?: string }>;
}

export interface NetworkRecord {
  id: string;
  name: string;
  createdAt: number;
  driver: "bridge" | "host" | "null";
  scope: "local";
  internal: boolean;
  attachable: boolean;
  ingress: boolean;
  enableIPv4: boolean;
  enableIPv6: boolean;
  ipam: {
    driver: string;
    options: Record<string, string>;
    config: { subnet: string; gateway?: string; ipRange?: string; auxAddresses?: Record<string, string> }[];
  };
  options: Record<string, string>;
  labels: Record<string, string>;
  bridge: string;
}

export interface NetworkInspection extends NetworkRecord {
  containers: Record<
    string,
    { name: string; endpointId: string; macAddress: string; ipv4Address: string; ipv6Address: string }
  >;
}

export interface CreateNetwork {
  name: string;
  driver: string;
  internal: boolean;
  attachable: boolean;
  enableIPv6: boolean;
  ipam: {
    driver: string;
    options: Record<string, string>;
    config: { subnet?: string; gateway?: string; ipRange?: string; auxAddresses?: Record<string, string> }[];
  };
  options: Record<string, string>;
  labels: Record<string, string>;
}

export interface EngineNetworks {
  create(request: CreateNetwork): Promise<{ id: string; warning: string }>;
  /** @throws NotFound "network x not found" */
  get(target: string): NetworkInspection;
  list(filters: Filters): NetworkRecord[];
  remove(target: string): Promise<void>;
  connect(target: string, container: string, endpoint: EndpointConfig): Promise<void>;
  disconnect(target: string, container: string, force: boolean): Promise<void>;
  prune(filters: Filters): Promise<string[]>;
}

export interface VolumeRecord {
  name: string;
  driver: string;
  mountpoint: string;
  createdAt: number;
  labels: Record<string, string>;
  options: Record<string, string>;
  anonymous: boolean;
}

export interface EngineVolumes {
  /** Returns the existing one when name and driver agree. */
  create(request: {
    name?: string;
    driver: string;
    options: Record<string, string>;
    labels: Record<string, string>;
  }): Promise<VolumeRecord>;
  /** @throws NotFound "get x: no such volume" */
  get(name: string): VolumeRecord;
  list(filters: Filters): VolumeRecord[];
  remove(name: string, force: boolean): Promise<void>;
  prune(filters: Filters): Promise<{ removed: string[]; bytes: number }>;
  /** Bytes used, and containers that use it. */
  usage(name: string): Promise<{ size: number; refCount: number }>;
}

export interface EngineEvent {
  type: "container" | "image" | "volume" | "network" | "daemon" | "builder";
  action: string;
  actor: { id: string; attributes: Record<string, string> };
  timeNs: bigint;
}

export interface Events {
  /** Past ones since `since`, then live until `until` or abort. */
  subscribe(
    options: { since?: bigint; until?: bigint; filters: Filters },
    signal: AbortSignal,
  ): AsyncIterable<EngineEvent>;
}

/** What info needs that only the engine knows; the rest (host facts) the API reads through it too. */
export interface SystemInfo {
  id: string;
  name: string;
  dataRoot: string;
  containers: number;
  running: number;
  paused: number;
  stopped: number;
  images: number;
  kernelVersion: string;
  operatingSystem: string;
  osVersion: string;
  architecture: string;
  cpus: number;
  memoryTotal: number;
  cgroupVersion: "1" | "2";
  defaultRuntime: string;
  runtimes: Record<string, { path: string }>;
  runtimeVersion: string;
  mirrors: string[];
  insecureRegistries: string[];
  labels: string[];
  startedAt: number;
  warnings: string[];
  eventListeners: number;
  httpProxy: string;
  httpsProxy: string;
  noProxy: string;
  addressPools: { base: string; size: number }[];
}

export interface DiskUsage {
  images: ImageSummary[];
  layersSize: number;
  containers: { record: ContainerRecord; rw: number; rootFs: number }[];
  volumes: { record: VolumeRecord; size: number; refCount: number }[];
  buildCache: {
    id: string;
    parents: string[];
    description: string;
    size: number;
    createdAt: number;
    lastUsedAt: number;
    usageCount: number;
    inUse: boolean;
    shared: boolean;
  }[];
}

export interface Builds {
  /** Extracts `context` (tar, any compression) and builds. `remote`: a git or http URL, or "" . */
  build(
    context: Readable,
    request: Omit<BuildRequest, "contextDir" | "tags"> & {
      tags: string[];
      auth: Record<string, Credentials>;
    },
    onEvent: (event: BuildEvent) => void,
    signal: AbortSignal,
  ): Promise<BuildResult>;
  prune(options: { all: boolean; filters: Filters }): Promise<{ removed: string[]; bytes: number }>;
}

export interface Engine extends AsyncDisposable {
  readonly containers: Containers;
  readonly execs: Execs;
  readonly images: EngineImages;
  readonly networks: EngineNetworks;
  readonly volumes: EngineVolumes;
  readonly events: Events;
  readonly builds: Builds;
  info(): SystemInfo;
  diskUsage(): Promise<DiskUsage>;
}

export interface EngineOptions {
  /** `/var/lib/gantry`. */
  dataRoot: string;
  /** `/run/gantry`. */
  execRoot: string;
  runtime?: string;
  registryMirrors: string[];
  insecureRegistries: string[];
  /** Default bridge's gateway with prefix; undefined: the first free pool. */
  bip?: string;
  /** Default bridge's link name: `gantry0`. */
  bridge: string;
  addressPools: { base: string; size: number }[];
  dns: string[];
  labels: string[];
  logDriver: string;
  logOptions: Record<string, string>;
  defaultUlimits: { Name: string; Soft: number; Hard: number }[];
  defaultShmSize: number;
  init: boolean;
}
/** Exported by engine/index.ts. Reconciles with what kernel, monitors and database say before it returns. */
export type OpenEngine = (options: EngineOptions) => Promise<Engine>;
