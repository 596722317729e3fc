/** One stage: its instructions in order, each from the cache or run. */
import type { ImageConfig, ImageRunConfig, Platform } from "../../lib/oci.ts";
import { expandWord, type Lookup } from "../dockerfile/expand.ts";
import type { Instruction } from "../dockerfile/instructions.ts";
import { parseTrigger } from "../dockerfile/parse.ts";
import { BuildStepFailed, placed, stepError } from "../errors.ts";
import type { Workspace } from "../exec/workspace.ts";
import type { Layer } from "../export/pack.ts";
import { copySelections } from "../files/copy.ts";
import { makeDirectory } from "../files/inside.ts";
import type { SourceTree } from "../files/tree.ts";
import { applyMetadata, type MetadataInstruction, workdir } from "../graph/metadata.ts";
import type { Scope } from "../graph/scope.ts";
import { expandProblem, references, type Stage } from "../graph/stages.ts";
import type { BaseImage, RebuildReason } from "../types.ts";
import { copyStep } from "./copy-step.ts";
import { placeOf } from "./explain.ts";
import { argInput, type NamedInput, type Origin } from "./inputs.ts";
import { keyOf } from "./key.ts";
import { type LayerWork, layerRecord, type StepProgress } from "./layer.ts";
import { workdirOwner } from "./owner.ts";
import type { Outcome, Vertex, VertexName } from "./progress.ts";
import { runStep } from "./run-step.ts";
import type { Session } from "./session.ts";
import { explainBase, type Start, startOf } from "./start.ts";

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

/** What can be exported. */
export interface BuiltState {
  tree: Tree;
  config: ImageRunConfig;
  author?: string;
  layers: Layer[];
  base?: BaseImage;
  platform: Platform;
  history: StageHistory[];
  /** The whole of the image's config but its layers, as a front end wrote it. */
  written?: ImageConfig;
}

/** What a stage has come to. */
export interface StageState extends BuiltState {
  /** Identifies config and history besides the tree: what timestamps hang on. */
  chain: string;
  cmdSet: boolean;
  scope: Scope;
  /** Record of the last step, for the cache's own listing. */
  record?: string;
  /** What gave the tree, by name. */
  treeFrom: Origin;
  /** What gave the tree with its config, by name. */
  chainFrom: Origin;
}

/** How a step that writes files is known and done. */
export interface LayerStep extends LayerWork {
  /** Everything that the outcome depends on, besides the tree before. */
  inputs: unknown[];
  /** The inputs that are not of the instruction's own text, by name. */
  named?: () => Promise<NamedInput[]> | NamedInput[];
}

/** The instruction that is worked on. */
interface Current {
  instruction: Instruction;
  /** Among those of the stage. */
  position: string;
  vertex: Vertex;
  /** Variables that were substituted so far. */
  reads: Map<string, string>;
}

export class StageBuilder {
  state: StageState;
  #current: Current | undefined;

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
    // Waiting for another stage is no part of a step's time.
    if (typeof stage.base === "object" && "stage" in stage.base) await session.stage(stage.base.stage);
    let start: Start | undefined;
    await session.progress.vertex(session.vertexOf(stage.from), async (vertex) => {
      start = await startOf(session, stage, vertex);
      const { base, chain, treeFrom } = start.state;
      if (base && treeFrom.kind === "base") explainBase(session, stage, base, vertex);
      return { result: base?.id ?? chain, cached: false };
    });
    const { state, triggers } = start!;
    const builder = new StageBuilder(session, stage, state, session.inImage(stage.index));
    if (typeof stage.base === "object" && "directory" in stage.base) {
      await builder.#fillFrom(session.namedContext(stage.base.directory), stage.from.range.source);
    }
    for (const [i, trigger] of triggers.entries()) {
      const instruction = parseTrigger(trigger, stage.from.range);
      await builder.#vertex(session.triggerVertex(stage, instruction), instruction, `on${i}`);
    }
    for (const [i, instruction] of stage.instructions.entries()) {
      await builder.#vertex(session.vertexOf(instruction), instruction, `${i}`);
    }
    return builder.state;
  }

  /** A named context as base: its files are the first layer. */
  async #fillFrom(context: SourceTree, createdBy: string): Promise<void> {
    const { signal } = this.session;
    const selection = await context.select(".", undefined, signal);
    const selections = selection ? [selection] : [];
    const inputs = ["CONTEXT", await context.digest(selections, { owners: false, signal })];
    const work = ({ root }: Workspace, { signal }: StepProgress) =>
      copySelections(context.root, selections, [], root, {
        destination: "/",
        owner: { uid: 0, gid: 0 },
        signal,
      });
    await this.layer({ inputs, createdBy, work });
  }

  async #vertex(name: VertexName, instruction: Instruction, position: string): Promise<void> {
    this.session.signal.throwIfAborted();
    await this.#sourceStages(instruction);
    await this.session.progress.vertex(name, (vertex) => {
      this.#current = { instruction, position, vertex, reads: new Map() };
      return this.#apply(instruction, vertex).catch((error: unknown) => {
        throw placed(error, instruction.range);
      });
    });
  }

  /** Waits for the stages that `--from` values name. @throws what those stages throw */
  async #sourceStages(instruction: Instruction): Promise<void> {
    const { graph } = this.session;
    for (const from of references(instruction)) {
      const named = graph.sourceNamed(from, instruction.range);
      if (!("stage" in named)) continue;
      // A trigger's stage is known only now.
      graph.depend(this.stage.index, named.stage, instruction.range);
      await this.session.stage(named.stage);
    }
  }

  async #apply(instruction: Instruction, vertex: Vertex): Promise<Outcome> {
    const expand = (text: string) => this.expand(text, instruction);
    const { state } = this;
    switch (instruction.kind) {
      case "FROM":
        throw stepError(instruction.range, "FROM isn't allowed here");
      case "RUN":
        return this.layer(await runStep(this, instruction));
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
            const owner = await workdirOwner(workspace.root, user);
            if (!makeDirectory(workspace.root, WorkingDir, { owner })) {
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
        const { config, createdBy } = this.#changeConfig(instruction, expand);
        if (instruction.kind === "CMD") state.cmdSet = true;
        if (instruction.kind === "ENV") state.scope.hide(instruction.pairs.map(([name]) => expand(name)));
        return this.#metadata(config, createdBy);
      }
    }
  }

  #changeConfig(instruction: MetadataInstruction, expand: (text: string) => string) {
    const { config, cmdSet } = this.state;
    const { esc } = this.session.dockerfile;
    try {
      return applyMetadata(instruction, { config, expand, lookup: this.lookup(), esc, cmdSet });
    } catch (error) {
      throw expandProblem(error, instruction.range);
    }
  }

  /** Substitutes variables in one word. @throws DockerfileError */
  expand(text: string, instruction: Instruction): string {
    try {
      return expandWord(text, this.lookup(), this.session.dockerfile.esc);
    } catch (error) {
      throw expandProblem(error, instruction.range);
    }
  }

  /** The variables; what is read of them is noted. */
  lookup(): Lookup {
    const values = this.session.budget.limit(this.state.scope.lookup(this.state.config.Env ?? []));
    const reads = this.#current?.reads;
    return (name) => {
      const value = values(name);
      reads?.set(name, value ?? "");
      return value;
    };
  }

  /** Whether every step of this stage is run, whatever is cached. */
  get #fresh(): boolean {
    const { noCache, noCacheStages = [] } = this.session.request;
    const name = this.stage.name?.toLowerCase();
    return noCache || noCacheStages.some((each) => each.toLowerCase() === name);
  }

  /** A step that changes no file. Its record holds the time, so that the same build gives the same image. */
  async #metadata(config: ImageRunConfig, createdBy: string): Promise<Outcome> {
    const { session, state } = this;
    const id = keyOf("metadata", state.chain, state.tree.id, createdBy, config, state.author);
    const known = this.#fresh ? undefined : session.records.find(id);
    const record = known ?? session.newRecord(id, { result: state.tree.id, description: createdBy });
    if (!known) session.records.put(record);
    await this.#explain(known !== undefined, { ...state.chainFrom, digest: state.chain });
    session.use(record);
    state.config = config;
    state.chain = id;
    state.chainFrom = { kind: "parent", name: this.#current?.instruction.text ?? createdBy };
    state.history.push({ createdBy, createdAt: record.createdAt, emptyLayer: true });
    return { cached: known !== undefined, result: id };
  }

  /** A step that writes files: from the cache, or done now and kept. */
  async layer(step: LayerStep): Promise<Outcome> {
    const { session, state } = this;
    const { inputs, createdBy, named } = step;
    const id = keyOf("layer", state.tree.id, ...inputs);
    const current = this.#current;
    const { record, cached } = await layerRecord(session, id, state.tree, step, {
      fresh: this.#fresh,
      parent: state.record,
      log: (stream, data) => current?.vertex.log(stream, data),
      onMiss: () => this.#explain(false, { ...state.treeFrom, digest: state.tree.id }, named),
      failure: (error) =>
        error instanceof BuildStepFailed && current && !step.bound
          ? new BuildStepFailed(error.command, error.exitCode, current.instruction.range)
          : undefined,
    });
    if (cached) await this.#explain(true, { ...state.treeFrom, digest: state.tree.id });
    const { snapshot } = record;
    state.chainFrom = { kind: "parent", name: this.#current?.instruction.text ?? createdBy };
    if (snapshot !== undefined) {
      state.tree = { id: record.result, snapshot };
      state.treeFrom = state.chainFrom;
    }
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

  /** Tells whether the step is cached, and notes what it depends on when it is not. */
  async #explain(cached: boolean, parent: NamedInput, named?: LayerStep["named"]): Promise<void> {
    const { session, stage } = this;
    const { explanations, request } = session;
    if (!this.#current) return;
    const { instruction, position, vertex, reads } = this.#current;
    if (cached) {
      if (request.explain) vertex.explain(true, []);
      return;
    }
    const { text, kind, range: _, ...rest } = instruction;
    const args = [...reads].map(([name, value]) => argInput(name, value, explanations.digest));
    const inputs: NamedInput[] = [
      { kind: "instruction", name: text, digest: explanations.digest(JSON.stringify(rest)) },
      parent,
      ...args,
      ...((await named?.()) ?? []),
    ];
    const place = placeOf(request, stage, kind, position, text);
    explanations.remember(place, inputs);
    if (!request.explain) return;
    const gone: RebuildReason = { kind: "new", name: text, change: "not in the cache" };
    const reasons = explanations.reasons(place, inputs);
    if (this.#fresh) vertex.explain(false, [{ kind: "no-cache", name: "--no-cache", change: "set" }]);
    else vertex.explain(false, reasons.length > 0 ? reasons : [gone]);
  }
}
