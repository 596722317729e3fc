/** Builds, one call each, and what they leave for the next: the cache. */
import { existsSync, mkdirSync, readdirSync, rmSync, statfsSync } from "node:fs";
import { join } from "node:path";
import { Cancelled } from "../lib/errors.ts";
import { type CacheEntry, type CachePolicy, selectForRemoval } from "./cache/policy.ts";
import { readDockerfile, readIgnoreRules } from "./definition.ts";
import { type ParsedDockerfile, parseDockerfile } from "./dockerfile/parse.ts";
import { CacheMounts } from "./exec/cache-mounts.ts";
import { activePrefix } from "./exec/workspace.ts";
import { hostPlatform, platformArgs, proxyArgs } from "./graph/scope.ts";
import { buildGraph, type Graph } from "./graph/stages.ts";
import { writeImage } from "./image/write.ts";
import { Digests } from "./solve/digests.ts";
import { Progress } from "./solve/progress.ts";
import { CacheRecords } from "./solve/records.ts";
import { Session } from "./solve/session.ts";
import type { BuildBackend, BuildEvent, Builder, BuildRequest, BuildResult } from "./types.ts";

export class DockerfileBuilder implements Builder {
  readonly #records: CacheRecords;
  readonly #digests: Digests;
  readonly #cacheMounts: CacheMounts;
  readonly #recovered: Promise<void>;

  constructor(
    private readonly backend: BuildBackend,
    private readonly now: () => number = Date.now,
  ) {
    this.#records = new CacheRecords(backend.store, now);
    this.#digests = new Digests(backend.store);
    this.#cacheMounts = new CacheMounts(backend.store, now);
    this.#recovered = recover(backend);
    this.#recovered.catch(() => {});
  }

  async build(
    request: BuildRequest,
    onEvent: (event: BuildEvent) => void,
    signal: AbortSignal,
  ): Promise<BuildResult> {
    try {
      signal.throwIfAborted();
      await this.#recovered;
      return await this.#build(request, onEvent, signal);
    } catch (error) {
      if (signal.aborted) throw new Cancelled("context canceled", { cause: error });
      throw error;
    }
  }

  async #build(
    request: BuildRequest,
    onEvent: (event: BuildEvent) => void,
    signal: AbortSignal,
  ): Promise<BuildResult> {
    const warnings: string[] = [];
    const progress = new Progress((event) => {
      if (event.type === "warning") warnings.push(event.message);
      onEvent(event);
    }, this.now);
    const { dockerfile, graph, ignore } = await this.#load(request, progress);
    const session = new Session(
      {
        backend: this.backend,
        request,
        dockerfile,
        graph,
        records: this.#records,
        digests: this.#digests,
        cacheMounts: this.#cacheMounts,
        progress,
        ignore,
        now: this.now,
      },
      signal,
    );
    await using _ = session;
    const state = await session.run();
    warnUnconsumed(request, graph, progress);
    const { store } = this.backend;
    const { packer, lease } = session;
    const written = await progress.vertex({ id: "export", name: "exporting to image" }, async () => {
      const result = await writeImage({ store, packer, lease }, request, state, session.signal);
      return { ...result, result: result.imageId };
    });
    return { imageId: written.imageId, manifest: written.manifest, warnings };
  }

  async #load(
    request: BuildRequest,
    progress: Progress,
  ): Promise<{ dockerfile: ParsedDockerfile; graph: Graph; ignore: ReturnType<typeof readIgnoreRules> }> {
    const source = readDockerfile(request);
    const name = `[internal] load build definition from ${source.name}`;
    const { dockerfile, graph } = await progress.vertex({ id: "definition", name }, () => {
      const dockerfile = parseDockerfile(source.text, source.name);
      const target = request.platform ?? hostPlatform();
      const platform = platformArgs(hostPlatform(), target, request.target);
      const { buildArgs, contexts } = request;
      const options = { buildArgs, contexts, platform, target: request.target };
      return { dockerfile, graph: buildGraph(dockerfile, options) };
    });
    for (const { message, line } of dockerfile.warnings) {
      progress.warning(message, { line, file: dockerfile.file });
    }
    const { ignore } = await progress.vertex({ id: "ignore", name: "[internal] load .dockerignore" }, () => ({
      ignore: readIgnoreRules(request),
    }));
    return { dockerfile, graph, ignore };
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

function warnUnconsumed(request: BuildRequest, graph: Graph, progress: Progress): void {
  const unused = Object.keys(request.buildArgs).filter(
    (name) => !graph.consumed.has(name) && !proxyArgs.includes(name) && !name.startsWith("BUILDKIT_"),
  );
  if (unused.length > 0) {
    progress.warning(`One or more build-args [${unused.sort().join(" ")}] were not consumed`);
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
