/** Draws the build's events: one vertex for each instruction and for each internal piece of work. */
import { messageOf } from "../../lib/errors.ts";
import type { CheckWarning } from "../checks/index.ts";
import type { Instruction } from "../dockerfile/instructions.ts";
import { type Graph, references, type Stage } from "../graph/stages.ts";
import type { BuildEvent, RebuildReason } from "../types.ts";

export interface VertexName {
  id: string;
  name: string;
  /** Ids of the vertices whose results it takes. */
  inputs?: readonly string[];
  step?: { number: number; total: number; instruction: string };
}

/** Instructions that BuildKit counts in `[2/5]`. */
const counted = new Set(["FROM", "RUN", "COPY", "ADD", "WORKDIR"]);

/** One of several platforms that are built side by side. */
export interface PlatformPlace {
  /** Put before names and ids; empty when there is one platform only. */
  label: string;
  index: number;
  count: number;
}

/** Names of all vertices of the needed stages, by instruction. */
export function nameVertices(
  graph: Graph,
  { label: platform, index, count }: PlatformPlace = { label: "", index: 0, count: 1 },
): Map<Instruction, VertexName> {
  const stages = graph.needed.map((index) => graph.stages[index]!);
  const idOf = (stage: Stage, i: number) => `${platform}${stage.index}.${i}`;
  const lastOf = (index: number) => idOf(graph.stages[index]!, graph.stages[index]!.instructions.length);
  const total = stages.reduce((sum, stage) => sum + 1 + stage.instructions.length, 0);
  const names = new Map<Instruction, VertexName>();
  let number = index * total;
  for (const stage of stages) {
    const all: Instruction[] = [stage.from, ...stage.instructions];
    const label = `${platform}${stageLabel(graph, stage)}`;
    const width = all.filter(({ kind }) => counted.has(kind)).length;
    let n = 0;
    for (const [i, instruction] of all.entries()) {
      number++;
      if (counted.has(instruction.kind)) n++;
      const place = counted.has(instruction.kind) ? `${label}${n}/${width}` : label.trim();
      names.set(instruction, {
        id: idOf(stage, i),
        inputs: [...(i > 0 ? [idOf(stage, i - 1)] : []), ...sourcesOf(graph, stage, instruction, lastOf)],
        name: place ? `[${place}] ${instruction.text}` : instruction.text,
        step: { number, total: count * total, instruction: instruction.text },
      });
    }
  }
  return names;
}

/** What an instruction takes besides the state before it. @param lastOf the vertex with a stage's outcome */
function sourcesOf(
  graph: Graph,
  { base }: Stage,
  instruction: Instruction,
  lastOf: (stage: number) => string,
): string[] {
  if (instruction.kind === "FROM")
    return typeof base === "object" && "stage" in base ? [lastOf(base.stage)] : [];
  const named = references(instruction);
  if (named.length === 0)
    return instruction.kind === "COPY" || instruction.kind === "ADD" ? [contextVertex] : [];
  return named.flatMap((from) => {
    const source = graph.sourceNamed(from, instruction.range);
    return "stage" in source ? [lastOf(source.stage)] : "directory" in source ? [`load-${from}`] : [];
  });
}

/** Of whoever brings the files. */
const contextVertex = "context";

/** The vertex with the target's outcome. */
export function targetVertex(graph: Graph, label: string): string {
  return `${label}${graph.target}.${graph.stages[graph.target]!.instructions.length}`;
}

/** `builder `, `stage-1 `; nothing when there is only one stage without a name. */
function stageLabel(graph: Graph, stage: Stage): string {
  if (stage.name) return `${stage.name} `;
  return graph.stages.length > 1 ? `stage-${stage.index} ` : "";
}

/** How a vertex ended, for showing. */
export interface Outcome {
  cached?: boolean;
  result?: string;
}

export interface Vertex {
  log(stream: 1 | 2, data: Uint8Array): void;
  progress(name: string, current: number, total?: number): void;
  explain(cached: boolean, reasons: RebuildReason[]): void;
}

export class Progress {
  constructor(
    private readonly onEvent: (event: BuildEvent) => void,
    private readonly now: () => number,
  ) {}

  /** Runs one vertex; `work` says whether it was cached and what to show as its result. */
  async vertex<T extends object>(
    vertex: VertexName,
    work: (vertex: Vertex) => Promise<T & Outcome> | (T & Outcome),
  ): Promise<T> {
    const { id, name: title } = vertex;
    this.onEvent({ type: "vertex", ...vertex, state: "started", at: this.now() });
    try {
      const outcome = await work({
        log: (stream, data) => this.onEvent({ type: "log", id, stream, data }),
        progress: (name, current, total) => this.onEvent({ type: "progress", id, name, current, total }),
        explain: (cached, reasons) => this.onEvent({ type: "explanation", id, name: title, cached, reasons }),
      });
      const state = outcome.cached ? "cached" : "done";
      this.onEvent({ type: "vertex", ...vertex, state, at: this.now(), result: outcome.result });
      return outcome;
    } catch (error) {
      this.onEvent({ type: "vertex", ...vertex, state: "failed", at: this.now(), error: messageOf(error) });
      throw error;
    }
  }

  /** What a build check found. */
  warning({ rule, range, detail }: CheckWarning): void {
    const { file, line, endLine } = range;
    const message = `${rule.name}: ${detail} (line ${line})`;
    const { name, description, url } = rule;
    const check = { rule: name, description, url, detail };
    this.onEvent({ type: "warning", message, file, line, endLine, check });
  }

  /** A warning about the build, not about a line. */
  note(message: string): void {
    this.onEvent({ type: "warning", message });
  }
}
