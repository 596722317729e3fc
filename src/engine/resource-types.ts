/** Images, networks, volumes, builds, events and the system as the engine's callers see them; see types.ts. */
import type { Readable } from "node:stream";
import type { Subrequest, SubrequestAnswer } from "../build/index.ts";
import type {
  BuildBackend,
  BuildEvent,
  BuildRequest,
  BuildResult,
  CacheEntry,
  CachePolicy,
  LintReport,
} from "../build/types.ts";
import type { Digest } from "../lib/digest.ts";
import type { Descriptor, Platform } from "../lib/oci.ts";
import type { Forwarding } from "../net/types.ts";
import type { Credentials, FoundRepository } from "../registry/types.ts";
import type { CgroupSupport } from "../runtime/types.ts";
import type { ImageRecord, LayerWeight, Weights } from "../store/types.ts";
import type { EndpointConfig } from "./config.ts";
import type { ContainerRecord, Filters } from "./container-types.ts";

/** Progress of pull, push and load, in Docker's JSON message terms. */
export interface ProgressMessage {
  id?: string;
  status: string;
  /** Text to print as it is, instead of a status (load). */
  stream?: string;
  /** There, if empty, on every message of a layer: by it the docker CLI knows the lines that it writes anew. */
  progressDetail?: { current?: number; total?: number };
  aux?: object;
}
export type OnProgress = (message: ProgressMessage) => void;

export interface ImageSummary {
  record: ImageRecord;
  /** The manifest or index that its names stand for. */
  descriptor: Descriptor;
  repoTags: string[];
  repoDigests: string[];
  containers: number;
  /** Bytes in layers that other images have too; -1 when it was not asked for. */
  sharedSize: number;
  /** Bytes unpacked, of all platforms that are here. */
  size: number;
  /** Each manifest of the target, when asked for. */
  manifests?: ManifestSummary[];
}

/** A manifest of an image's target, here or not. Sizes in bytes. */
export interface ManifestSummary {
  descriptor: Descriptor;
  available: boolean;
  kind: "image" | "attestation" | "unknown";
  /** What of it is in the content store. */
  contentSize: number;
  image?: { platform: Platform; containers: string[]; unpackedSize: number };
  attestedFor?: Digest;
}

/** A statement about an image (in-toto), as BuildKit stores it. */
export interface Attestation {
  descriptor: Descriptor;
  predicateType: string;
  statement?: unknown;
}

/** What an inspection of an image tells besides. */
export interface ImageDetails {
  /** The directories of its tree, by overlay2's names for them. */
  layers: Record<string, string>;
}

/** A manifest or index in a registry. */
export interface RemoteManifest {
  /** With the platform, when it is an image's. */
  descriptor: Descriptor;
  bytes: Uint8Array;
  platforms: Platform[];
}

/** What makes an image big; sizes in bytes. */
export interface ImageWeight extends Weights {
  id: Digest;
  layers: (LayerWeight & { digest: Digest; compressed: number; createdBy: string })[];
}

export interface ImportOptions {
  repository?: string;
  tag?: string;
  /** Of the image's history; where it came from when empty. */
  message: string;
  /** Dockerfile instructions that are applied to the config. */
  changes: string[];
  platform?: Platform;
}

export interface EngineImages {
  list(options: {
    all: boolean;
    filters: Filters;
    manifests?: boolean;
    sharedSize?: boolean;
  }): ImageSummary[];
  /** By id, prefix or reference. @throws NotFound "No such image: x" */
  get(target: string, options?: { platform?: Platform; manifests?: boolean }): ImageSummary;
  /** The image of each platform that a name stands for and that is here. @throws NotFound */
  platforms(target: string): ImageRecord[];
  details(record: ImageRecord): ImageDetails;
  history(
    target: string,
    platform?: Platform,
  ): { id: string; createdAt: number; createdBy: string; tags: string[]; size: number; comment: string }[];
  /** One tag or digest, or all tags of the repository. */
  pull(
    reference: string,
    options: { allTags?: boolean; platform?: Platform; auth?: Credentials; signal: AbortSignal },
    onProgress: OnProgress,
  ): Promise<void>;
  /** All tags of a repository when `tag` is missing and `all`. */
  push(
    reference: string,
    options: { tag?: string; platform?: Platform; auth?: Credentials; signal: AbortSignal },
    onProgress: OnProgress,
  ): Promise<void>;
  tag(target: string, repository: string, tag: string): void;
  remove(
    target: string,
    options: { force: boolean; noPrune: boolean; platforms?: Platform[] },
  ): Promise<({ untagged: string } | { deleted: string })[]>;
  prune(
    filters: Filters,
  ): Promise<{ deleted: ({ untagged: string } | { deleted: string })[]; bytes: number }>;
  /** Docker archive that is an OCI layout too. */
  save(targets: string[], platforms: Platform[], signal: AbortSignal): Promise<Readable>;
  load(tar: Readable, platforms: Platform[], onProgress: OnProgress, signal: AbortSignal): Promise<void>;
  weigh(
    target: string,
    options: { platform?: Platform; limit: number },
    signal: AbortSignal,
  ): Promise<ImageWeight>;
  /** What BuildKit and others have stated about an image; `types` chooses by predicate. */
  attestations(
    target: string,
    options: { platform?: Platform; types: string[]; statement: boolean },
  ): Promise<Attestation[]>;
  importTar(tar: Readable, options: ImportOptions, signal: AbortSignal): Promise<Digest>;
  /** The archive is fetched from a URL of http or https, which is named in the image's history. */
  importUrl(
    url: string,
    options: ImportOptions,
    onProgress: OnProgress,
    signal: AbortSignal,
  ): Promise<Digest>;
  /** @throws NotImplemented when the registry can't be searched, InvalidParameter filters */
  search(
    term: string,
    options: { limit: number; filters: Filters; auth?: Credentials; signal: AbortSignal },
  ): Promise<FoundRepository[]>;
  /** Mounts an image read-only, unless it is. @returns the path @throws NotFound, InvalidParameter no layers */
  mount(target: string, platform?: Platform): string;
  /** @throws NotFound when it is not mounted */
  unmount(target: string, platform?: Platform): void;
  mounts(): { id: Digest; path: string }[];
  /** Asks the registry. @throws NotFound, Unauthorized, Unavailable */
  remoteManifest(
    reference: string,
    options: { auth?: Credentials; signal: AbortSignal },
  ): Promise<RemoteManifest>;
  /** Writes a list under a tag, and brings over manifests of other repositories (`sources`) that it names. */
  pushManifestList(
    reference: string,
    list: { mediaType: string; bytes: Uint8Array; sources: string[] },
    options: { auth?: Credentials; signal: AbortSignal },
  ): Promise<{ digest: string; brought: string[] }>;
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
    /** The subnet was chosen, and not asked for: an address in it can't be asked for either. */
    automatic?: boolean;
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
  enableIPv6: boolean;
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

/** What a build is asked for, besides its files. */
export type BuildOptions = Omit<BuildRequest, "contextDir" | "tags"> & {
  /** As the user wrote them. */
  tags: string[];
  /** By which clients know the build in the history; without one it is given one. */
  id?: string;
  /** For the history: what the client asked for, in its own words. */
  attributes?: Record<string, string>;
  /** Not in the history: it is part of another build. */
  internal?: boolean;
  /** Named contexts that come as archives (tar, any compression): each hands its own to `take`. */
  archives?: Record<
    string,
    (take: (archive: Readable) => Promise<void>, signal: AbortSignal) => Promise<void>
  >;
};

/**
 * Brings a build's files by other ways than an archive. What it returns goes before the same fields of
 * `BuildOptions`.
 * @param open a directory of this build's alone until it ends; with a key it holds what the last build left there
 */
export type FillContext = (
  open: (key?: string) => string,
  onEvent: (event: BuildEvent) => void,
  signal: AbortSignal,
) => Promise<Pick<BuildRequest, "contextDir"> & Partial<Pick<BuildRequest, "dockerfile" | "contexts">>>;

/** How a build went. */
export interface BuildRecord {
  id: string;
  /** Its first tag, or its Dockerfile. */
  name: string;
  dockerfile: string;
  target?: string;
  /** What the client asked for, in its own words. */
  attributes?: Record<string, string>;
  /** Types of its outputs. */
  exporters?: string[];
  status: "running" | "completed" | "error" | "canceled";
  /** Milliseconds since the epoch. */
  createdAt: number;
  completedAt?: number;
  totalSteps: number;
  completedSteps: number;
  cachedSteps: number;
  warnings?: number;
  /** The digest of the image that it made. */
  image?: string;
  error?: string;
}

/** What a build has told, and when (milliseconds since the epoch). */
export interface PastEvent {
  at: number;
  event: BuildEvent;
}

export interface BuildHistory {
  /** Tells of each build that begins, ends or is removed, until it is disposed of. */
  watch(listener: (record: BuildRecord, removed: boolean) => void): Disposable;
  /** The latest first. */
  list(): BuildRecord[];
  /** By its id or the beginning of it. @throws NotFound */
  get(id: string): BuildRecord;
  /** What it has told: of its steps' output the end. @throws NotFound */
  events(id: string): PastEvent[];
  /** @throws NotFound */
  remove(id: string): void;
}

export interface Builds {
  readonly history: BuildHistory;
  /** Where running builds may have sockets: a short path, emptied when the daemon starts. */
  readonly runDirectory: string;
  /** Extracts a context (tar, any compression) or has it filled, and builds. */
  build(
    context: Readable | FillContext,
    options: BuildOptions,
    onEvent: (event: BuildEvent) => void,
    signal: AbortSignal,
  ): Promise<BuildResult>;
  /**
   * A context that the engine fetches: `URL[#REF[:DIRECTORY]]` of a Git repository, a tar archive or a Dockerfile.
   * @param keepGitDir leave `.git` in it
   * @param secret has `GIT_AUTH_TOKEN` or `GIT_AUTH_HEADER` for a repository that asks who is there
   */
  remote(url: string, keepGitDir: boolean, secret?: BuildRequest["secret"]): FillContext;
  /** Extracts `context` and runs the build checks alone. */
  check(context: Readable | FillContext, options: BuildOptions, signal: AbortSignal): Promise<LintReport>;
  /** An image's configuration as a build finds it; pulled when it is not here. @throws NotFound */
  imageConfig(
    reference: string,
    options: Parameters<BuildBackend["resolveImage"]>[1],
  ): Promise<{ digest: string; config: Uint8Array }>;
  /** Answers what a front end can be asked about a build (`outline`, `targets`, `lint`), without building. */
  ask(
    request: Subrequest,
    context: Readable | FillContext,
    options: BuildOptions,
    signal: AbortSignal,
  ): Promise<SubrequestAnswer>;
  /** The same with best practices; of the context only the Dockerfile and its ignore file matter. */
  lint(context: Readable | FillContext, options: BuildOptions, signal: AbortSignal): Promise<LintReport>;
  /** The cache, for lists of it. */
  usage(): Promise<CacheEntry[]>;
  /** Frees what a policy lets go; its `filters` may have `until` or `unused-for` as well. */
  prune(policy: Omit<CachePolicy, "before">): Promise<{ removed: string[]; bytes: number }>;
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
