/** What the stages of one build share. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { newId } from "../../lib/ids.ts";
import type { IgnoreRules } from "../../lib/ignore.ts";
import type { Platform } from "../../lib/oci.ts";
import type { BuildOrigin } from "../attest/types.ts";
import { namedContext } from "../definition.ts";
import { Budget } from "../dockerfile/budget.ts";
import type { Instruction, SourceRange } from "../dockerfile/instructions.ts";
import { nearest } from "../dockerfile/nearest.ts";
import type { ParsedDockerfile } from "../dockerfile/parse.ts";
import { placed } from "../errors.ts";
import { copySelections } from "../files/copy.ts";
import { SourceTree } from "../files/tree.ts";
import { layoutNamed } from "../graph/contexts.ts";
import { hostPlatform, platformArgs, Scope } from "../graph/scope.ts";
import type { Graph, Stage } from "../graph/stages.ts";
import type { BaseImage } from "../types.ts";
import { clientSecrets } from "./origin.ts";
import { nameVertices, type PlatformPlace, type Vertex, type VertexName } from "./progress.ts";
import { SharedWork } from "./shared.ts";
import { StageBuilder, type StageState, type Tree } from "./stage.ts";
import { StepSession, type StepSessionParts } from "./step-session.ts";

/** What `--from` may name. */
export type Source =
  /** A stage or an image: never changes under its name; `files` mounts it when it is read. */
  | { kind: "tree"; tree: Tree; files: () => SourceTree }
  /** A directory of the client's: its owners are those of another machine and don't count. */
  | { kind: "context"; files: SourceTree };

export interface SessionParts extends StepSessionParts {
  dockerfile: ParsedDockerfile;
  graph: Graph;
  ignore: IgnoreRules;
  place: PlatformPlace;
}

export class Session extends StepSession {
  readonly dockerfile: ParsedDockerfile;
  readonly graph: Graph;
  /** Of substitutions in all stages. */
  readonly budget = new Budget();
  /** Tells the vertices of one platform from those of another; empty when there is one only. */
  readonly #label: string;
  readonly #vertices: Map<Instruction, VertexName>;
  readonly #stages = new Map<number, Promise<StageState>>();
  readonly #context: SourceTree;
  readonly #namedContexts = new Map<string, SourceTree>();
  readonly #visible = new Map<SourceTree, string>();
  readonly #copying = new SharedWork<string>();
  #triggers = 0;

  constructor(parts: SessionParts, signal: AbortSignal) {
    super(parts, signal);
    this.dockerfile = parts.dockerfile;
    this.graph = parts.graph;
    this.#label = parts.place.label;
    this.#vertices = nameVertices(parts.graph, parts.place);
    this.#context = new SourceTree(parts.request.contextDir, parts.ignore, parts.request.received);
  }

  /** Builds all needed stages side by side; the target's state. The first failure stops the others. */
  async run(): Promise<StageState> {
    await this.together(this.graph.needed.map((index) => this.stage(index)));
    // They go while layers are packed.
    this.release().catch(() => {});
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
  image(
    reference: string,
    platform: Platform | undefined,
    { range, onProgress }: { range: SourceRange; onProgress?: Vertex["progress"] },
  ): Promise<BaseImage> {
    const layout = layoutNamed(this.request.contexts, reference);
    return this.findImage(reference, platform, { layout, onProgress }).catch((error: unknown) => {
      throw placed(error, range, this.#meantStage(reference));
    });
  }

  /** A name that is no image's may be a stage's, with a typing error. */
  #meantStage(reference: string): string | undefined {
    const stage = nearest(
      reference,
      this.graph.stages.flatMap(({ name }) => name ?? []),
    );
    return stage === undefined ? undefined : `did you mean the stage ${stage}?`;
  }

  /** What `--from` names. */
  async source(from: string, range: SourceRange): Promise<Source> {
    const named = this.graph.sourceNamed(from, range);
    if ("directory" in named) return { kind: "context", files: this.namedContext(named.directory) };
    const tree =
      "stage" in named
        ? (await this.stage(named.stage)).tree
        : this.treeOf(await this.image(named.image, undefined, { range }));
    return { kind: "tree", tree, files: () => this.filesOf(tree) };
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
      const target = join(this.downloads(), `context-${newId()}`);
      mkdirSync(target, { recursive: true, mode: 0o755 });
      const selection = await context.select(".", undefined, signal);
      const options = { destination: "/", owner: { uid: 0, gid: 0 }, signal };
      if (selection) await copySelections(root, [selection], [], target, options);
      this.#visible.set(context, target);
      return target;
    });
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

  /** What the build was made from, besides the client's files. */
  async origin(): Promise<Omit<BuildOrigin, "dockerfile">> {
    const platform = this.request.platform ?? hostPlatform();
    return { platform, bases: await this.bases(), ...clientSecrets(this.graph) };
  }
}
