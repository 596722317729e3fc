/** Builds, one call each, and what they leave for the next: the cache. */
import { mkdirSync, readdirSync, rmSync, statfsSync } from "node:fs";
import { join } from "node:path";
import { Cancelled, InvalidParameter, messageOf } from "../lib/errors.ts";
import { formatReference, normalize, parseReference } from "../lib/reference.ts";
import { MNT_DETACH, mountsBelow, umountIfMounted } from "../linux/mount.ts";
import { ImportedCache } from "./cache/import.ts";
import { placeOf } from "./cache/options.ts";
import { type CacheEntry, type CachePolicy, selectForRemoval } from "./cache/policy.ts";
import {
  type CheckSettings,
  type CheckWarning,
  checkFile,
  checkSettings,
  checkStages,
  inOrder,
  type StageSubject,
  violationMessage,
} from "./checks/index.ts";
import { type DockerfileText, readDockerfile, readIgnoreRules } from "./definition.ts";
import { type ParsedDockerfile, parseDockerfile } from "./dockerfile/parse.ts";
import { DockerfileError, excerptOf, isLocated, stepError } from "./errors.ts";
import { CacheMounts } from "./exec/cache-mounts.ts";
import { activePrefix } from "./exec/workspace.ts";
import { type BuiltPlatform, exportResults, outputsOf, packFormat } from "./export/index.ts";
import type { IgnoreRules } from "./files/ignore.ts";
import { formatPlatform, hostPlatform, platformArgs, proxyArgs } from "./graph/scope.ts";
import { buildGraph, type Graph, platformOf, type Stage } from "./graph/stages.ts";
import { outlineOf, targetsOf } from "./outline/outline.ts";
import type { Outline, TargetList } from "./outline/types.ts";
import { lint } from "./practices/index.ts";
import { Digests } from "./solve/digests.ts";
import { Explanations } from "./solve/explain.ts";
import { type PlatformPlace, Progress, targetVertex } from "./solve/progress.ts";
import { CacheRecords } from "./solve/records.ts";
import { Session, SharedWorks } from "./solve/session.ts";
import type {
  BaseImage,
  BuildBackend,
  BuildEvent,
  Builder,
  BuildRequest,
  BuildResult,
  LintReport,
  OutputRequest,
} from "./types.ts";

/** How long a registry may take to say what cache it has (milliseconds). */
const importPatience = 30_000;

export class DockerfileBuilder implements Builder {
  readonly #records: CacheRecords;
  readonly #digests: Digests;
  readonly #explanations: Explanations;
  readonly #cacheMounts: CacheMounts;
  readonly #shared = new SharedWorks();
  readonly #recovered: Promise<void>;

  constructor(
    private readonly backend: BuildBackend,
    private readonly now: () => number = Date.now,
  ) {
    this.#records = new CacheRecords(backend.store, now);
    this.#digests = new Digests(backend.store);
    this.#explanations = new Explanations(backend.store, now);
    this.#cacheMounts = new CacheMounts(backend.store, now);
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
      source = readDockerfile(request);
      return await this.#build(request, source, files, onEvent, signal);
    } catch (error) {
      if (signal.aborted) throw new Cancelled("context canceled", { cause: error });
      if (source && isLocated(error)) error.excerpt ??= excerptOf(source.text, error);
      throw error;
    }
  }

  async #build(
    request: BuildRequest,
    source: DockerfileText,
    files: AsyncDisposableStack,
    onEvent: (event: BuildEvent) => void,
    signal: AbortSignal,
  ): Promise<BuildResult> {
    const startedAt = this.now();
    const warnings: string[] = [];
    const progress = new Progress((event) => {
      if (event.type === "warning") warnings.push(event.message);
      onEvent(event);
    }, this.now);
    const outputs = outputsOf(request);
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
    using lease = this.backend.store.images.lease();
    const exported = await exportResults(
      { backend: this.backend, request, progress, lease, startedAt, now: this.now, signal },
      built,
      outputs,
    );
    return { ...exported, warnings };
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
      const stages = checkStages(await this.#subject(request, definition, signal), settings);
      if (first) for (const warning of stages) progress.warning(warning);
      const found = [...warnings, ...stages];
      if (found.length > 0) throw stepError(found[0]!.range, violationMessage(found));
    }
    const session = sessions.use(
      new Session(
        {
          backend: this.backend,
          request,
          dockerfile,
          graph,
          records: this.#records,
          digests: this.#digests,
          explanations: this.#explanations,
          cacheMounts: this.#cacheMounts,
          shared: this.#shared,
          progress,
          ignore,
          place,
          imported,
          layers: packFormat(outputs),
          files: own.move(),
          now: this.now,
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

  async check(request: BuildRequest, signal: AbortSignal): Promise<LintReport> {
    await using _ = filesOf(request);
    const source = readDockerfile(request);
    const { name, text } = source;
    const report = (warnings: CheckWarning[], error?: LintReport["error"]) =>
      reportOf(source, warnings, error);
    const warnings: CheckWarning[] = [];
    try {
      const dockerfile = parseDockerfile(text, name);
      const settings = settingsOf(request, dockerfile);
      warnings.push(...checkFile(dockerfile, settings));
      const graph = graphOf(request, dockerfile);
      const definition = { dockerfile, graph, ignore: readIgnoreRules(request) };
      warnings.push(...checkStages(await this.#subject(request, definition, signal), settings));
      const fails = settings.error && warnings.length > 0;
      return report(warnings, fails ? { message: violationMessage(warnings) } : undefined);
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof DockerfileError)) throw error;
      const { message, line, endLine } = error;
      return report(warnings, { message, line, endLine });
    }
  }

  async lint(request: BuildRequest): Promise<LintReport> {
    await using _ = filesOf(request);
    const source = readDockerfile(request);
    let dockerfile: ParsedDockerfile | undefined;
    try {
      dockerfile = parseDockerfile(source.text, source.name);
      const definition = {
        dockerfile,
        graph: graphOf(request, dockerfile),
        ignore: readIgnoreRules(request),
      };
      const subject = stageSubject(request, definition, ({ base }) =>
        typeof base === "object" && "image" in base ? this.#known(base.image) : undefined,
      );
      return reportOf(source, lint(dockerfile, subject, settingsOf(request, dockerfile)));
    } catch (error) {
      if (!(error instanceof DockerfileError)) throw error;
      const { message, line, endLine } = error;
      // What a stage that is missing breaks can't be told of; the rest can.
      const found = dockerfile ? lint(dockerfile, undefined, settingsOf(request, dockerfile)) : [];
      return reportOf(source, found, { message, line, endLine });
    }
  }

  outline(request: BuildRequest): Promise<Outline> {
    return this.#parsed(request, (file) => outlineOf(file, graphOf(request, file), request.buildArgs));
  }

  targets(request: BuildRequest): Promise<TargetList> {
    return this.#parsed(request, (file) => targetsOf(file, graphOf({ ...request, target: undefined }, file)));
  }

  async #parsed<T>(request: BuildRequest, read: (dockerfile: ParsedDockerfile) => T): Promise<T> {
    await using _ = filesOf(request);
    const { text, name } = readDockerfile(request);
    try {
      return read(parseDockerfile(text, name));
    } catch (error) {
      if (isLocated(error)) error.excerpt ??= excerptOf(text, error);
      throw error;
    }
  }

  /** An image that is here; one that isn't is not fetched for a look at it. */
  #known(reference: string): BaseImage | undefined {
    try {
      const name = formatReference(normalize(parseReference(reference)));
      return this.backend.store.images.byName(name);
    } catch (error) {
      if (error instanceof InvalidParameter) return undefined;
      throw error;
    }
  }

  /** The stages with their base images; one that can't be had is left unknown: only a build needs it. */
  async #subject(
    request: BuildRequest,
    definition: Pick<Definition, "dockerfile" | "ignore"> & { graph: Graph },
    signal: AbortSignal,
  ): Promise<StageSubject> {
    const { graph } = definition;
    const bases = new Map<number, BaseImage>();
    const resolve = async ({ index, base }: Stage) => {
      if (typeof base !== "object" || !("image" in base)) return;
      const platform = platformOf(graph.stages[index]!, request);
      try {
        const options = { pull: request.pull, platform, signal };
        bases.set(index, await this.backend.resolveImage(base.image, options));
      } catch {
        signal.throwIfAborted();
      }
    };
    await Promise.all(graph.needed.map((index) => resolve(graph.stages[index]!)));
    return stageSubject(request, definition, (stage) => bases.get(stage.index));
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
    const layers = this.backend.store.images.list().flatMap((image) => image.layers);
    const shared = new Set<string>(layers.map(({ diffId }) => diffId));
    return [...this.#records.entries(shared), ...(await this.#cacheMounts.entries())];
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

function reportOf(
  { name, text }: DockerfileText,
  warnings: readonly CheckWarning[],
  error?: LintReport["error"],
): LintReport {
  return {
    file: name,
    source: text,
    warnings: inOrder(warnings).map(({ rule, range, detail, edits }) => ({
      rule: rule.name,
      severity: rule.severity ?? "warning",
      description: rule.description,
      advice: rule.advice,
      url: rule.url,
      detail,
      line: range.line,
      endLine: range.endLine,
      edits,
    })),
    error,
  };
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

/** The directories that come with a request, to be released when nothing reads them any more. */
function filesOf(request: BuildRequest): AsyncDisposableStack {
  const files = new AsyncDisposableStack();
  files.defer(async () => request.release?.());
  return files;
}

function settingsOf({ buildArgs }: BuildRequest, { directives }: ParsedDockerfile): CheckSettings {
  return checkSettings(buildArgs.BUILDKIT_DOCKERFILE_CHECK ?? directives.get("check"));
}

function graphOf(
  { platform, target, buildArgs, contexts }: BuildRequest,
  dockerfile: ParsedDockerfile,
): Graph {
  const args = platformArgs(hostPlatform(), platform ?? hostPlatform(), target);
  return buildGraph(dockerfile, { buildArgs, contexts, platform: args, target });
}

function stageSubject(
  request: BuildRequest,
  definition: Pick<Definition, "dockerfile" | "ignore"> & { graph: Graph },
  base: StageSubject["base"],
): StageSubject {
  return { ...definition, base, platform: (stage) => formatPlatform(platformOf(stage, request)) };
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
