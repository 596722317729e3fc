/** Builds, their records and their cache as the engine's callers see them; see types.ts. */
import type { Readable } from "node:stream";
import type { Subrequest, SubrequestAnswer } from "../build/index.ts";
import type {
  BuildBackend,
  BuildEvent,
  Builder,
  BuildRequest,
  BuildResult,
  CacheEntry,
  CachePolicy,
  LintReport,
} from "../build/types.ts";

/** What a build is asked for, besides its files. */
export type BuildOptions = Omit<BuildRequest, "contextDir" | "received" | "tags"> & {
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

/** What fills a context may find that another front end has to build it. Not in the history: the build goes on. */
export class BuiltElsewhere extends Error {
  /** @param image the front end's @param commandLine as the Dockerfile names it */
  constructor(
    readonly image: string,
    readonly commandLine: string,
  ) {
    super(`the build is for the front end ${image}`);
  }
}

/**
 * Brings a build's files by other ways than an archive. What it returns goes before the same fields of
 * `BuildOptions`.
 * @param open a directory of this build's alone until it ends; with a key it holds what the last build left there
 */
export type FillContext = (
  open: (key?: string) => string,
  onEvent: (event: BuildEvent) => void,
  signal: AbortSignal,
) => Promise<
  Pick<BuildRequest, "contextDir"> & Partial<Pick<BuildRequest, "dockerfile" | "contexts" | "lowLevel">>
>;

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
  /** Of a build that is complete, one a platform. @throws NotFound */
  provenance(id: string): BuildResult["provenance"];
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
   * @param client has `GIT_AUTH_TOKEN` or `GIT_AUTH_HEADER`, or an agent, for a repository that asks who is there
   */
  remote(url: string, keepGitDir: boolean, client?: Pick<BuildRequest, "secret" | "ssh">): FillContext;
  /** Extracts an archive (tar, any compression) into a directory of a build's. */
  extract(archive: Readable, directory: string, signal: AbortSignal): Promise<void>;
  /** Extracts `context` and runs the build checks alone. */
  check(context: Readable | FillContext, options: BuildOptions, signal: AbortSignal): Promise<LintReport>;
  /** An image's configuration as a build finds it; pulled when it is not here. @throws NotFound */
  imageConfig(
    reference: string,
    options: Parameters<BuildBackend["resolveImage"]>[1],
  ): Promise<{ digest: string; config: Uint8Array }>;
  /** As in Builder. */
  container: Builder["container"];
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
