/** From instructions to stages: which stage needs which, and which are needed for the target at all. */

import type { Platform } from "../../lib/oci.ts";
import { Budget } from "../dockerfile/budget.ts";
import { ExpandError, expandWord, type Lookup } from "../dockerfile/expand.ts";
import type { Arg, From, Instruction, SourceRange } from "../dockerfile/instructions.ts";
import { didYouMean } from "../dockerfile/nearest.ts";
import type { ParsedDockerfile } from "../dockerfile/parse.ts";
import { type DockerfileError, parseError, stepError } from "../errors.ts";
import type { BuildRequest } from "../types.ts";
import { contextNamed, type NamedContext } from "./contexts.ts";
import { argValue, type BuildArgs, hostPlatform, parsePlatform } from "./scope.ts";

export interface Stage {
  index: number;
  name?: string;
  from: From;
  /** What it starts from: an earlier stage, an image, a directory of a named context, or nothing. */
  base: { stage: number } | NamedContext | "scratch";
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
  /** What a `--from` value names. @throws DockerfileError an index that no stage has */
  sourceNamed(from: string, range: SourceRange): { stage: number } | NamedContext;
  /** Notes that one stage waits for another. @throws DockerfileError when the other waits for the first */
  depend(stage: number, on: number, range: SourceRange): void;
}

/**
 * @param platform - values of the platform ARGs (`TARGETOS` ...)
 * @throws DockerfileError unknown target, circular `--from`, empty base name
 */
export function buildGraph(
  file: ParsedDockerfile,
  options: {
    buildArgs: BuildArgs;
    platform: Map<string, string>;
    target?: string;
    contexts?: BuildRequest["contexts"];
  },
): Graph {
  const globals = new Map<string, string>();
  const consumed = new Set<string>();
  const lookup = new Budget().limit((name) => globals.get(name) ?? options.platform.get(name));
  const stages: Stage[] = [];
  for (const instruction of file.instructions) {
    const stage = stages.at(-1);
    if (instruction.kind === "FROM")
      stages.push(openStage(instruction, stages, lookup, file, options.contexts));
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
  for (const stage of stages) replaceByContext(stage, options.contexts);
  const waits = new Map<number, Set<number>>();
  const graph: Graph = {
    stages,
    target: options.target ? findTarget(stages, options.target, file) : last.index,
    needed: [],
    globals,
    consumed,
    sourceNamed: (from, range) => {
      const stage = stageNamed(stages, from, range);
      return stage === undefined ? (contextNamed(options.contexts, from) ?? { image: from }) : { stage };
    },
    depend: (stage, on, range) => {
      if (stage === on || reaches(waits, on, stage)) {
        throw stepError(range, `circular dependency detected on stage: ${stages[stage]!.name ?? stage}`);
      }
      waits.set(stage, (waits.get(stage) ?? new Set()).add(on));
    },
  };
  graph.needed = reachable(graph);
  return graph;
}

/** A named context takes the place of the stage with its name. */
function replaceByContext(stage: Stage, contexts: BuildRequest["contexts"]): void {
  const context = stage.name === undefined ? undefined : contextNamed(contexts, stage.name);
  if (!context) return;
  stage.base = context;
  stage.instructions = [];
}

/** Whether one stage waits for another, directly or not. */
function reaches(waits: Map<number, Set<number>>, from: number, to: number): boolean {
  const seen = new Set([from]);
  for (const at of seen) for (const next of waits.get(at) ?? []) seen.add(next);
  return seen.has(to);
}

function openStage(
  from: From,
  stages: Stage[],
  lookup: Lookup,
  file: ParsedDockerfile,
  contexts: BuildRequest["contexts"],
): Stage {
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
  const platform = from.platform === undefined ? undefined : expand(from.platform);
  if (platform === "" && from.platform !== "")
    throw parseError(from.range, `empty platform value from expression ${from.platform}`);
  return {
    index: stages.length,
    name: from.stage,
    from,
    base: earlier
      ? { stage: earlier.index }
      : image === "scratch"
        ? "scratch"
        : (contextNamed(contexts, image) ?? { image }),
    platform,
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

/** What a stage is built for. @throws DockerfileError malformed `--platform` */
export function platformOf(stage: Stage, request: Pick<BuildRequest, "platform">): Platform {
  const fallback = request.platform ?? hostPlatform();
  if (stage.platform === undefined || stage.platform === "") return fallback;
  const platform = parsePlatform(stage.platform, hostPlatform());
  if (platform) return platform;
  const { range } = stage.from;
  const text = `failed to parse platform ${stage.platform}: "${stage.platform}" is an invalid component`;
  throw stepError(range, text);
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

/** The target and what it waits for. @throws DockerfileError when a stage needs itself */
function reachable(graph: Graph): number[] {
  const needed = new Set([graph.target]);
  for (const index of needed) {
    const stage = graph.stages[index]!;
    const wait = (on: number, range: SourceRange) => {
      graph.depend(index, on, range);
      needed.add(on);
    };
    if (typeof stage.base === "object" && "stage" in stage.base) wait(stage.base.stage, stage.from.range);
    for (const instruction of stage.instructions) {
      for (const from of references(instruction)) {
        const source = graph.sourceNamed(from, instruction.range);
        if ("stage" in source) wait(source.stage, instruction.range);
      }
    }
  }
  return [...needed].sort((a, b) => a - b);
}
