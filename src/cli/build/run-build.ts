/** Runs one build: brings its files and what else it needs to the engine, and shows how it goes. */
import { isEngineError } from "../../api/client/index.ts";
import type { SolveStatus } from "../../api/types.ts";
import { allCredentials, encodeAuth } from "../auth/credentials.ts";
import { withProxies } from "../container/proxies.ts";
import { type CliContext, ExitStatus } from "../context.ts";
import { StreamedError } from "../image/progress.ts";
import { inputStream } from "../input.ts";
import type { LocalCaches } from "./caches.ts";
import type { Explanation } from "./explain.ts";
import type { BuildValues } from "./flags.ts";
import type { Outputs } from "./outputs.ts";
import { buildArgs, buildRequest, type Query } from "./request.ts";
import { openSource } from "./source.ts";

/** What was built. */
export interface BuildOutcome {
  /** Undefined when no image was asked for. */
  imageId?: string;
  /** As buildx's `--metadata-file` has it. */
  metadata: Record<string, unknown>;
}

/** A build on its way to the engine. */
export interface PreparedBuild {
  path: string;
  query: Query;
  headers: Record<string, string>;
  body: AsyncIterable<Uint8Array>;
  /** Called when the request is being made: what goes beside it. */
  start(): void;
  outputs: Outputs;
  caches: LocalCaches | undefined;
}

interface BuildMessage {
  explain?: Explanation;
  progress?: SolveStatus;
  /** Of an engine that doesn't know `progress=1`. */
  stream?: string;
  error?: string;
  errorDetail?: { code?: number; message?: string } & Record<string, unknown>;
  aux?: { ID?: string; Metadata?: BuildOutcome["metadata"]; Output?: { Id: string; Index: number } };
}

export interface PrepareOptions {
  /** What `-` is; default: standard input. */
  stdin?: () => AsyncIterable<Uint8Array>;
  /** What is built instead of what the Dockerfile says. */
  edit?: (dockerfile: string) => string;
}

/**
 * Opens the context, and a session when secrets or an agent are given.
 * @param place `PATH | URL | -`
 * @param cleanup gets what is to be ended after the build
 */
export async function prepareBuild(
  context: CliContext,
  flags: BuildValues,
  place: string,
  cleanup: AsyncDisposableStack,
  { stdin = () => inputStream(undefined), edit }: PrepareOptions = {},
): Promise<PreparedBuild> {
  const cwd = process.cwd();
  const onDispose = (dispose: () => Promise<void>) => cleanup.defer(dispose);
  const source = await openSource({
    context: place,
    file: flags.file,
    edit,
    cwd,
    stdin,
    onDispose,
  });
  const { path, query } = buildRequest(flags, source.dockerfile, withDefaults(context, flags["build-arg"]));
  const outputs = await outputsOf(flags);
  query.outputs = outputs.query;
  let start = () => {};
  let layouts = new Map<string, string>();
  if (flags["build-context"].length > 0) {
    const { namedContexts } = await import("./contexts.ts");
    const named = await namedContexts(flags["build-context"], cwd, onDispose);
    query.contexts = named.query;
    layouts = named.directories;
    const ended = new AbortController();
    cleanup.defer(() => ended.abort());
    start = () => named.send(context.client, ended.signal);
  }
  const caches = await localCachesOf(context, flags);
  if (caches) {
    query.cachefrom = caches.from;
    query.cacheto = caches.to;
  }
  if (flags.secret.length > 0 || flags.ssh.length > 0 || caches || layouts.size > 0) {
    const { sessionOffer } = await import("./secrets.ts");
    const offer = {
      ...sessionOffer(flags.secret, flags.ssh, context.env),
      directory: (name: string) => layouts.get(name) ?? caches?.directory(name),
    };
    const { openBuildSession } = await import("../../api/client/build-session.ts");
    query.session = cleanup.use(await openBuildSession(context.client, offer)).id;
  }
  const headers = { "x-registry-config": encodeAuth(await allCredentials(context)) };
  const body = flags.compress ? await compressed(source.tar) : source.tar;
  return { path, query, headers, body, start, outputs, caches };
}

/** Loaded only where some cache is in a directory. */
async function localCachesOf(context: CliContext, flags: BuildValues): Promise<LocalCaches | undefined> {
  const { "cache-from": from, "cache-to": to } = flags;
  if (![...from, ...to].some((text) => text.includes("type=local"))) return undefined;
  const { localCaches } = await import("./caches.ts");
  return localCaches(from, to, (message) => context.err(message));
}

/** Loaded only where it has something to do. */
async function outputsOf(flags: BuildValues): Promise<Outputs> {
  const { output, push, load, annotation } = flags;
  if (output.length + annotation.length === 0 && !push && !load)
    return { query: undefined, receive: async () => {} };
  return (await import("./outputs.ts")).parseOutputs(flags);
}

/** `--build-arg`, and where the user says nothing about them the proxies of config.json and SOURCE_DATE_EPOCH. */
function withDefaults(context: CliContext, values: readonly string[]): Record<string, string | null> {
  const args = buildArgs(values, context.env);
  const names = Object.keys(args);
  const added = withProxies(context, names).slice(names.length);
  const { SOURCE_DATE_EPOCH } = context.env;
  return { ...(SOURCE_DATE_EPOCH && { SOURCE_DATE_EPOCH }), ...args, ...buildArgs(added, context.env) };
}

/** Who hears of a build, and who may end it. */
export interface BuildListener {
  show(status: SolveStatus): void;
  onExplain?(explanation: Explanation): void;
  /** What an engine says that doesn't know of steps. */
  onText?(text: string): void;
  signal?: AbortSignal;
}

/**
 * Builds.
 * @throws BuildFailed with the failed step's exit code; what the engine refuses; Cancelled after `signal`
 */
export async function runBuild(
  { client }: CliContext,
  { path, query, headers, body, start, outputs, caches }: PreparedBuild,
  { show, onExplain, onText, signal }: BuildListener,
): Promise<BuildOutcome> {
  const messages = client.messages<BuildMessage>("POST", path, {
    query,
    headers,
    body: counted(body, show),
    signal,
  });
  const outcome: BuildOutcome = { metadata: {} };
  start();
  try {
    for await (const message of messages) {
      const { progress, explain, stream, error, errorDetail, aux } = message;
      if (error !== undefined || errorDetail)
        throw new StreamedError(errorDetail?.message ?? error, errorDetail?.code, errorDetail);
      if (progress) show(progress);
      else if (explain) onExplain?.(explain);
      else if (stream !== undefined) onText?.(stream);
      outcome.imageId = aux?.ID ?? outcome.imageId;
      outcome.metadata = aux?.Metadata ?? outcome.metadata;
      // The engine waits until it is taken.
      if (aux?.Output) await outputs.receive(client, aux.Output);
    }
  } catch (error) {
    if (error instanceof StreamedError)
      throw new BuildFailed(error.code, `ERROR: ${error.message}`, error.detail);
    throw error;
  }
  const manifest = outcome.metadata["cache.manifest"];
  if (typeof manifest === "string") caches?.written(manifest);
  return outcome;
}

/** A step failed, or the engine said no while it built. */
export class BuildFailed extends ExitStatus {
  constructor(
    /** Of the step; undefined: none was running. */
    readonly stepStatus: number | undefined,
    message: string,
    /** What the engine told of the place; see `excerpt.ts`. */
    readonly detail: unknown,
  ) {
    super(stepStatus || 1, message);
  }
}

/** What the engine has told of where a build failed. */
export function detailOf(error: unknown): unknown {
  if (error instanceof BuildFailed) return error.detail;
  return isEngineError(error) ? error.cause.errorDetail : undefined;
}

async function compressed(tar: AsyncIterable<Uint8Array>): Promise<AsyncIterable<Uint8Array>> {
  const [{ Readable }, { createGzip }] = await Promise.all([import("node:stream"), import("node:zlib")]);
  const source = Readable.from(tar);
  const gzip = createGzip({ level: 1 });
  source.on("error", (error) => gzip.destroy(error));
  return source.pipe(gzip);
}

/** Milliseconds between two messages about the context. */
const pace = 100;

/** Passes the context on, and tells as a vertex of the build how much of it is on its way. */
async function* counted(
  tar: AsyncIterable<Uint8Array>,
  show: (status: SolveStatus) => void,
): AsyncGenerator<Uint8Array> {
  const vertex = { digest: "client:context", name: "[internal] load build context" };
  const started = new Date().toISOString();
  let bytes = 0;
  let told = Date.now();
  const tell = (completed?: string) => {
    const timestamp = completed ?? new Date().toISOString();
    const name = "transferring context:";
    show({
      vertexes: [{ ...vertex, started, completed }],
      statuses: [{ id: name, vertex: vertex.digest, name, current: bytes, timestamp, started, completed }],
    });
  };
  tell();
  for await (const chunk of tar) {
    yield chunk;
    bytes += chunk.length;
    if (Date.now() - told < pace) continue;
    told = Date.now();
    tell();
  }
  tell(new Date().toISOString());
}
