/**
 * What the runtime promises: a process tree in namespaces, started by an OCI runtime (crun, runc) under one
 * monitor each, that outlives this daemon. The spec here is neutral; `spec.ts` writes it as OCI config.json.
 */
import type { Duplex } from "node:stream";
import type { IdMap } from "../lib/id-map.ts";
import type { CgroupFigures } from "../linux/cgroup-stats.ts";
import type { CgroupSupport } from "../linux/cgroup-support.ts";

/** The user part is already resolved to numbers (see `users.ts`: resolveUser(rootfs, "name:group")). */
export interface ProcessSpec {
  args: string[];
  /** `KEY=value`. */
  env: string[];
  cwd: string;
  /** `home`: HOME where the environment has none. */
  user: { uid: number; gid: number; additionalGids: number[]; umask?: number; home?: string };
  terminal: boolean;
  /** Columns and rows at start, when terminal. */
  consoleSize?: { width: number; height: number };
  /** Names with `CAP_`; the same set goes to bounding, effective and permitted. */
  capabilities: string[];
  noNewPrivileges: boolean;
  rlimits: {
    type: string;
    soft: number;
    hard: number /** Set by the user: fail when it can't be set. */;
    explicit: boolean;
  }[];
  oomScoreAdj?: number;
  apparmorProfile?: string;
}

export interface MountSpec {
  destination: string;
  type: string;
  source: string;
  options: string[];
}

export interface DeviceSpec {
  path: string;
  type: "c" | "b" | "p";
  major: number;
  minor: number;
  fileMode?: number;
  uid?: number;
  gid?: number;
  /** Cgroup access, e.g. `rwm`. */
  access: string;
}

export interface DeviceRateSpec {
  major: number;
  minor: number;
  rate: number;
}

/** Limits in the units of the OCI runtime-spec: bytes, microseconds, shares; undefined: no limit. */
export interface ResourceSpec {
  memory?: number;
  memoryReservation?: number;
  /** Memory plus swap; -1 unlimited. */
  memorySwap?: number;
  memorySwappiness?: number;
  /** Of TCP buffers; cgroup v1 alone has it. */
  kernelMemoryTcp?: number;
  oomKillDisable?: boolean;
  cpuShares?: number;
  cpuQuota?: number;
  cpuPeriod?: number;
  cpuRealtimePeriod?: number;
  cpuRealtimeRuntime?: number;
  cpusetCpus?: string;
  cpusetMems?: string;
  pids?: number;
  blkioWeight?: number;
  blkioWeightDevices?: { major: number; minor: number; weight: number }[];
  /** Bytes or operations a second. */
  blkioReadBps?: DeviceRateSpec[];
  blkioWriteBps?: DeviceRateSpec[];
  blkioReadIops?: DeviceRateSpec[];
  blkioWriteIops?: DeviceRateSpec[];
  deviceRules?: { allow: boolean; type?: string; major?: number; minor?: number; access: string }[];
}

export type NamespaceType = "pid" | "network" | "mount" | "ipc" | "uts" | "user" | "cgroup";

/** An OCI runtime that a container may ask for. */
export interface RuntimeProgram {
  /** Absolute, or looked for on PATH. */
  path: string;
  runtimeArgs?: string[];
}

export interface ContainerSpec {
  id: string;
  /** Name of the OCI runtime; undefined: the standard one. */
  runtime?: string;
  rootfs: string;
  readonlyRootfs: boolean;
  hostname?: string;
  domainname?: string;
  process: ProcessSpec;
  /** In mount order, besides the defaults (/proc, /dev, /dev/pts, /dev/shm, /dev/mqueue, /sys, cgroup). */
  mounts: MountSpec[];
  /** Bytes of /dev/shm; 0: there is none. */
  shmSize?: number;
  /** New namespaces; a path joins an existing one; a missing type shares the host's. */
  namespaces: { type: NamespaceType; path?: string }[];
  /** Ids of the user namespace, when there is one among them. */
  idMap?: IdMap;
  devices: DeviceSpec[];
  resources: ResourceSpec;
  /** Cgroup path below each controller's root, e.g. `/gantry/<id>`; the same for v1 and v2. */
  cgroupPath: string;
  sysctls: Record<string, string>;
  privileged: boolean;
  /** "default": Docker's default profile for the capabilities; "unconfined"; or a profile in Docker's JSON. */
  seccomp: "default" | "unconfined" | object;
  /** undefined: Docker's defaults. */
  maskedPaths?: string[];
  readonlyPaths?: string[];
  annotations?: Record<string, string>;
  /** Programs of the host at stages of the container's life (OCI runtime-spec, "POSIX-platform Hooks"). */
  hooks?: HookSpec[];
  /** Adds the monitor's init (`docker run --init`) as pid 1. */
  init?: boolean;
}

export interface HookSpec {
  /** `createRuntime`, `createContainer`, `startContainer`, `poststart`, `poststop` or `prestart`. */
  stage: string;
  path: string;
  args?: string[];
  env?: string[];
  /** Seconds. */
  timeout?: number;
}

export interface LogSpec {
  /** json-file writes Docker's JSON lines; none keeps nothing. */
  driver: "json-file" | "none";
  path: string;
  /** Rotates at this many bytes, keeping `maxFiles` files. */
  maxSize?: number;
  maxFiles?: number;
  /** Files that are full are compressed. */
  compress?: boolean;
  /** What each line tells of the container. */
  attributes?: Record<string, string>;
  /** Who gets the lines besides. */
  remote?: RemoteLog;
  /** Bytes that wait for a log that is slow, before the oldest lines go; undefined: it slows the process. */
  buffer?: number;
}

/** A receiver of lines: the journal by its own protocol, or a syslog. */
export interface RemoteLog {
  /** `unix:PATH`, `unixgram:PATH`, `tcp:IP:PORT`, `udp:IP:PORT`, or a program that takes them at its stdin. */
  address: string | string[];
  format: "journal" | "unix" | "rfc3164" | "rfc5424" | "rfc5424micro";
  /** Of syslog: the facility's number, and the names of program and machine. */
  facility?: number;
  tag?: string;
  host?: string;
  /** Of the journal: what goes with each line. */
  fields?: Record<string, string>;
  /** The length stands before each message (RFC 5425, 4.3), as syslog over TLS wants it. */
  octets?: boolean;
}

export interface ExitRecord {
  /** 0..255; 128+n after signal n. */
  exitCode: number;
  /** Milliseconds since the epoch. */
  exitedAt: number;
  /** What the kernel killed in it for memory; undefined: nothing. */
  oom?: OutOfMemory;
}

/** Peaks in bytes. */
export interface OutOfMemory {
  kills: number;
  memoryPeak: number;
  swapPeak: number;
}

export interface StdioSpec {
  /** Keep a stdin pipe open for attachers; otherwise it is /dev/null. */
  openStdin: boolean;
  /** Close stdin once the first attacher with stdin leaves. */
  stdinOnce: boolean;
  /** Host ids that pipes belong to, so that the process can open them anew (/dev/stdout); undefined: root. */
  owner?: { uid: number; gid: number };
}

/** A container's or exec's process, seen through its monitor. Survives a restart of the daemon by `reopen`. */
export interface MonitoredProcess {
  /** Host pid of the process. */
  readonly pid: number;
  readonly startedAt: number;
  /**
   * Raw stdio. Without a terminal the bytes from the container come in Docker's stdcopy frames (8-byte header:
   * stream 1 or 2, 3 zero bytes, big-endian length); with one they are raw. Writes go to stdin and `end()`
   * closes the client's side. Backpressure works both ways. Ends after the process's last byte.
   */
  attach(streams: { stdin: boolean; stdout: boolean; stderr: boolean }): Promise<Duplex>;
  resize(width: number, height: number): Promise<void>;
  /** Settles once, when the process has exited, its output is drained and its log is complete. Never rejects. */
  readonly exited: Promise<ExitRecord>;
}

export interface StartOptions {
  /** An empty directory of this process for bundle, sockets and records (under exec-root; short paths). */
  stateDir: string;
  log?: LogSpec;
  stdio: StdioSpec;
  /** Attachers to be connected before the process runs, so that they miss nothing. */
  onAttachable?: (process: Pick<MonitoredProcess, "attach">) => Promise<void>;
  signal?: AbortSignal;
  /** Of a container: directory of a checkpoint that it goes on from, instead of starting anew. */
  checkpoint?: string;
}

/** Why a start failed, told apart without matching text by callers. Kind "invalid", as Docker's 400. */
export interface StartFailureInfo {
  /** 127: command not found; 126: cannot be invoked; 125: anything else. */
  exitCode: 125 | 126 | 127;
}

/** One OCI runtime binary, or several of which each container has one. */
export interface ContainerRuntime {
  readonly name: string;
  readonly version: string;
  readonly cgroupVersion: 1 | 2;
  /** Which limits the kernel knows. */
  readonly limitSupport: CgroupSupport;
  /** A start or an exec will come soon; what it would wait for in the kernel begins now. */
  expectStart(): void;
  /** Writes the bundle and starts. @throws StartFailure (extends InvalidParameter, has exitCode) */
  start(spec: ContainerSpec, options: StartOptions): Promise<MonitoredProcess>;
  /** A further process in a running container. Makes the state directory when there is something to keep in it. */
  exec(
    containerId: string,
    process: ProcessSpec,
    options: StartOptions & { execId: string },
  ): Promise<MonitoredProcess>;
  /**
   * After a restart of the daemon: the process behind `stateDir`, still running or with its exit record;
   * undefined when nothing was started there.
   * @param onContainer hears the container's id before anything else is done
   */
  reopen(
    stateDir: string,
    onContainer?: (containerId: string) => void,
  ): Promise<MonitoredProcess | undefined>;
  /**
   * Saves a running container's processes to an empty directory.
   * @param exit ends them with that
   * @throws NotImplemented without CRIU or a runtime that works with it, Internal in CRIU's words
   */
  checkpoint(containerId: string, directory: string, options: { exit: boolean }): Promise<void>;
  /** Signal to the init process (all: every process). A process that is gone is no error. */
  kill(containerId: string, signal: number, options?: { all?: boolean }): Promise<void>;
  pause(containerId: string): Promise<void>;
  resume(containerId: string): Promise<void>;
  update(containerId: string, resources: ResourceSpec): Promise<void>;
  /** Frees what the runtime and cgroups hold; force kills first. Nothing there is no error. */
  delete(containerId: string, options?: { force?: boolean }): Promise<void>;
  /** Host pids in the container, from its cgroup. */
  pids(cgroupPath: string): number[];
  /** Raw figures from the cgroup, v1 or v2 behind one shape. */
  stats(cgroupPath: string): CgroupStats;
}

export type CgroupStats = CgroupFigures;
export type { CgroupSupport };

export interface RuntimeOptions {
  /** Path or name on PATH of the OCI runtime; undefined: crun, or runc where crun can't run. */
  binary?: string;
  /** The runtime's own state, `--root`. */
  root: string;
  /** Where the monitor's executable is put; a mount without noexec. Default: `root`. */
  monitorDirectory?: string;
}
/** All OCI runtimes of a daemon. */
export interface ContainerRuntimes extends ContainerRuntime {
  /** Those that a container can ask for, by name. */
  programs(): Record<string, RuntimeProgram>;
  /**
   * Takes the place of what was configured before; containers that run keep their runtime.
   * @param standard what containers get that ask for none; undefined: as it is
   * @throws InvalidParameter for a standard that isn't among them, Unavailable for a program that can't be executed
   */
  configure(programs: Record<string, RuntimeProgram>, standard: string | undefined): Promise<void>;
}

/** Exported by runtime/index.ts. Probes the binary once; makes a hybrid cgroup layout usable for crun. */
export type OpenRuntime = (options: RuntimeOptions) => Promise<ContainerRuntimes>;
