/** Networks, volumes, events, tokens and the system as the engine's callers see them; see types.ts. */
import type { CacheEntry } from "../build/types.ts";
import type { Forwarding } from "../net/types.ts";
import type { CgroupSupport } from "../runtime/types.ts";
import type { EndpointConfig } from "./config.ts";
import type { ContainerRecord, Filters } from "./container-types.ts";
import type { ImageSummary } from "./image-types.ts";

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
    /** One of each family that the network carries. */
    config: {
      subnet: string;
      gateway?: string;
      ipRange?: string;
      auxAddresses?: Record<string, string>;
      /** The subnet was chosen, and not asked for: an address in it can't be asked for either. */
      automatic?: boolean;
    }[];
  };
  options: Record<string, string>;
  labels: Record<string, string>;
  bridge: string;
  /** Settings for other networks, and no network itself. */
  configOnly?: boolean;
  /** The network whose settings these are. */
  configFrom?: string;
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
  /** undefined: as its options or the daemon's say, else yes. */
  enableIPv4?: boolean;
  /** undefined: as its options or the daemon's say, else no. */
  enableIPv6?: boolean;
  ipam: {
    driver: string;
    options: Record<string, string>;
    config: { subnet?: string; gateway?: string; ipRange?: string; auxAddresses?: Record<string, string> }[];
  };
  options: Record<string, string>;
  labels: Record<string, string>;
  configOnly: boolean;
  /** Name of a network with `configOnly`; empty for none. */
  configFrom: string;
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
  /** Of what it is about; not told. */
  labels: Readonly<Record<string, string>>;
  timeNs: bigint;
}

export interface Events {
  /**
   * Past ones since `since`, then live until `until` or abort.
   * @param options `observes`: only of what has these labels, also where its events don't show them
   */
  subscribe(
    options: {
      since?: bigint;
      until?: bigint;
      filters: Filters;
      observes?: Readonly<Record<string, string>>;
    },
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
  /** Of the storage driver: names and values. */
  driverStatus: [string, string][];
  cgroupVersion: 1 | 2;
  /** Which limits the kernel knows. */
  limitSupport: CgroupSupport;
  forwarding: Forwarding;
  defaultRuntime: string;
  runtimes: Record<string, { path: string; runtimeArgs?: string[] }>;
  /** Of containers that name none: `builtin`, `unconfined` or a path. */
  seccompProfile: string;
  noNewPrivileges: boolean;
  /** The kernel has it on. */
  appArmor: boolean;
  /** Containers that ask for none have a cgroup namespace of their own. */
  cgroupNamespaces: boolean;
  debug: boolean;
  experimental: boolean;
  runtimeVersion: string;
  mirrors: string[];
  insecureRegistries: string[];
  labels: string[];
  /** `user:group` of the subordinate ids that containers have; undefined: the host's ids. */
  usernsRemap?: string;
  startedAt: number;
  /** Of the daemon itself. */
  openFiles: number;
  threads: number;
  warnings: string[];
  eventListeners: number;
  httpProxy: string;
  httpsProxy: string;
  noProxy: string;
  addressPools: { base: string; size: number }[];
  /** Of containers that name none. */
  logDriver: string;
  logDrivers: string[];
  /** Where devices are described, and the full names of those that are. */
  cdiDirectories: string[];
  cdiDevices: string[];
}

export interface DiskUsage {
  images: ImageSummary[];
  layersSize: number;
  containers: { record: ContainerRecord; rw: number; rootFs: number }[];
  volumes: { record: VolumeRecord; size: number; refCount: number }[];
  buildCache: CacheEntry[];
}

/** What `check` has found. */
export interface CheckReport {
  /** Blobs that were read, and their bytes. */
  blobs: number;
  bytes: number;
  problems: CheckProblem[];
}

export interface CheckProblem {
  kind: "corrupt-blob" | "missing-blob" | "missing-layer" | "missing-container-layer";
  /** A digest, a chain id, or a container's id. */
  what: string;
  /** Names, or ids where there is no name, of the images that it is part of. */
  images: string[];
  mended: boolean;
  /** Why it was not mended; missing when that was not asked for. */
  reason?: string;
}

/** What a token allows; nothing restricted is all. */
export interface TokenScope {
  /** Only looks, and takes no contents out. */
  readOnly: boolean;
  /** Sees and touches only what has all of these labels. */
  labels: Record<string, string>;
  /** Milliseconds since the epoch; undefined is never. */
  expiresAt?: number;
}

export interface TokenRecord extends TokenScope {
  name: string;
  /** SHA-256 of the secret, in hex. */
  hash: string;
  createdAt: number;
}

export interface EngineTokens {
  /** The secret is told once and kept nowhere. @throws InvalidParameter, Conflict when the name is taken */
  create(name: string, scope: TokenScope): { token: TokenRecord; secret: string };
  list(): TokenRecord[];
  /** @throws NotFound */
  remove(name: string): void;
  /** The token that a secret belongs to, unless it has expired. */
  find(secret: string): TokenRecord | undefined;
}
