/** One stage: its instructions in order, each from the cache or run. */
import type { ImageRunConfig, Platform } from "../../lib/oci.ts";
import { expandWord } from "../dockerfile/expand.ts";
import type { Instruction } from "../dockerfile/instructions.ts";
import { parseTrigger } from "../dockerfile/parse.ts";
import { stepError } from "../errors.ts";
import { Workspace } from "../exec/workspace.ts";
import type { Layer } from "../export/pack.ts";
import { copySelections } from "../files/copy.ts";
import { makeDirectory } from "../files/inside.ts";
import type { SourceTree } from "../files/tree.ts";
import { applyMetadata, defaultPath, workdir } from "../graph/metadata.ts";
import { envMap, type Scope } from "../graph/scope.ts";
import { expandProblem, platformOf, type Stage } from "../graph/stages.ts";
import type { BaseImage } from "../types.ts";
import { copyStep } from "./copy-step.ts";
import { keyOf } from "./key.ts";
import { ownerOf } from "./owner.ts";
import type { Outcome, Vertex, VertexName } from "./progress.ts";
import type { CacheRecord } from "./records.ts";
import { runStep } from "./run-step.ts";
import type { Session } from "./session.ts";

/** A tree of files: its name in keys, and the committed snapshot that holds it (none: empty). */
export interface Tree {
  id: string;
  snapshot?: string;
}

export interface StageHistory {
  createdBy: string;
  /** Milliseconds since the epoch; undefined: the base image's entries are kept as they are. */
  createdAt: number;
  emptyLayer: boolean;
}

/** What a stage has come to. */
export interface StageState {
  tree: Tree;
  /** Identifies config and history besides the tree: what timestamps hang on. */
  chain: string;
  config: ImageRunConfig;
  author?: string;
  layers: Layer[];
  base?: BaseImage;
  platform: Platform;
  history: StageHistory[];
  cmdSet: boolean;
  scope: Scope;
  /** Record of the last step, for the cache's own listing. */
  record?: string;
}

/** How a step that writes files is known and done. */
export interface LayerStep {
  /** Everything that the outcome depends on, besides the tree before. */
  inputs: unknown[];
  createdBy: string;
  work: (workspace: Workspace) => Promise<void> | void;
}

export class StageBuilder {
  state: StageState;

  private constructor(
    readonly session: Session,
    readonly stage: Stage,
    state: StageState,
    /** Layers of this stage end up in the image. */
    private readonly packs: boolean,
  ) {
    this.state = state;
  }

  /** @throws DockerfileError, BuildStepFailed, what the backend throws, the signal's reason */
  static async build(session: Session, stage: Stage): Promise<StageState> {
    let start: StageState | undefined;
    await session.progress.vertex(session.vertexOf(stage.from), async (vertex) => {
      start = await startState(session, stage, vertex);
      const result = start.base?.id ?? start.chain;
      return { result, cached: false };
    });
    const builder = new StageBuilder(session, stage, start!, session.inImage(stage.index));
    if (typeof stage.base === "object" && "directory" in stage.base) {
      await builder.#fillFrom(session.namedContext(stage.base.directory), stage.from.range.source);
    }
    for (const trigger of start!.base?.config.config?.OnBuild ?? []) {
      const instruction = parseTrigger(trigger, stage.from.range);
      await builder.#vertex(session.triggerVertex(stage, instruction), instruction);
    }
    for (const instruction of stage.instructions) {
      await builder.#vertex(session.vertexOf(instruction), instruction);
    }
    return builder.state;
  }

  /** A named context as base: its files are the first layer. */
  async #fillFrom(context: SourceTree, createdBy: string): Promise<void> {
    const { signal } = this.session;
    const selection = await context.select(".", undefined, signal);
    const selections = selection ? [selection] : [];
    const inputs = ["CONTEXT", await context.digest(selections, { owners: false, signal })];
    const options = { destination: "/", owner: { uid: 0, gid: 0 }, signal };
    const work = ({ root }: Workspace) => copySelections(context.root, selections, [], root, options);
    await this.layer({ inputs, createdBy, work });
  }

  async #vertex(name: VertexName, instruction: Instruction): Promise<void> {
    this.session.signal.throwIfAborted();
    await this.session.progress.vertex(name, (vertex) => this.#apply(instruction, vertex));
  }

  async #apply(instruction: Instruction, vertex: Vertex): Promise<Outcome> {
    const expand = (text: string) => this.expand(text, instruction);
    const { state } = this;
    switch (instruction.kind) {
      case "FROM":
        throw stepError(instruction.range, "FROM isn't allowed here");
      case "RUN":
        return this.layer(await runStep(this, instruction, vertex));
      case "COPY":
      case "ADD":
        return this.layer(await copyStep(this, instruction, vertex));
      case "WORKDIR": {
        const WorkingDir = workdir(state.config.WorkingDir, expand(instruction.path));
        // What is missing is made for the user of the steps to come.
        const user = state.config.User ?? "";
        const step: LayerStep = {
          inputs: ["WORKDIR", WorkingDir, user],
          createdBy: `WORKDIR ${WorkingDir}`,
          work: async (workspace) => {
            const owner = await ownerOf(workspace.root, user, instruction.range);
            if (!makeDirectory(workspace.root, WorkingDir, owner)) {
              throw stepError(instruction.range, `Cannot mkdir: ${WorkingDir} is not a directory`);
            }
          },
        };
        const outcome = await this.layer(step);
        this.state.config = { ...this.state.config, WorkingDir };
        return outcome;
      }
      case "ARG":
        state.scope.declare(instruction, expand);
        return this.#metadata(state.config, instruction.text);
      case "MAINTAINER":
        state.author = instruction.name;
        return this.#metadata(state.config, instruction.text);
      default: {
        const { config, createdBy } = applyMetadata(instruction, {
          config: state.config,
          expand,
          lookup: this.#lookup(),
          esc: this.session.dockerfile.esc,
          cmdSet: state.cmdSet,
        });
        if (instruction.kind === "CMD") state.cmdSet = true;
        return this.#metadata(config, createdBy);
      }
    }
  }

  /** Substitutes variables in one word. @throws DockerfileError */
  expand(text: string, instruction: Instruction): string {
    try {
      return expandWord(text, this.#lookup(), this.session.dockerfile.esc);
    } catch (error) {
      throw expandProblem(error, instruction.range);
    }
  }

  #lookup() {
    return this.state.scope.lookup(this.state.config.Env ?? []);
  }

  /** A step that changes no file. Its record holds the time, so that the same build gives the same image. */
  #metadata(config: ImageRunConfig, createdBy: string): Outcome {
    const { session, state } = this;
    const id = keyOf("metadata", state.chain, state.tree.id, createdBy, config, state.author);
    const known = session.request.noCache ? undefined : session.records.find(id);
    const record = known ?? session.newRecord(id, { result: state.tree.id, description: createdBy });
    if (!known) session.records.put(record);
    session.use(record);
    state.config = config;
    state.chain = id;
    state.history.push({ createdBy, createdAt: record.createdAt, emptyLayer: true });
    return { cached: known !== undefined, result: id };
  }

  /** A step that writes files: from the cache, or done now and kept. */
  async layer({ inputs, createdBy, work }: LayerStep): Promise<Outcome> {
    const { session, state } = this;
    const id = keyOf("layer", state.tree.id, ...inputs);
    let cached = true;
    const record = await session.once(id, async () => {
      const known = await session.known(id, state.tree.snapshot);
      if (known) return known;
      cached = false;
      return this.#execute(id, createdBy, work);
    });
    session.use(record);
    const { snapshot } = record;
    state.tree = snapshot === undefined ? state.tree : { id: record.result, snapshot };
    state.chain = keyOf("after", state.chain, id, record.result);
    state.record = id;
    state.history.push({ createdBy, createdAt: record.createdAt, emptyLayer: snapshot === undefined });
    if (snapshot !== undefined) {
      const layer = { record: { ...record, snapshot } };
      state.layers.push(layer);
      if (this.packs) session.packer.ahead(layer.record);
    }
    return { cached, result: id };
  }

  async #execute(id: string, description: string, work: LayerStep["work"]): Promise<CacheRecord> {
    const { session, state } = this;
    const { store, execDir } = session.backend;
    using workspace = Workspace.open(store.snapshots, execDir, state.tree.snapshot);
    await work(workspace);
    session.signal.throwIfAborted();
    session.lease.addSnapshot(workspace.resultKey);
    const committed = await workspace.commit();
    const record = session.newRecord(id, {
      result: committed?.snapshot ?? state.tree.id,
      snapshot: committed?.snapshot,
      size: committed?.size,
      description,
      parent: state.record,
    });
    session.records.put(record);
    return record;
  }
}

async function startState(session: Session, stage: Stage, vertex: Vertex): Promise<StageState> {
  const { base } = stage;
  if (typeof base === "object" && "stage" in base) {
    const parent = await session.stage(base.stage);
    return {
      ...parent,
      layers: [...parent.layers],
      history: [...parent.history],
      scope: session.newScope(parent.scope),
      cmdSet: false,
      base: parent.base && { ...parent.base, config: withoutTriggers(parent.base) },
    };
  }
  const platform = platformOf(stage, session.request);
  const start = {
    cmdSet: false,
    history: [],
    scope: session.newScope(),
    platform,
  };
  if (base === "scratch" || "directory" in base) {
    const config = { Env: [`PATH=${defaultPath}`], WorkingDir: "/" };
    return { ...start, tree: { id: "scratch" }, chain: "scratch", config, layers: [] };
  }
  const image = await session.image(base.image, stage.platform === undefined ? undefined : platform, {
    range: stage.from.range,
    onProgress: vertex.progress,
  });
  const { OnBuild: _, ...config } = image.config.config ?? {};
  const Env = config.Env ?? [];
  return {
    ...start,
    tree: session.treeOf(image),
    chain: keyOf("image", image.id),
    config: { ...config, Env: envMap(Env).has("PATH") ? Env : [`PATH=${defaultPath}`, ...Env] },
    author: image.config.author,
    layers: image.layers.map((layer) => ({ base: layer })),
    base: image,
    platform: image.platform,
  };
}

/** ONBUILD triggers of an image run once, in the stage that names it. */
function withoutTriggers(image: BaseImage): BaseImage["config"] {
  return { ...image.config, config: { ...image.config.config, OnBuild: null } };
}
