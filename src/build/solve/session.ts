/** What the stages of one build share. */
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { messageOf } from "../../lib/errors.ts";
import { newId, shortId } from "../../lib/ids.ts";
import type { Platform } from "../../lib/oci.ts";
import type { Lease } from "../../store/types.ts";
import type { BuildOrigin } from "../attest/types.ts";
import type { ImportedCache } from "../cache/import.ts";
import { namedContext } from "../definition.ts";
import { Budget } from "../dockerfile/budget.ts";
import type { Instruction, SourceRange } from "../dockerfile/instructions.ts";
import { nearest } from "../dockerfile/nearest.ts";
import type { ParsedDockerfile } from "../dockerfile/parse.ts";
import { placed } from "../errors.ts";
import type { CacheMounts } from "../exec/cache-mounts.ts";
import { Views } from "../exec/workspace.ts";
import { Packer } from "../export/pack.ts";
import type { LayerFormat } from "../export/types.ts";
import { copySelections } from "../files/copy.ts";
import type { IgnoreRules } from "../files/ignore.ts";
import { layoutImage } from "../files/layout.ts";
import { SourceTree } from "../files/tree.ts";
import { layoutNamed } from "../graph/contexts.ts";
import { hostPlatform, platformArgs, Scope } from "../graph/scope.ts";
import type { Graph, Stage } from "../graph/stages.ts";
import type { BaseImage, BuildBackend, BuildRequest } from "../types.ts";
import type { Digests } from "./digests.ts";
import type { Explanations } from "./explain.ts";
import { keyOf } from "./key.ts";
import { clientSecrets } from "./origin.ts";
import { nameVertices, type PlatformPlace, type Progress, type VertexName } from "./progress.ts";
import type { CacheRecord, CacheRecords } from "./records.ts";
import { SharedWork, type Wish } from "./shared.ts";
import { StageBuilder, type StageState, type Tree } from "./stage.ts";
import type { PullEvent, SharedWorks, StepEvent } from "./works.ts";

/** What `--from` may name. */
export type Source =
  /** A stage or an image: never changes under its name; `files` mounts it when it is read. */
  | { kind: "tree"; tree: Tree; files: () => SourceTree }
  /** A directory of the client's: its owners are those of another machine and don't count. */
  | { kind: "context"; files: SourceTree };

export interface SessionParts {
  backend: BuildBackend;
  request: BuildRequest;
  dockerfile: ParsedDockerfile;
  graph: Graph;
  records: CacheRecords;
  digests: Digests;
  explanations: Explanations;
  cacheMounts: CacheMounts;
  shared: SharedWorks;
  progress: Progress;
  ignore: IgnoreRules;
  place: PlatformPlace;
  imported: ImportedCache;
  /** How layers are packed while later steps run; undefined: not at all. */
  layers: LayerFormat | undefined;
  /** The build's directories. */
  files: AsyncDisposable;
  now: () => number;
}

export class Session implements AsyncDisposable {
  readonly backend: BuildBackend;
  readonly request: BuildRequest;
  readonly dockerfile: ParsedDockerfile;
  readonly graph: Graph;
  readonly records: CacheRecords;
  readonly digests: Digests;
  readonly explanations: Explanations;
  readonly cacheMounts: CacheMounts;
  readonly progress: Progress;
  readonly lease: Lease;
  readonly views: Views;
  readonly packer: Packer;
  /** Of substitutions in all stages. */
  readonly budget = new Budget();
  readonly #imported: ImportedCache;
  /** Aborted by the caller, or by the first stage that fails. */
  readonly signal: AbortSignal;

  readonly #now: () => number;
  /** Tells the vertices of one platform from those of another; empty when there is one only. */
  readonly #label: string;
  readonly #vertices: Map<Instruction, VertexName>;
  readonly #stages = new Map<number, Promise<StageState>>();
  readonly #images = new Map<string, Promise<BaseImage>>();
  readonly #steps = new Map<string, Promise<CacheRecord>>();
  readonly #shared: SharedWorks;
  /** Begun here, and not over: other builds may still want them. */
  readonly #begun = new Set<Promise<unknown>>();
  readonly #files = new Map<string, SourceTree>();
  readonly #used = new Set<string>();
  readonly #context: SourceTree;
  readonly #sources: AsyncDisposable;
  readonly #namedContexts = new Map<string, SourceTree>();
  readonly #visible = new Map<SourceTree, string>();
  readonly #copying = new SharedWork<string>();
  readonly #failed = new AbortController();
  readonly #directory: string;
  #triggers = 0;

  constructor(parts: SessionParts, signal: AbortSignal) {
    this.backend = parts.backend;
    this.request = parts.request;
    this.dockerfile = parts.dockerfile;
    this.records = parts.records;
    this.digests = parts.digests;
    this.explanations = parts.explanations;
    this.cacheMounts = parts.cacheMounts;
    this.#shared = parts.shared;
    this.progress = parts.progress;
    this.graph = parts.graph;
    this.#now = parts.now;
    this.#label = parts.place.label;
    this.#imported = parts.imported;
    this.#vertices = nameVertices(parts.graph, parts.place);
    this.#sources = parts.files;
    this.#context = new SourceTree(parts.request.contextDir, parts.ignore);
    this.#directory = join(parts.backend.execDir, shortId(newId()));
    this.signal = AbortSignal.any([signal, this.#failed.signal]);
    this.lease = parts.backend.store.images.lease();
    this.views = new Views(parts.backend.store.snapshots, parts.backend.execDir);
    this.packer = new Packer(
      { store: parts.backend.store, records: parts.records, shared: parts.shared.packs, lease: this.lease },
      parts.layers,
    );
  }

  /** Builds all needed stages side by side; the target's state. The first failure stops the others. */
  async run(): Promise<StageState> {
    const stages = this.graph.needed.map((index) => this.stage(index));
    let failure: { error: unknown } | undefined;
    for (const stage of stages) {
      stage.catch((error) => {
        failure ??= { error };
        this.#failed.abort(error);
      });
    }
    await Promise.allSettled(stages);
    if (failure) throw failure.error;
    return this.stage(this.graph.target);
  }

  /** A stage's outcome; begins it on the first call. */
  stage(index: number): Promise<StageState> {
    let built = this.#stages.get(index);
    if (!built) {
      built = StageBuilder.build(this, this.graph.stages[index]!);
      this.#stages.set(index, built);
    }
    return built;
  }

  /** Whether a stage's layers are part of the image: the target and what it begins from. */
  inImage(index: number): boolean {
    for (let at: number | undefined = this.graph.target; at !== undefined; ) {
      if (at === index) return true;
      const base: Stage["base"] = this.graph.stages[at]!.base;
      at = typeof base === "object" && "stage" in base ? base.stage : undefined;
    }
    return false;
  }

  /** An image by reference, found once a build. */
  async image(
    reference: string,
    platform: Platform | undefined,
    options: { range: SourceRange; onProgress?: (name: string, current: number, total?: number) => void },
  ): Promise<BaseImage> {
    const wanted = platform ?? this.request.platform;
    const key = JSON.stringify([reference, wanted]);
    let found = this.#images.get(key);
    if (!found) {
      const { pull, credentials } = this.request;
      const { onProgress } = options;
      const wish = {
        signal: this.signal,
        onEvent: ({ name, current, total }: PullEvent) => onProgress?.(name, current, total),
      };
      const layout = layoutNamed(this.request.contexts, reference);
      if (layout)
        found = layoutImage(this.backend.store, layout, wanted ?? hostPlatform(), this.lease, this.signal);
      found ??= this.#shared.pulls.run(keyOf(key, pull), wish, (signal, tell) =>
        this.backend.resolveImage(reference, {
          pull,
          platform: wanted,
          signal,
          credentials,
          onProgress: (name, current, total) => tell({ name, current, total }),
        }),
      );
      this.#images.set(key, found);
    }
    const image = await found.catch((error: unknown) => {
      throw placed(error, options.range, this.#meantStage(reference));
    });
    for (const { descriptor } of image.layers) this.lease.addBlob(descriptor.digest);
    const top = image.layers.at(-1);
    if (top) this.lease.addSnapshot(top.chainId);
    return image;
  }

  /** A name that is no image's may be a stage's, with a typing error. */
  #meantStage(reference: string): string | undefined {
    const stage = nearest(
      reference,
      this.graph.stages.flatMap(({ name }) => name ?? []),
    );
    return stage === undefined ? undefined : `did you mean the stage ${stage}?`;
  }

  treeOf(image: BaseImage): Tree {
    const top = image.layers.at(-1);
    return top ? { id: top.chainId, snapshot: top.chainId } : { id: "scratch" };
  }

  /** What `--from` names. */
  async source(from: string, stage: Stage, range: SourceRange): Promise<Source> {
    const named = this.graph.sourceNamed(from, range);
    if ("directory" in named) return { kind: "context", files: this.namedContext(named.directory) };
    // A trigger's stage is known only now.
    if ("stage" in named) this.graph.depend(stage.index, named.stage, range);
    const tree =
      "stage" in named
        ? (await this.stage(named.stage)).tree
        : this.treeOf(await this.image(named.image, undefined, { range }));
    const files = () => {
      let known = this.#files.get(tree.id);
      if (!known) {
        known = new SourceTree(this.views.open(tree.snapshot));
        this.#files.set(tree.id, known);
      }
      return known;
    };
    return { kind: "tree", tree, files };
  }

  context(): SourceTree {
    return this.#context;
  }

  namedContext(directory: string): SourceTree {
    let tree = this.#namedContexts.get(directory);
    if (!tree) {
      tree = namedContext(directory);
      this.#namedContexts.set(directory, tree);
    }
    return tree;
  }

  /** A context for bind mounts: a copy without the ignored files when there are any rules. */
  async visibleContext(context: SourceTree, signal: AbortSignal): Promise<string> {
    const { root, ignore } = context;
    if (ignore.empty) return root;
    const known = this.#visible.get(context);
    if (known !== undefined) return known;
    return this.#copying.run(root, { signal }, async (signal) => {
      const target = join(this.#directory, `context-${newId()}`);
      mkdirSync(target, { recursive: true, mode: 0o755 });
      const selection = await context.select(".", undefined, signal);
      const options = { destination: "/", owner: { uid: 0, gid: 0 }, signal };
      if (selection) await copySelections(root, [selection], [], target, options);
      this.#visible.set(context, target);
      return target;
    });
  }

  /** A directory for downloads of this build. */
  downloads(): string {
    return this.#directory;
  }

  newScope(parent?: Scope): Scope {
    const { globals, consumed, stages, target } = this.graph;
    const platform = this.request.platform ?? hostPlatform();
    const predefined = platformArgs(hostPlatform(), platform, stages[target]!.name);
    const inherited = (name: string) => globals.get(name) ?? predefined.get(name);
    return new Scope(inherited, this.request.buildArgs, consumed, parent);
  }

  vertexOf(instruction: Instruction): VertexName {
    const known = this.#vertices.get(instruction);
    if (known) return known;
    // A stage that only a trigger asked for: it was not counted.
    const { file, line } = instruction.range;
    return { id: `${this.#label}${file}:${line}`, name: instruction.text };
  }

  triggerVertex(stage: Stage, trigger: Instruction): VertexName {
    const label = `${this.#label}${stage.name ? `${stage.name} ` : ""}`;
    return {
      id: `${this.#label}${stage.index}.on${this.#triggers++}`,
      name: `[${label}ONBUILD] ${trigger.text}`,
    };
  }

  newRecord(
    id: string,
    fields: Pick<CacheRecord, "result" | "description"> & Partial<CacheRecord>,
  ): CacheRecord {
    const at = this.#now();
    return { size: 0, ...fields, id, createdAt: at, lastUsedAt: at, usageCount: 0 };
  }

  /**
   * A step's record, of here or of a cache that the build takes steps from.
   * @param parent the snapshot with the tree before it
   */
  async known(id: string, parent: string | undefined): Promise<CacheRecord | undefined> {
    const record = this.records.find(id);
    if (record) return record;
    try {
      return await this.#imported.find(id, parent, this.lease, this.signal);
    } catch (error) {
      this.signal.throwIfAborted();
      this.progress.note(`a step of the cache is of no use, and done again: ${messageOf(error)}`);
      return undefined;
    }
  }

  /** What the build was made from, besides the client's files. */
  async origin(): Promise<Omit<BuildOrigin, "dockerfile">> {
    const bases = await Promise.all(
      [...this.#images].map(async ([key, image]) => ({
        reference: (JSON.parse(key) as [string])[0],
        image: await image,
      })),
    );
    return { platform: this.request.platform ?? hostPlatform(), bases, ...clientSecrets(this.graph) };
  }

  /** The steps that the build has met. */
  usedRecords(): CacheRecord[] {
    return [...this.#used].flatMap((id) => this.records.find(id) ?? []);
  }

  /** Keeps a record and its files until the build ends. */
  use(record: CacheRecord): void {
    if (record.snapshot !== undefined) this.lease.addSnapshot(record.snapshot);
    if (record.layer) this.lease.addBlob(record.layer.descriptor.digest);
    if (this.#used.has(record.id)) return;
    this.#used.add(record.id);
    this.records.pin(record.id);
    this.records.touch(record.id);
  }

  /** Two stages that come to the same step at once do it once. */
  once(id: string, work: () => Promise<CacheRecord>): Promise<CacheRecord> {
    let running = this.#steps.get(id);
    if (!running) {
      running = work();
      this.#steps.set(id, running);
    }
    return running;
  }

  /** Does a step together with other builds. @param alone one without cache does its own */
  share(
    key: string,
    alone: boolean,
    wish: Omit<Wish<StepEvent>, "signal">,
    work: (signal: AbortSignal, tell: (event: StepEvent) => void) => Promise<CacheRecord>,
  ): Promise<CacheRecord> {
    const { steps, slots } = this.#shared;
    const own = alone ? keyOf(key, this.#directory) : key;
    return steps.run(own, { ...wish, signal: this.signal }, (signal, tell) => {
      const begun = slots.run(() => work(signal, tell), signal).finally(() => this.#begun.delete(begun));
      this.#begun.add(begun);
      return begun;
    });
  }

  /**
   * Ends the build. What it reads from stays while another build wants a step that was begun here: then it goes
   * when that step is over.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.packer[Symbol.asyncDispose]();
    if (this.#begun.size === 0) return this.#close();
    void Promise.allSettled(this.#begun)
      .then(() => this.#close())
      .catch((error) => console.error("cannot remove what a build left:", error));
  }

  async #close(): Promise<void> {
    this.views[Symbol.dispose]();
    rmSync(this.#directory, { recursive: true, force: true });
    this.records.flush();
    this.explanations.flush();
    for (const id of this.#used) this.records.unpin(id);
    this.lease[Symbol.dispose]();
    await this.#sources[Symbol.asyncDispose]();
  }
}
