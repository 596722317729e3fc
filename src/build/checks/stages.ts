import type { Graph, Stage } from "../graph/stages.ts";

/** A stage and those that it begins from, the nearest first. */
export function ancestry(stage: Stage, graph: Graph): Stage[] {
  const { base } = stage;
  if (typeof base !== "object" || !("stage" in base)) return [stage];
  return [stage, ...ancestry(graph.stages[base.stage]!, graph)];
}
