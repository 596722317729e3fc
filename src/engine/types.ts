/**
 * The domain as its callers (the API server) see it. No HTTP here. Ids are 64 hex digits; times are
 * milliseconds since the epoch; names have no leading slash. `target` arguments take an id, a unique id prefix or
 * a name. All methods throw the classes of lib/errors.ts with Docker's messages.
 */
import type { CachePolicy } from "../build/types.ts";
import type { Credentials } from "../registry/types.ts";
import type { RuntimeProgram } from "../runtime/types.ts";
import type { LayerLimits } from "../store/types.ts";
import type { Builds } from "./build-types.ts";
import type { Containers, Execs } from "./container-types.ts";
import type { EngineImages } from "./image-types.ts";
import type {
  CheckReport,
  DiskUsage,
  EngineNetworks,
  EngineTokens,
  EngineVolumes,
  Events,
  SystemInfo,
} from "./resource-types.ts";

export type * from "./build-types.ts";
export { BuiltElsewhere } from "./build-types.ts";
export type * from "./container-types.ts";
export type * from "./image-types.ts";
export type * from "./resource-types.ts";

export interface Engine extends AsyncDisposable {
  readonly containers: Containers;
  readonly execs: Execs;
  readonly images: EngineImages;
  readonly networks: EngineNetworks;
  readonly volumes: EngineVolumes;
  readonly events: Events;
  readonly builds: Builds;
  readonly tokens: EngineTokens;
  /** Clients are told that experimental features are on. */
  readonly experimental: boolean;
  info(): SystemInfo;
  /**
   * Takes new settings, and tells so by a `reload` event of the daemon. @throws InvalidParameter, Unavailable: nothing
   * has changed then
   */
  reload(settings: Reloadable): Promise<void>;
  diskUsage(): Promise<DiskUsage>;
  /**
   * Reads every blob and looks for every layer that images and containers need.
   * @param options `repair` pulls again what is broken, with the `auth` of each registry's domain
   */
  check(options: {
    repair: boolean;
    auth: Record<string, Credentials>;
    signal: AbortSignal;
  }): Promise<CheckReport>;
}

export interface EngineOptions {
  /** `/var/lib/gantry`. */
  dataRoot: string;
  /** `/run/gantry`. */
  execRoot: string;
  /** The OCI runtime of containers that ask for none: one of `runtimes`, or a program. */
  runtime?: string;
  runtimes: Record<string, RuntimeProgram>;
  registryMirrors: string[];
  insecureRegistries: string[];
  /** Default bridge's gateway with prefix; undefined: the first free pool. */
  bip?: string;
  /** Default bridge's link name: `gantry0`. */
  bridge: string;
  addressPools: { base: string; size: number }[];
  dns: string[];
  dnsOptions: string[];
  dnsSearch: string[];
  /** Options of new networks that don't say otherwise, by driver. */
  defaultNetworkOptions: Record<string, Record<string, string>>;
  /** Rules are made for IPv6 too. */
  filterIpv6: boolean;
  /** What `host-gateway` stands for; empty: the default bridge's own addresses. */
  hostGateways: string[];
  /** Of the default bridge. */
  defaultBridge: DefaultBridge;
  /** Cgroup above those of containers; undefined: `/gantry`. */
  cgroupParent?: string;
  /** undefined: the host's on cgroup v1, one of its own on v2. */
  cgroupnsMode?: "host" | "private";
  ipcMode: "private" | "shareable";
  noNewPrivileges: boolean;
  /** For containers that name no profile of their own. */
  seccomp: { name: string; profile: "default" | "unconfined" | object };
  /** For `info`, of how the daemon is served. */
  warnings: string[];
  /** Only told. */
  debug: boolean;
  experimental: boolean;
  labels: string[];
  logDriver: string;
  logOptions: Record<string, string>;
  defaultUlimits: { Name: string; Soft: number; Hard: number }[];
  defaultShmSize: number;
  /** Of layers, build contexts, and archives that are copied in or imported. */
  layerLimits: LayerLimits;
  init: boolean;
  /** `default`, `user`, or `user:group`: whose subordinate ids containers get; undefined: the host's own. */
  usernsRemap?: string;
  /** Rules that the build cache is held to, applied in this order; none: it only grows. */
  buildGc: BuildGcRule[];
  /** Missing: images stay until they are removed. */
  imageGc?: ImageGc;
  signatures: SignatureRule[];
}

export interface DefaultBridge {
  icc: boolean;
  masquerade: boolean;
  mtu: number;
  /** Address that ports are published at when none is given. */
  hostIp: string;
  /** The part of its subnet that containers get addresses of. */
  fixedCidr?: string;
  /** It carries IPv6. */
  ipv6: boolean;
  /** Its own address with prefix; undefined: the first one of `fixedCidr6`, or of a free subnet. */
  bip6?: string;
  fixedCidr6?: string;
}

/** What can change while the engine runs. */
export type Reloadable = Pick<
  EngineOptions,
  "labels" | "debug" | "registryMirrors" | "insecureRegistries" | "runtime" | "runtimes"
>;

/** Images of these repositories must be signed with the private half of a key. */
export interface SignatureRule {
  /** Domain, or domain and path, of repositories: `registry.example/team`. */
  repositories: string;
  /** PEM of the public key. */
  key: string;
  /** Where the key comes from, for messages. */
  keyFile: string;
}

export interface ImageGc {
  /** Of blobs and unpacked layers together. Bytes. */
  maxUsedSpace: number;
  /** Images that came less long ago stay. Milliseconds. */
  keepRecent?: number;
}

/** A policy with an age (milliseconds) for the time it looks back to. */
export type BuildGcRule = Omit<CachePolicy, "before"> & { unusedFor?: number };

/** Exported by engine/index.ts. Reconciles with what kernel, monitors and database say before it returns. */
export type OpenEngine = (options: EngineOptions) => Promise<Engine>;
