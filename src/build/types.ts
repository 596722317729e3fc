/**
 * What the builder promises: a Dockerfile and a context become an image. Steps are vertices with content-derived
 * cache keys; they run on the OCI runtime straight, on snapshots. What it needs from the engine comes in as
 * `BuildBackend`.
 */

import type { Digest } from "../lib/digest.ts";
import type { IdMap } from "../lib/id-map.ts";
import type { Descriptor, ImageConfig, Platform } from "../lib/oci.ts";
import type { TextEdit } from "../lib/text-edit.ts";
import type { Credentials, RegistryClient } from "../registry/types.ts";
import type { ContainerRuntime } from "../runtime/types.ts";
import type { Store } from "../store/types.ts";
import type { AttestationOptions } from "./attest/types.ts";
import type { CacheSource, CacheTarget } from "./cache/options.ts";
import type { CacheEntry, CachePolicy } from "./cache/policy.ts";
import type { Severity } from "./checks/types.ts";
import type { ExportedImage, OutputRequest } from "./export/types.ts";
import type { ReceivedContext } from "./files/received.ts";
import type { ExecMount, LowLevelBuild } from "./llb/types.ts";
import type { Outline, TargetList } from "./outline/types.ts";

export type { CacheSource, CacheTarget } from "./cache/options.ts";
export type { CacheEntry, CachePolicy } from "./cache/policy.ts";
export type * from "./export/types.ts";
export type * as LowLevel from "./llb/types.ts";

export interface BuildRequest {
  /** The extracted context (a directory owned by this build; `.dockerignore` not yet applied). */
  contextDir: string;
  /** Set when `contextDir` came as an archive: a COPY may take its files over. */
  received?: ReceivedContext;
  /**
   * Path inside the context (default `Dockerfile`), or the text itself: with its name for messages, and the text of
   * the ignore file that goes before the context's own.
   */
  dockerfile: { path: string } | { text: string; name?: string; ignore?: string };
  /** Instead of any Dockerfile: the operations themselves. */
  lowLevel?: LowLevelBuild;
  buildArgs: Record<string, string | null>;
  labels: Record<string, string>;
  target?: string;
  platform?: Platform;
  /** Builds one image for each, under one index; `platform` then goes for nothing. */
  platforms?: Platform[];
  noCache: boolean;
  /** Stages, by name, that run every step although `noCache` is false. */
  noCacheStages?: readonly string[];
  /** Ask the registry for base images even when they are here. */
  pull: boolean;
  /** `default`, `none`, `host`. */
  networkMode: string;
  extraHosts: string[];
  shmSize?: number;
  limits: {
    memory?: number;
    memorySwap?: number;
    cpuShares?: number;
    cpuQuota?: number;
    cpuPeriod?: number;
    cpusetCpus?: string;
    cpusetMems?: string;
  };
  /** Where the cgroups of steps are made, an absolute path; default: the backend's. */
  cgroupParent?: string;
  ulimits: { name: string; soft: number; hard: number }[];
  /**
   * Named contexts besides the main one (`--build-context`): a directory of this build's, or an image. One with a
   * `layout` is there, and nowhere else; its name is for messages.
   */
  contexts?: Record<string, { directory: string } | { image: string; layout?: ImageLayout }>;
  /** How to log in at a registry, asked when an image is pulled; undefined: nobody is logged in there. */
  credentials?(domain: string, signal: AbortSignal): Promise<Credentials | undefined>;
  /** A secret's bytes by id, asked when a step needs it; undefined: it was not given. */
  secret?(id: string, signal: AbortSignal): Promise<Uint8Array | undefined>;
  /** A socket that leads to the client's SSH agent, by id (`default`); undefined: it was not given. */
  ssh?(id: string, signal: AbortSignal): Promise<({ socket: string } & AsyncDisposable) | undefined>;
  /** What steps may ask for beyond a container's rights: `security.insecure`, `network.host`. Default: nothing. */
  entitlements?: readonly string[];
  /** Names of the images among the outputs, normalized. */
  tags: string[];
  /** Where steps that others have done may be taken from, and where this build's are left for others. */
  cacheFrom?: CacheSource[];
  cacheTo?: CacheTarget[];
  /** A directory of blobs by the client's name for it: `local:DIRECTORY` of a cache. Absent: it offers none. */
  blobDirectory?(name: string): BlobDirectory;
  /** What is stated about the images among the outputs. */
  attestations?: AttestationOptions;
  /** What becomes of the result; nothing named: an image in the store. */
  outputs?: OutputRequest[];
  /**
   * Called once, when nothing reads the directories any more. That may be after the build's end: a step that another
   * build wants too goes on.
   */
  release?(): Promise<void>;
  /** Tell for each instruction whether it was cached, and if not why (`explanation` events). */
  explain?: boolean;
}

/** An input that is not what it was the last time that a step was done. Values are never shown. */
export interface RebuildReason {
  /**
   * `base`: another base image; `parent`: the step before gave other files; `instruction`: its text, or the USER,
   * WORKDIR or network that it runs with; `new`: there is nothing to compare with; `no-cache`: it was asked for.
   */
  kind: "file" | "arg" | "base" | "instruction" | "parent" | "mount" | "new" | "no-cache";
  /** A path, a variable's name, an instruction, an image. */
  name: string;
  /** `changed`, `added`, `removed`, `sha256:... -> sha256:...`. */
  change: string;
}

/** Progress, in order; every front (classic stream, vertices, later gRPC) is drawn from these. */
export type BuildEvent =
  | {
      type: "vertex";
      /** Stable within the build. */
      id: string;
      /** `[builder 2/5] RUN make`; `[internal] load .dockerignore`. */
      name: string;
      /** Ids of those whose results it takes. */
      inputs?: readonly string[];
      /** Step number and total over the needed stages as the classic builder counts, for Dockerfile instructions. */
      step?: { number: number; total: number; instruction: string };
      state: "started" | "cached" | "done" | "failed";
      /** Milliseconds since the epoch. */
      at: number;
      /** Image or snapshot id to show as ` ---> <12 hex>`. */
      result?: string;
      error?: string;
    }
  | { type: "log"; id: string; stream: 1 | 2; data: Uint8Array }
  /** Only with `BuildRequest.explain`; after the vertex started, before it runs. Empty when it was cached. */
  | { type: "explanation"; id: string; name: string; cached: boolean; reasons: RebuildReason[] }
  | { type: "progress"; id: string; name: string; current: number; total?: number }
  | {
      type: "warning";
      /** BuildKit's short form: `JSONArgsRecommended: JSON arguments recommended for CMD ... (line 2)`. */
      message: string;
      file?: string;
      line?: number;
      endLine?: number;
      /** Of a build check. */
      check?: { rule: string; description: string; url: string; detail: string };
    };

/** What the build checks and practices find; nothing was built. */
export interface LintReport {
  /** The Dockerfile's name and text. */
  file: string;
  source: string;
  warnings: {
    rule: string;
    severity: Severity;
    description: string;
    /** What to do about it, where the description doesn't say. */
    advice?: string;
    url: string;
    detail: string;
    line: number;
    endLine: number;
    /** Changes of `source` that end it and leave the image as it is. */
    edits?: TextEdit[];
  }[];
  /** Why it could not be built at all, or that violations are errors here (`# check=error=true`). */
  error?: { message: string; line?: number; endLine?: number };
}

export interface BuildResult {
  /** The first image among the outputs. */
  image?: ExportedImage;
  /** Predicates of SLSA provenance, one a platform. */
  provenance: { platform: Platform; body: object }[];
  /** The manifest of the cache that was exported last, of one in the client's directories before others. */
  cache?: Descriptor;
  warnings: string[];
}

/** Blobs in a directory of the client's (an OCI layout), which only the client can reach. */
export interface BlobDirectory {
  /** Bytes of a blob; undefined: it is not there. */
  size(digest: Digest, signal: AbortSignal): Promise<number | undefined>;
  /** Not verified. */
  read(digest: Digest, signal: AbortSignal): AsyncIterable<Uint8Array>;
  /** Writes a blob unless it is there. `onProgress` gets the bytes that are written so far. */
  write(
    blob: Descriptor,
    open: () => AsyncIterable<Uint8Array>,
    signal: AbortSignal,
    onProgress?: (bytes: number) => void,
  ): Promise<void>;
}

/** An image, or an index of images, in a directory of blobs. */
export interface ImageLayout {
  directory: BlobDirectory;
  digest: Digest;
}

export interface BaseImage {
  /** Shown and used in cache keys: the config digest. */
  id: Digest;
  /** The digest of its manifest. */
  manifest?: Digest;
  config: ImageConfig;
  platform: Platform;
  layers: { descriptor: Descriptor; diffId: Digest; chainId: string }[];
}

/** The engine's side. */
/** Whose ids a RUN step's processes have instead of the host's. Held while it runs. */
export interface StepUser extends AsyncDisposable {
  /** The user namespace, and a network namespace that belongs to it. */
  path: string;
  networkPath: string;
  idMap: IdMap;
  /** The directory of all snapshots, with owners mapped. */
  view: string;
  /** Mounts a directory at an empty one with owners mapped, until it's unmounted. @throws Errno where the file system can't */
  mountMapped(source: string, target: string): void;
}

export interface BuildBackend {
  store: Store;
  registry: RegistryClient;
  runtime: ContainerRuntime;
  /** Short-path directory for bundles of steps (below exec-root). */
  execDir: string;
  cgroupParent: string;
  /** Finds or pulls an image. @throws NotFound */
  resolveImage(
    reference: string,
    options: {
      pull: boolean;
      platform?: Platform;
      signal?: AbortSignal;
      credentials?: BuildRequest["credentials"];
      onProgress?: (name: string, current: number, total?: number) => void;
    },
  ): Promise<BaseImage>;
  /** Missing: the host's ids. */
  stepUser?: () => Promise<StepUser>;
  /**
   * Network of a RUN step: namespace path plus /etc/hosts and resolv.conf contents; undefined path: the host's.
   * @param namespace one to be used instead of a new one
   */
  stepNetwork(
    id: string,
    mode: string,
    extraHosts: string[],
    namespace?: string,
  ): Promise<{ namespacePath?: string; hosts: string; resolvConf: string } & AsyncDisposable>;
}

/** A container beside builds, on what they have come to. */
export interface ContainerRequest extends Pick<BuildRequest, "secret" | "ssh" | "entitlements"> {
  /** The committed snapshot of its root, which stays while the container does; undefined: empty. */
  snapshot?: string;
  readonlyRoot?: boolean;
  mounts: ContainerMount[];
  network: "default" | "host" | "none";
  hostname: string;
  /** `host:address`. */
  extraHosts: string[];
}

/** As of a low-level command, but for trees: they are snapshots. */
export type ContainerMount =
  | Exclude<ExecMount, { type: "bind" }>
  | { type: "bind"; target: string; snapshot?: string; selector: string; readonly: boolean };

export interface ContainerProcess {
  args: string[];
  /** `KEY=value`. */
  env: string[];
  cwd: string;
  user: string;
  terminal: boolean;
  /** All capabilities and no filter. */
  insecure: boolean;
  secretEnv: { id: string; name: string; optional: boolean }[];
}

export interface ProcessStreams {
  /** Whether there is a standard input; it ends with `end`. */
  input: boolean;
  /** With a terminal all is 1. The bytes are there until it returns. */
  onOutput(fd: 1 | 2, data: Uint8Array): void;
}

export interface StartedProcess {
  write(data: Uint8Array): Promise<void>;
  /** Ends the standard input. */
  end(): void;
  resize(width: number, height: number): Promise<void>;
  kill(signal: number): Promise<void>;
  /** Its code, when all of its output was told. */
  exited: Promise<number>;
}

/** Nothing of it is left when it is disposed of. */
export interface StepContainer extends AsyncDisposable {
  /** The first process is the container's own: with it the others end. */
  start(process: ContainerProcess, streams: ProcessStreams): Promise<StartedProcess>;
}

/** Lines of a Dockerfile around those that an error is about; all numbers count from 1. */
export interface Excerpt {
  file: string;
  line: number;
  endLine: number;
  /** The number of the first of `lines`. */
  from: number;
  lines: string[];
}

/** A Dockerfile that can't be built as written. Message: `dockerfile parse error on line 3: ...`, Docker's words. */
export interface DockerfileProblem {
  file: string;
  line: number;
  endLine?: number;
  hint?: string;
  /** Set by the builder. */
  excerpt?: Excerpt;
}

export interface Builder {
  /**
   * @throws DockerfileError (extends InvalidParameter, carries DockerfileProblem), BuildStepFailed (carries line,
   * command, exitCode; message as Docker's `The command '/bin/sh -c ...' returned a non-zero code: 1`), Cancelled
   */
  build(
    request: BuildRequest,
    onEvent: (event: BuildEvent) => void,
    signal: AbortSignal,
  ): Promise<BuildResult>;
  /**
   * Runs the build checks and no step; base images are looked up, for what they define.
   * @throws InvalidParameter when there is no Dockerfile to look at
   */
  check(request: BuildRequest, signal: AbortSignal): Promise<LintReport>;
  /**
   * Runs build checks and best practices on the Dockerfile and its ignore file; the context's other files are not
   * looked at, and no base image is fetched.
   * @throws InvalidParameter when there is no Dockerfile to look at
   */
  lint(request: BuildRequest): Promise<LintReport>;
  /** What the target takes; nothing is run or fetched. @throws DockerfileError, InvalidParameter */
  outline(request: BuildRequest): Promise<Outline>;
  /** The stages that can be built. @throws DockerfileError, InvalidParameter */
  targets(request: BuildRequest): Promise<TargetList>;
  /** A container; it is made when its first process is started. @throws Forbidden */
  container(request: ContainerRequest, signal: AbortSignal): StepContainer;
  /** Removes what a policy lets go of the cache. @returns ids, and bytes freed @throws InvalidParameter */
  prune(policy: CachePolicy): Promise<{ removed: string[]; bytes: number }>;
  /** The cache, for `system df` and its like. */
  usage(): Promise<CacheEntry[]>;
}
/** Exported by build/index.ts. */
export type CreateBuilder = (backend: BuildBackend) => Builder;
