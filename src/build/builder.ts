/** Builds, one call each, and what they leave for the next: the cache. */
import { existsSync, mkdirSync, readdirSync, rmSync, statfsSync } from "node:fs";
import { join } from "node:path";
import { Cancelled, InvalidParameter } from "../lib/errors.ts";
import { formatReference, normalize, parseReference } from "../lib/reference.ts";
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
import type { IgnoreRules } from "./files/ignore.ts";
import { formatPlatform, hostPlatform, platformArgs, proxyArgs } from "./graph/scope.ts";
import { buildGraph, type Graph, platformOf, type Stage } from "./graph/stages.ts";
import { writeImage } from "./image/write.ts";
import { lint } from "./practices/index.ts";
import { Digests } from "./solve/digests.ts";
import { Explanations } from "./solve/explain.ts";
import { Progress } from "./solve/progress.ts";
import { CacheRecords } from "./solve/records.ts";
import { Session, SharedWorks } from "./solve/session.ts";
import type { StageState } from "./solve/stage.ts";
import type {
  BaseImage,
  BuildBackend,
  BuildEvent,
  Builder,
  BuildRequest,
  BuildResult,
  LintReport,
} from "./types.ts";

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
    const { store } = this.backend;
    return this.#run(request, onEvent, signal, (session, state) =>
      session.progress.vertex({ id: "export", name: "exporting to image" }, async () => {
        const { packer, lease } = session;
        const result = await writeImage({ store, packer, lease }, request, state, session.signal);
        return { ...result, result: result.imageId };
      }),
    );
  }

  async buildTree(
    request: BuildRequest,
    take: (root: string, signal: AbortSignal) => Promise<void>,
    onEvent: (event: BuildEvent) => void,
    signal: AbortSignal,
  ): Promise<{ warnings: string[] }> {
    return this.#run(request, onEvent, signal, (session, state) =>
      session.progress.vertex({ id: "export", name: "exporting to client" }, async () => {
        await take(session.views.open(state.tree.snapshot), session.signal);
        return {};
      }),
    );
  }

  /** @param finish what is made of the target's state */
  async #run<T extends object>(
    request: BuildRequest,
    onEvent: (event: BuildEvent) => void,
    signal: AbortSignal,
    finish: (session: Session, state: StageState) => Promise<T>,
  ): Promise<T & { warnings: string[] }> {
    let source: DockerfileText | undefined;
    // Of the session once there is one.
    await using files = filesOf(request);
    try {
      signal.throwIfAborted();
      await this.#recovered;
      source = readDockerfile(request);
      return await this.#work(request, source, files, onEvent, signal, finish);
    } catch (error) {
      if (signal.aborted) throw new Cancelled("context canceled", { cause: error });
      if (source && isLocated(error)) error.excerpt ??= excerptOf(source.text, error);
      throw error;
    }
  }

  async #work<T extends object>(
    request: BuildRequest,
    source: DockerfileText,
    files: AsyncDisposableStack,
    onEvent: (event: BuildEvent) => void,
    signal: AbortSignal,
    finish: (session: Session, state: StageState) => Promise<T>,
  ): Promise<T & { warnings: string[] }> {
    const warnings: string[] = [];
    const progress = new Progress((event) => {
      if (event.type === "warning") warnings.push(event.message);
      onEvent(event);
    }, this.now);
    const definition = await this.#load(request, source, progress);
    const { dockerfile, graph, ignore, settings } = definition;
    if (settings.error) {
      const stages = checkStages(await this.#subject(request, definition, signal), settings);
      for (const warning of stages) progress.warning(warning);
      const found = [...definition.warnings, ...stages];
      if (found.length > 0) throw stepError(found[0]!.range, violationMessage(found));
    }
    const session = new Session(
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
        files: files.move(),
        now: this.now,
      },
      signal,
    );
    await using _ = session;
    const state = await session.run();
    if (!settings.error) {
      const bases = new Map(
        await Promise.all(graph.needed.map(async (i) => [i, (await session.stage(i)).base] as const)),
      );
      const subject = stageSubject(request, definition, (stage) => bases.get(stage.index));
      for (const warning of checkStages(subject, settings)) progress.warning(warning);
    }
    warnUnconsumed(request, graph, progress);
    return { ...(await finish(session, state)), warnings };
  }

  async #load(request: BuildRequest, source: DockerfileText, progress: Progress): Promise<Definition> {
    const name = `[internal] load build definition from ${source.name}`;
    const definition = await progress.vertex({ id: "definition", name }, () => {
      const dockerfile = parseDockerfile(source.text, source.name);
      const settings = settingsOf(request, dockerfile);
      const warnings = checkFile(dockerfile, settings);
      for (const warning of warnings) progress.warning(warning);
      return { dockerfile, settings, warnings, graph: graphOf(request, dockerfile) };
    });
    const { ignore } = await progress.vertex({ id: "ignore", name: "[internal] load .dockerignore" }, () => ({
      ignore: readIgnoreRules(request),
    }));
    return { ...definition, ignore };
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
    definition: Pick<Definition, "dockerfile" | "graph" | "ignore">,
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
  dockerfile: ParsedDockerfile;
  graph: Graph;
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
  definition: Pick<Definition, "dockerfile" | "graph" | "ignore">,
  base: StageSubject["base"],
): StageSubject {
  return { ...definition, base, platform: (stage) => formatPlatform(platformOf(stage, request)) };
}

function warnUnconsumed(request: BuildRequest, graph: Graph, progress: Progress): void {
  const unused = Object.keys(request.buildArgs).filter(
    (name) => !graph.consumed.has(name) && !proxyArgs.includes(name) && !name.startsWith("BUILDKIT_"),
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
  for (const name of readdirSync(execDir)) {
    const root = join(execDir, name, "rootfs");
    if (existsSync(root)) store.snapshots.unmount(root);
    rmSync(join(execDir, name), { recursive: true, force: true });
  }
  for (const { key } of left) store.snapshots.remove(key);
}
