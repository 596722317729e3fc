/** Checks of variables: used before they are set, and secrets among them. */
import { type Lookup, missingInText, missingVariables } from "../dockerfile/expand.ts";
import type { Instruction } from "../dockerfile/instructions.ts";
import { nearest } from "../dockerfile/nearest.ts";
import { envMap } from "../graph/scope.ts";
import type { Stage } from "../graph/stages.ts";
import { fileRule, stageRule } from "./rule.ts";
import { ancestry } from "./stages.ts";
import type { StageSubject } from "./types.ts";

export const undefinedVar = stageRule(
  "UndefinedVar",
  "Variables should be defined before their use",
  function* (stage, subject) {
    const names = inheritedNames(stage, subject);
    // Of an unknown base image, any variable may come.
    if (!names) return;
    const lookup: Lookup = (name) => (names.has(name) ? "x" : undefined);
    for (const instruction of stage.instructions) {
      const missing = new Set([
        ...expandedTexts(instruction).flatMap((text) => [
          ...missingVariables(text, lookup, subject.dockerfile.esc),
        ]),
        ...expandedHeredocs(instruction).flatMap((text) => [...missingInText(text, lookup)]),
      ]);
      for (const name of missing) {
        const meant = nearest(name, names);
        const hint = meant === undefined ? "" : ` (did you mean $${meant}?)`;
        yield { range: instruction.range, detail: `Usage of undefined variable '$${name}'${hint}` };
      }
      for (const name of definedBy(instruction)) names.add(name);
    }
  },
);

/** What is set before a stage's first instruction; undefined when its base image is not known. */
function inheritedNames(stage: Stage, subject: StageSubject): Set<string> | undefined {
  const names = new Set(["PATH"]);
  for (const one of ancestry(stage, subject.graph)) {
    if (typeof one.base === "object" && "image" in one.base) {
      const base = subject.base(one);
      if (!base) return undefined;
      for (const name of envMap(base.config.config?.Env ?? []).keys()) names.add(name);
    }
    if (one !== stage) for (const name of one.instructions.flatMap(definedBy)) names.add(name);
  }
  return names;
}

function definedBy(instruction: Instruction): string[] {
  if (instruction.kind === "ENV") return instruction.pairs.map(([name]) => name);
  return instruction.kind === "ARG" ? instruction.args.map(({ name }) => name) : [];
}

function expandedHeredocs(instruction: Instruction): string[] {
  if (instruction.kind !== "COPY" && instruction.kind !== "ADD") return [];
  return instruction.inline.flatMap(({ expand, content }) => (expand ? content : []));
}

/** The words of an instruction in which the builder substitutes variables. */
function expandedTexts(instruction: Instruction): string[] {
  switch (instruction.kind) {
    case "ENV":
    case "LABEL":
      return instruction.pairs.flat();
    case "ARG":
      return instruction.args.flatMap(({ value }) => value ?? []);
    case "COPY":
    case "ADD": {
      const { sources, destination, chown = "", chmod = "", exclude } = instruction;
      return [...sources, destination, chown, chmod, ...exclude];
    }
    case "RUN":
      return instruction.mounts;
    case "WORKDIR":
      return [instruction.path];
    case "USER":
      return [instruction.user];
    case "EXPOSE":
      return instruction.ports;
    case "VOLUME":
      return instruction.paths;
    case "STOPSIGNAL":
      return [instruction.signal];
    default:
      return [];
  }
}

const secret = /(?:^|_)(?:apikey|auth|credentials?|key|password|pword|passwd|secret|token)(?:_|$)/i;
const harmless = /(?:^|_)public(?:_|$)/i;

export const secretsUsedInArgOrEnv = fileRule(
  "SecretsUsedInArgOrEnv",
  "Sensitive data should not be used in the ARG or ENV commands",
  function* ({ instructions }) {
    for (const instruction of instructions) {
      const { kind, range } = instruction;
      for (const name of definedBy(instruction)) {
        if (!secret.test(name) || harmless.test(name)) continue;
        yield { range, detail: `Do not use ARG or ENV instructions for sensitive data (${kind} "${name}")` };
      }
    }
  },
);
