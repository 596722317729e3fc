/** Low-level definitions, solved: each operation once, those that don't wait for one another side by side. */
import { lstatSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Digest } from "../../lib/digest.ts";
import { InvalidParameter } from "../../lib/errors.ts";
import { stepError } from "../errors.ts";
import { copySelections } from "../files/copy.ts";
import { resolveInside } from "../files/inside.ts";
import type { SourceTree } from "../files/tree.ts";
import { keyOf } from "../solve/key.ts";
import { type LayerWork, layerRecord } from "../solve/layer.ts";
import type { Vertex } from "../solve/progress.ts";
import type { CacheRecord } from "../solve/records.ts";
import type { StepSession } from "../solve/step-session.ts";
import { execOutputs } from "./exec.ts";
import { fileOutputs } from "./file.ts";
import { titleOf } from "./names.ts";
import { type Layered, nothing, type Output } from "./output.ts";
import { differenceOf, merged } from "./rebase.ts";
import { sourceOutput } from "./source.ts";
import type { BuildOp, Definition, Edge, LowLevelBuild, Op } from "./types.ts";

/** Definitions may have definitions among their files. */
const maxDepth = 16;

export class Solver {
  readonly #outputs = new Map<Digest, Promise<Output[]>>();

  constructor(
    readonly session: StepSession,
    readonly build: LowLevelBuild,
    private readonly depth = 0,
  ) {}

  /** @throws what the operations throw */
  async solve(definition: Definition): Promise<Layered> {
    const { result } = definition;
    return result ? (await this.output(definition, result)).layered() : nothing;
  }

  async output(definition: Definition, { op, output }: Edge): Promise<Output> {
    const outputs = await this.#operation(definition, op);
    const found = outputs[output];
    if (!found) throw new InvalidParameter(`the operation ${op} has no output ${output}`);
    return found;
  }

  #operation(definition: Definition, id: Digest): Promise<Output[]> {
    let outputs = this.#outputs.get(id);
    if (!outputs) {
      const op = definition.ops.get(id)!;
      outputs = this.#run(definition, op);
      this.#outputs.set(id, outputs);
    }
    return outputs;
  }

  async #run(definition: Definition, op: Op): Promise<Output[]> {
    const { session } = this;
    const inputs = await session.together(op.inputs.map((edge) => this.output(definition, edge)));
    session.signal.throwIfAborted();
    const name = { id: op.id, name: titleOf(op), inputs: op.inputs.map((edge) => edge.op) };
    let outputs: Output[] = [];
    await session.progress.vertex(name, async (vertex) => {
      const run = new OpRun(this, op, inputs, vertex);
      outputs = await this.#perform(run);
      return { cached: run.steps > 0 && run.cached === run.steps };
    });
    return outputs;
  }

  async #perform(run: OpRun): Promise<Output[]> {
    const { does } = run.op;
    switch (does.type) {
      case "source":
        return [await sourceOutput(run, does)];
      case "exec":
        return execOutputs(run, does);
      case "file":
        return fileOutputs(run, does);
      case "merge":
        return [await merged(run, does)];
      case "diff":
        return [await differenceOf(run, does)];
      case "build":
        return [await this.#nested(run, does)];
    }
  }

  async #nested(run: OpRun, { input, filename }: BuildOp): Promise<Output> {
    if (this.depth >= maxDepth) throw run.fail(`definitions are nested deeper than ${maxDepth}`);
    const bytes = run.read(run.input(input), filename);
    const definition = this.build.parse(bytes);
    const solver = new Solver(this.session, this.build, this.depth + 1);
    if (!definition.result) return run.layers(nothing);
    return solver.output(definition, definition.result);
  }
}

/** One operation while it is done. */
export class OpRun {
  readonly session: StepSession;
  readonly build: LowLevelBuild;
  /** Steps that were looked up, and those of them that the cache had. */
  steps = 0;
  cached = 0;

  constructor(
    solver: Solver,
    readonly op: Op,
    readonly inputs: readonly Output[],
    readonly vertex: Vertex,
  ) {
    this.session = solver.session;
    this.build = solver.build;
  }

  /** @throws InvalidParameter */
  input(index: number): Output {
    const found = this.inputs[index];
    if (!found) throw new InvalidParameter(`the operation ${this.op.id} has no input ${index}`);
    return found;
  }

  fail(message: string, hint?: string): Error {
    const { range } = this.op;
    return range
      ? stepError(range, message, hint)
      : new InvalidParameter(hint ? `${message} (${hint})` : message);
  }

  /** A file's bytes. @throws InvalidParameter when there is none */
  read(from: Output, path: string): Uint8Array {
    const { root } = from.files();
    const file = join(root, resolveInside(root, path) ?? "");
    if (!lstatSync(file, { throwIfNoEntry: false })?.isFile()) throw this.fail(`${path}: no such file`);
    return readFileSync(file);
  }

  /** A step that writes files over those of `before`, found in the cache or done. */
  async step(before: Layered, inputs: unknown[], step: LayerWork, fresh = this.op.fresh): Promise<Output> {
    const { session, vertex } = this;
    const id = keyOf("llb", before.tree.id, ...inputs);
    const { record, cached } = await layerRecord(session, id, before.tree, step, {
      fresh: session.request.noCache || fresh,
      parent: before.record,
      log: vertex.log,
    });
    this.steps++;
    if (cached) this.cached++;
    return this.recorded(before, record, step.createdBy);
  }

  /** What a step over `before` has come to. */
  recorded(before: Layered, record: CacheRecord, createdBy: string): Output {
    this.session.use(record);
    const { snapshot, createdAt } = record;
    const history = [...before.history, { createdBy, createdAt, emptyLayer: snapshot === undefined }];
    if (snapshot === undefined)
      return this.layers({ ...before, record: record.id, history, image: undefined });
    return this.layers({
      tree: { id: record.result, snapshot },
      layers: [...before.layers, { record: { ...record, snapshot } }],
      record: record.id,
      history,
    });
  }

  layers(layered: Layered): Output {
    const { session } = this;
    return {
      id: layered.tree.id,
      files: () => session.filesOf(layered.tree),
      owners: "keep",
      onDisk: false,
      layered: async () => layered,
    };
  }

  /** Files that no snapshot has: they become a layer when somebody wants them as such. */
  async directory(tree: SourceTree, owners: Output["owners"] = { uid: 0, gid: 0 }): Promise<Output> {
    const { signal } = this.session;
    const selection = await tree.select(".", undefined, signal);
    const selections = selection ? [selection] : [];
    const id = keyOf("files", await tree.digest(selections, { owners: owners === "keep", signal }));
    let layered: Promise<Output> | undefined;
    const step: LayerWork = {
      createdBy: titleOf(this.op),
      work: ({ root }, { signal }) =>
        copySelections(tree.root, selections, [], root, { destination: "/", owner: owners, signal }),
    };
    return {
      id,
      files: () => tree,
      owners,
      onDisk: true,
      layered: async () => {
        layered ??= this.step(nothing, [id], step);
        return (await layered).layered();
      },
    };
  }
}
