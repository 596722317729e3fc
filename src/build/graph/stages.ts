/** From instructions to stages: which stage needs which, and which are needed for the target at all. */

import { ExpandError, expandWord, type Lookup } from "../dockerfile/expand.ts";
import type { Arg, From, Instruction, SourceRange } from "../dockerfile/instructions.ts";
import { didYouMean } from "../dockerfile/nearest.ts";
import type { ParsedDockerfile } from "../dockerfile/parse.ts";
import { type DockerfileError, parseError, stepError } from "../errors.ts";
import { argValue, type BuildArgs } from "./scope.ts";

export interface Stage {
  index: number;
  name?: string;
  from: From;
  /** What it starts from: an earlier stage, an image, or nothing. */
  base: { stage: number } | { image: string } | "scratch";
  /** Substituted `--platform`. */
  platform?: string;
  /** After FROM. */
  instructions: Instruction[];
}

export interface Graph {
  stages: Stage[];
  target: number;
  /** The target and all that it needs, ascending. */
  needed: number[];
  /** ARGs before the first FROM. */
  globals: Map<string, string>;
  /** Build arguments that some ARG asked for. */
  consumed: Set<string>;
  /** The stage that a `--from` value names; undefined: an image. */
  stageNamed(from: string, range: SourceRange): number | undefined;
}

/**
 * @param platform - values of the platform ARGs (`TARGETOS` ...)
 * @throws DockerfileError unknown target, circular `--from`, empty base name
 */
export function buildGraph(
  file: ParsedDockerfile,
  options: { buildArgs: BuildArgs; platform: Map<string, string>; target?: string },
): Graph {
  const globals = new Map<string, string>();
  const consumed = new Set<string>();
  const lookup: Lookup = (name) => globals.get(name) ?? options.platform.get(name);
  const stages: Stage[] = [];
  for (const instruction of file.instructions) {
    const stage = stages.at(-1);
    if (instruction.kind === "FROM") stages.push(openStage(instruction, stages, lookup, file));
    else if (stage) stage.instructions.push(instruction);
    else if (instruction.kind === "ARG")
      declareGlobals(instruction, globals, lookup, options.buildArgs, consumed, file);
    else throw parseError(instruction.range, "no build stage in current context");
  }
  const last = stages.at(-1);
  if (!last) {
    const range = file.instructions.at(-1)!.range;
    throw parseError(range, "no build stage in current context", "a Dockerfile needs a FROM");
  }
  const graph: Graph = {
    stages,
    target: options.target ? findTarget(stages, options.target, file) : last.index,
    needed: [],
    globals,
    consumed,
    stageNamed: (from, range) => stageNamed(stages, from, range),
  };
  graph.needed = reachable(graph);
  return graph;
}

function openStage(from: From, stages: Stage[], lookup: Lookup, file: ParsedDockerfile): Stage {
  const expand = (text: string) => {
    try {
      return expandWord(text, lookup, file.esc);
    } catch (error) {
      throw expandProblem(error, from.range);
    }
  };
  const image = expand(from.image);
  if (image === "") {
    throw parseError(from.range, `base name (${from.image}) should not be blank`);
  }
  const earlier = stages.findLast((stage) => stage.name === image.toLowerCase());
  return {
    index: stages.length,
    name: from.stage,
    from,
    base: earlier ? { stage: earlier.index } : image === "scratch" ? "scratch" : { image },
    platform: from.platform === undefined ? undefined : expand(from.platform),
    instructions: [],
  };
}

function declareGlobals(
  arg: Arg,
  globals: Map<string, string>,
  lookup: Lookup,
  buildArgs: BuildArgs,
  consumed: Set<string>,
  file: ParsedDockerfile,
): void {
  for (const { name, value } of arg.args) {
    consumed.add(name);
    try {
      const result = argValue(name, value, buildArgs, (text) => expandWord(text, lookup, file.esc));
      if (result !== undefined) globals.set(name, result);
    } catch (error) {
      throw expandProblem(error, arg.range);
    }
  }
}

/** A failed substitution, with its place. */
export function expandProblem(error: unknown, range: SourceRange): unknown {
  if (!(error instanceof ExpandError)) return error;
  return stepError(range, `failed to process ${JSON.stringify(range.source)}: ${error.message}`);
}

function findTarget(stages: Stage[], target: string, file: ParsedDockerfile): number {
  const named = stages.findLast((stage) => stage.name === target.toLowerCase());
  if (named) return named.index;
  if (/^\d+$/.test(target) && Number(target) < stages.length) return Number(target);
  const hint = didYouMean(
    target,
    stages.flatMap((stage) => stage.name ?? []),
  );
  const message = `target stage ${JSON.stringify(target)} could not be found`;
  throw targetError(message, file, stages.at(-1)!.from.range, hint);
}

function targetError(
  message: string,
  file: ParsedDockerfile,
  range: SourceRange,
  hint?: string,
): DockerfileError {
  return stepError({ ...range, file: file.file }, message, hint);
}

function stageNamed(stages: Stage[], from: string, range: SourceRange): number | undefined {
  if (from.includes("$")) {
    throw stepError(
      range,
      "variable expansion is not supported for --from, define a new stage with FROM using ARG from global scope as a workaround",
    );
  }
  const named = stages.findLast((stage) => stage.name === from.toLowerCase());
  if (named) return named.index;
  if (!/^\d+$/.test(from)) return undefined;
  const index = Number(from);
  if (index >= stages.length) throw stepError(range, `invalid stage index ${index}`);
  return index;
}

/** `--from` values of one instruction. */
export function references(instruction: Instruction): string[] {
  if (instruction.kind === "COPY" || instruction.kind === "ADD") {
    return instruction.from === undefined ? [] : [instruction.from];
  }
  if (instruction.kind === "RUN") {
    return instruction.mounts.flatMap((mount) => /(?:^|,)from=([^,]+)/.exec(mount)?.[1] ?? []);
  }
  return [];
}

/** Depth first from the target. @throws DockerfileError when a stage needs itself */
function reachable(graph: Graph): number[] {
  const done = new Set<number>();
  const open = new Set<number>();
  const visit = (index: number, range: SourceRange): void => {
    if (done.has(index)) return;
    const stage = graph.stages[index]!;
    if (open.has(index)) {
      throw stepError(range, `circular dependency detected on stage: ${stage.name ?? index}`);
    }
    open.add(index);
    if (typeof stage.base === "object" && "stage" in stage.base) visit(stage.base.stage, stage.from.range);
    for (const instruction of stage.instructions) {
      for (const from of references(instruction)) {
        const other = graph.stageNamed(from, instruction.range);
        if (other !== undefined) visit(other, instruction.range);
      }
    }
    open.delete(index);
    done.add(index);
  };
  visit(graph.target, graph.stages[graph.target]!.from.range);
  return [...done].sort((a, b) => a - b);
}
