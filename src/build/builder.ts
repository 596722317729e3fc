/** Builds, one call each, and what they leave for the next: the cache. */
import { mkdirSync, readdirSync, rmSync, statfsSync } from "node:fs";
import { join } from "node:path";
import { Cancelled, messageOf } from "../lib/errors.ts";
import type { IgnoreRules } from "../lib/ignore.ts";
import { MNT_DETACH, mountsBelow, umountIfMounted } from "../linux/mount.ts";
import { ImportedCache } from "./cache/import.ts";
import { placeOf } from "./cache/options.ts";
import { type CacheEntry, type CachePolicy, selectForRemoval } from "./cache/policy.ts";
import {
  type CheckSettings,
  type CheckWarning,
  checkFile,
  checkStages,
  violationMessage,
} from "./checks/index.ts";
import {
  type DockerfileText,
  filesOf,
  graphOf,
  readDockerfile,
  readIgnoreRules,
  settingsOf,
} from "./definition.ts";
import { type ParsedDockerfile, parseDockerfile } from "./dockerfile/parse.ts";
import { excerptOf, isLocated, stepError } from "./errors.ts";
import { CacheMounts } from "./exec/cache-mounts.ts";
import { BuildContainer } from "./exec/container.ts";
import { activePrefix } from "./exec/workspace.ts";
import { type BuiltPlatform, exportResults, outputsOf, packFormat } from "./export/index.ts";
import { formatPlatform, proxyArgs } from "./graph/scope.ts";
import type { Graph } from "./graph/stages.ts";
import { solveDefinitions } from "./llb/index.ts";
import type { LowLevelBuild } from "./llb/types.ts";
import type { Outline, TargetList } from "./outline/types.ts";
import { Review, stageSubject, subjectOf } from "./review.ts";
import { Digests } from "./solve/digests.ts";
import { Explanations } from "./solve/explain.ts";
import { type PlatformPlace, Progress, targetVertex } from "./solve/progress.ts";
import { CacheRecords } from "./solve/records.ts";
import { Session } from "./solve/session.ts";
import type { BuilderParts } from "./solve/step-session.ts";
import { SharedWorks } from "./solve/works.ts";
import type {
  BuildBackend,
  BuildEvent,
  Builder,
  BuildRequest,
  BuildResult,
  ContainerRequest,
  LintReport,
  OutputRequest,
  StepContainer,
} from "./types.ts";

/** How long a registry may take to say what cache it has (milliseconds). */
const importPatience = 30_000;

export class DockerfileBuilder implements Builder {
  readonly #records: CacheRecords;
  readonly #digests: Digests;
  readonly #explanations: Explanations;
  readonly #cacheMounts: CacheMounts;
  readonly #shared = new SharedWorks();
  readonly #review: Review;
  readonly #recovered: Promise<void>;

  constructor(
    private readonly backend: BuildBackend,
    private readonly now: () => number = Date.now,
  ) {
    this.#records = new CacheRecords(backend.store, now);
    this.#digests = new Digests(backend.store);
    this.#explanations = new Explanations(backend.store, now);
    this.#cacheMounts = new CacheMounts(backend.store, now);
    this.#review = new Review(backend);
    this.#recovered = recover(backend);
    this.#recovered.catch(() => {});
  }

  async build(
    request: BuildRequest,
    onEvent: (event: BuildEvent) => void,
    signal: AbortSignal,
  ): Promise<BuildResult> {
    let source: DockerfileText | undefined;
    // Of the session once there is one.
    await using files = filesOf(request);
    try {
      signal.throwIfAborted();
      await this.#recovered;
      const run = this.#begin(request, onEvent, signal);
      if (request.lowLevel) return await this.#buildDefinitions(run, request.lowLevel, files);
      source = readDockerfile(request);
      return await this.#build(run, source, files);
    } catch (error) {
      if (signal.aborted) throw new Cancelled("context canceled", { cause: error });
      if (source && isLocated(error)) error.excerpt ??= excerptOf(source.text, error);
      throw error;
    }
  }

  #begin(request: BuildRequest, onEvent: (event: BuildEvent) => void, signal: AbortSignal): BuildRun {
    const warnings: string[] = [];
    const progress = new Progress((event) => {
      if (event.type === "warning") warnings.push(event.message);
      onEvent(event);
    }, this.now);
    return { request, progress, warnings, outputs: outputsOf(request), startedAt: this.now(), signal };
  }

  async #build(run: BuildRun, source: DockerfileText, files: AsyncDisposableStack): Promise<BuildResult> {
    const { request, progress, outputs, signal } = run;
    const definition = await this.#load(request, source, progress);
    const imported = await this.#importCaches(request, progress, signal);
    await using sessions = new AsyncDisposableStack();
    const failed = new AbortController();
    const stop = AbortSignal.any([signal, failed.signal]);
    const platforms = request.platforms?.length ? request.platforms : [request.platform];
    const held = heldBy(platforms.length, files.move());
    const work = platforms.map(async (platform, i) => {
      try {
        const label = platforms.length > 1 && platform ? `${formatPlatform(platform)} ` : "";
        const place = { label, index: i, count: platforms.length };
        return await this.#solve(
          { ...request, platform },
          definition,
          { place, imported, files: held, progress, outputs, sessions },
          stop,
        );
      } catch (error) {
        failed.abort(error);
        throw error;
      }
    });
    // Nothing is taken down while another platform still works on it.
    await Promise.allSettled(work);
    const built = await Promise.all(work).catch(() => {
      throw failed.signal.reason;
    });
    return await this.#export(run, built);
  }

  async #buildDefinitions(
    run: BuildRun,
    lowLevel: LowLevelBuild,
    files: AsyncDisposableStack,
  ): Promise<BuildResult> {
    const { request, progress, outputs, signal } = run;
    const imported = await this.#importCaches(request, progress, signal);
    await using sessions = new AsyncDisposableStack();
    const parts = { ...this.#parts(), request, progress, imported, layers: packFormat(outputs) };
    const built = await solveDefinitions({ ...parts, files: files.move() }, lowLevel, sessions, signal);
    return await this.#export(run, built);
  }

  async #export(
    { request, progress, outputs, warnings, startedAt, signal }: BuildRun,
    built: BuiltPlatform[],
  ): Promise<BuildResult> {
    using lease = this.backend.store.images.lease();
    const exported = await exportResults(
      { backend: this.backend, request, progress, lease, startedAt, now: this.now, signal },
      built,
      outputs,
    );
    return { ...exported, warnings };
  }

  /** What all builds have in common. */
  #parts(): BuilderParts {
    return {
      backend: this.backend,
      records: this.#records,
      digests: this.#digests,
      explanations: this.#explanations,
      cacheMounts: this.#cacheMounts,
      shared: this.#shared,
      now: this.now,
    };
  }

  /** A source that can't be had costs time only. */
  async #importCaches(
    { cacheFrom = [], credentials, blobDirectory, noCache }: BuildRequest,
    progress: Progress,
    signal: AbortSignal,
  ): Promise<ImportedCache> {
    const imported = new ImportedCache(this.backend, this.#records, this.now);
    if (noCache) return imported;
    for (const source of cacheFrom) {
      const place = placeOf(source);
      const vertex = { id: `cache from ${place}`, name: `importing cache manifest from ${place}` };
      await progress.vertex(vertex, async () => {
        try {
          const limit = AbortSignal.any([signal, AbortSignal.timeout(importPatience)]);
          await imported.read(source, { credentials, blobDirectory }, limit);
        } catch (error) {
          signal.throwIfAborted();
          progress.note(`nothing was taken from the cache ${place}: ${messageOf(error)}`);
        }
        return {};
      });
    }
    return imported;
  }

  /** Builds the target for one platform. */
  async #solve(
    request: BuildRequest,
    { source, dockerfile, ignore, settings, warnings }: Definition,
    parts: {
      place: PlatformPlace;
      imported: ImportedCache;
      /** The client's files; given back in any case. */
      files: AsyncDisposable;
      progress: Progress;
      outputs: OutputRequest[];
      sessions: AsyncDisposableStack;
    },
    signal: AbortSignal,
  ): Promise<BuiltPlatform> {
    const { place, imported, progress, outputs, sessions } = parts;
    await using own = new AsyncDisposableStack();
    own.use(parts.files);
    // What is said of the file is the same for all platforms, and said once.
    const first = place.index === 0;
    const graph = graphOf(request, dockerfile);
    const definition = { dockerfile, ignore, graph };
    if (settings.error) {
      const stages = checkStages(await subjectOf(this.backend, request, definition, signal), settings);
      if (first) for (const warning of stages) progress.warning(warning);
      const found = [...warnings, ...stages];
      if (found.length > 0) throw stepError(found[0]!.range, violationMessage(found));
    }
    const session = sessions.use(
      new Session(
        {
          ...this.#parts(),
          request,
          dockerfile,
          graph,
          progress,
          ignore,
          place,
          imported,
          layers: packFormat(outputs),
          files: own.move(),
        },
        signal,
      ),
    );
    const state = await session.run();
    if (first && !settings.error) {
      const bases = new Map(
        await Promise.all(graph.needed.map(async (i) => [i, (await session.stage(i)).base] as const)),
      );
      const subject = stageSubject(request, definition, (stage) => bases.get(stage.index));
      for (const warning of checkStages(subject, settings)) progress.warning(warning);
    }
    if (first) warnUnconsumed(request, graph, progress);
    const origin = await session.origin();
    return {
      state,
      vertex: targetVertex(graph, place.label),
      packer: session.packer,
      records: () => session.usedRecords(),
      origin: () => ({ ...origin, dockerfile: source }),
      open: () => session.views.open(state.tree.snapshot),
    };
  }

  async #load(request: BuildRequest, source: DockerfileText, progress: Progress): Promise<Definition> {
    const name = `[internal] load build definition from ${source.name}`;
    const definition = await progress.vertex({ id: "definition", name }, () => {
      const dockerfile = parseDockerfile(source.text, source.name);
      const settings = settingsOf(request, dockerfile);
      const warnings = checkFile(dockerfile, settings);
      for (const warning of warnings) progress.warning(warning);
      // What is wrong with the stages is told with the file that has them.
      graphOf(request, dockerfile);
      return { dockerfile, settings, warnings };
    });
    const { ignore } = await progress.vertex({ id: "ignore", name: "[internal] load .dockerignore" }, () => ({
      ignore: readIgnoreRules(request),
    }));
    return { ...definition, source, ignore };
  }

  check(request: BuildRequest, signal: AbortSignal): Promise<LintReport> {
    return this.#review.check(request, signal);
  }

  lint(request: BuildRequest): Promise<LintReport> {
    return this.#review.lint(request);
  }

  outline(request: BuildRequest): Promise<Outline> {
    return this.#review.outline(request);
  }

  targets(request: BuildRequest): Promise<TargetList> {
    return this.#review.targets(request);
  }

  container(request: ContainerRequest, signal: AbortSignal): StepContainer {
    return new BuildContainer(this.backend, this.#cacheMounts, request, signal);
  }

  async prune(policy: CachePolicy): Promise<{ removed: string[]; bytes: number }> {
    const { bsize, bavail } = statfsSync(this.backend.store.root);
    const chosen = selectForRemoval(await this.#entries(), policy, bsize * bavail);
    let bytes = 0;
    const removed = chosen.filter(({ id, type, size }) => {
      const gone = type === "regular" ? this.#records.remove(id) : this.#cacheMounts.remove(id);
      if (gone && type !== "regular") bytes += size;
      return gone;
    });
    this.#digests.clear();
    this.#explanations.collect();
    const collected = await this.backend.store.images.collect();
    const shown = removed.filter(({ empty }) => !empty);
    return { removed: shown.map(({ id }) => id), bytes: bytes + collected.bytes };
  }

  async usage(): Promise<CacheEntry[]> {
    return (await this.#entries()).filter(({ empty }) => !empty);
  }

  async #entries(): Promise<CacheEntry[]> {
    const { images, snapshots } = this.backend.store;
    // An image that came from elsewhere with the same content has trees of its own.
    const below = images
      .list()
      .flatMap(({ layers }) => layers.map(({ chainId }) => snapshots.stat(chainId)?.parent ?? ""));
    return [...this.#records.entries(new Set(below)), ...(await this.#cacheMounts.entries())];
  }
}

/** What several hold goes when each of them has let go. */
function heldBy(holders: number, resource: AsyncDisposable): AsyncDisposable {
  let left = holders;
  return {
    [Symbol.asyncDispose]: async () => {
      if (--left === 0) await resource[Symbol.asyncDispose]();
    },
  };
}

/** One call. */
interface BuildRun {
  request: BuildRequest;
  progress: Progress;
  warnings: string[];
  outputs: OutputRequest[];
  /** Milliseconds since the epoch. */
  startedAt: number;
  signal: AbortSignal;
}

/** What a build is made from, read and checked. */
interface Definition {
  source: DockerfileText;
  dockerfile: ParsedDockerfile;
  ignore: IgnoreRules;
  settings: CheckSettings;
  /** Of the file alone; they have been shown. */
  warnings: CheckWarning[];
}

function warnUnconsumed(request: BuildRequest, graph: Graph, progress: Progress): void {
  const unused = Object.keys(request.buildArgs).filter(
    (name) =>
      !graph.consumed.has(name) &&
      !proxyArgs.includes(name) &&
      !name.startsWith("BUILDKIT_") &&
      name !== "SOURCE_DATE_EPOCH",
  );
  if (unused.length > 0) {
    progress.note(`One or more build-args [${unused.sort().join(" ")}] were not consumed`);
  }
}

/** Takes down what a builder before this one left running or mounted when it was killed. */
async function recover({ store, runtime, execDir }: BuildBackend): Promise<void> {
  mkdirSync(execDir, { recursive: true, mode: 0o700 });
  const left = store.snapshots
    .list()
    .filter(({ key, kind }) => kind === "active" && key.startsWith(activePrefix));
  for (const { key } of left) await runtime.delete(key.slice(activePrefix.length), { force: true });
  // All of it, before anything is removed: caches and contexts are mounted there too.
  for (const target of mountsBelow(execDir)) umountIfMounted(target, MNT_DETACH);
  for (const name of readdirSync(execDir)) {
    rmSync(join(execDir, name), { recursive: true, force: true });
  }
  for (const { key } of left) store.snapshots.remove(key);
}
