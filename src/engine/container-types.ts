/** Containers and execs as the engine's callers see them; see types.ts. */
import type { Duplex, Readable } from "node:stream";
import type { Digest } from "../lib/digest.ts";
import type { IdMap } from "../lib/id-map.ts";
import type { Descriptor, Platform } from "../lib/oci.ts";
import type { InterfaceCounters } from "../net/types.ts";
import type { CgroupStats, OutOfMemory } from "../runtime/types.ts";
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

/** Who wanted a container to end. */
export interface EndRequest {
  what: "stop" | "restart" | "kill";
  /** Number of the first signal that was sent for it. */
  signal: number;
  /** How the client names itself (User-Agent). */
  by: string;
  /** Milliseconds since the epoch. */
  at: number;
}

export interface ContainerState {
  status: ContainerStatus;
  pid: number;
  exitCode: number;
  error: string;
  oomKilled: boolean;
  /** The figures of the last run's end by the kernel. */
  oom?: OutOfMemory;
  /** undefined: never. */
  startedAt?: number;
  finishedAt?: number;
  health?: HealthState;
  /** The last request to end this run. */
  asked?: EndRequest;
}

/** A mount as resolved at create. */
export interface MountPoint {
  type: "bind" | "volume" | "tmpfs" | "image";
  /** Volume name. */
  name?: string;
  source: string;
  destination: string;
  driver?: string;
  /** What is mounted of an image: its name as it was asked for, and the snapshot of its tree. */
  image?: { name: string; id: Digest; chain: string };
  /** The part of the volume or image that is mounted, relative to its root. */
  subpath?: string;
  mode: string;
  rw: boolean;
  propagation: string;
  /** How far it reaches into what is mounted below its source; undefined: all the way, read-only there too. */
  recursion?: "none" | "writable";
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
  /** Ids of its user namespace while it runs; undefined: the host's. */
  idMap?: IdMap;
  /** Host ports in force while running. */
  ports: PortMap;
  restartCount: number;
  hasBeenManuallyStopped: boolean;
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
  /** What is mounted below a read-only mount stays as it is. */
  shallowReadOnly?: boolean;
}

/** What an inspection tells besides the record. */
export interface ContainerDetails {
  /** The directories of its tree, by overlay2's names for them. */
  layers: Record<string, string>;
  /** Where its network namespace is mounted; empty without one of its own. */
  sandboxKey: string;
  /** Of execs that run, or have been created and can. */
  execIds: string[];
}

/** Docker's `filters`: name -> set of values. */
export type Filters = Record<string, string[]>;

export interface LogEntry {
  stream: 1 | 2;
  /** Nanoseconds since the epoch. */
  timeNs: bigint;
  /** With the newline, when the writer wrote one. */
  data: Uint8Array;
  /** What the log's options `labels`, `env` and `tag` tell of the container. */
  attributes?: Record<string, string>;
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
  /** Bytes of the machine. */
  memoryTotal: number;
  /** Nanoseconds of CPU of the whole host. */
  systemCpu: number;
  onlineCpus: number;
  networks: Record<string, InterfaceCounters>;
}

export interface StopOptions {
  signal?: string;
  /** Seconds; -1 waits for ever. */
  timeout?: number;
  /** How the client names itself. */
  by?: string;
}

export interface CheckpointPlace {
  name: string;
  /** Directory that it is in; empty: the container's own. */
  parent: string;
}

export interface Containers {
  create(request: CreateContainer): Promise<{ id: string; warnings: string[] }>;
  /** @throws NotFound "No such container: x" */
  get(target: string): ContainerRecord;
  /** Newest first; `all` or only running. Filters: id, name, label, status, exited, ancestor, before, since, volume, network, publish, expose, health, is-task. */
  list(options: { all: boolean; limit?: number; filters: Filters }): ContainerRecord[];
  /** @throws NotModified when it runs, NotFound for a checkpoint */
  start(target: string, checkpoint?: CheckpointPlace): Promise<void>;
  readonly checkpoints: {
    /** @param exit ends the container with it @throws NotImplemented without CRIU, Conflict, InvalidParameter */
    create(target: string, place: CheckpointPlace, exit: boolean): Promise<void>;
    /** Names. */
    list(target: string, parent: string): string[];
    /** @throws NotFound */
    remove(target: string, place: CheckpointPlace): void;
  };
  /** Seconds; -1 waits for ever. @throws NotModified when it does not run */
  stop(target: string, options: StopOptions): Promise<void>;
  restart(target: string, options: StopOptions): Promise<void>;
  kill(target: string, options: { signal?: string; by?: string }): Promise<void>;
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
  /**
   * The stream has stdcopy frames without TTY and raw bytes with one; `logs` replays the log first. On a terminal
   * `detachKeys` (empty: Docker's own) end it.
   */
  attach(
    target: string,
    options: {
      stdin: boolean;
      stdout: boolean;
      stderr: boolean;
      stream: boolean;
      logs: boolean;
      detachKeys: string;
    },
  ): Promise<Duplex>;
  logs(target: string, query: LogQuery, signal: AbortSignal): AsyncIterable<LogEntry>;
  resize(target: string, size: { width: number; height: number }): Promise<void>;
  top(target: string, psArgs: string): Promise<{ titles: string[]; processes: string[][] }>;
  /** Samples at about one a second until aborted or the container is removed. */
  stats(target: string, signal: AbortSignal): AsyncIterable<StatsSample | undefined>;
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
  details(target: string): ContainerDetails;
  /** The manifest that the container's image was made from; undefined when it is gone. */
  imageDescriptor(record: ContainerRecord): Descriptor | undefined;
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
