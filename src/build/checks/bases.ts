/** Checks of FROM: what a stage begins from, and its platform. */
import { normalize, parseReference } from "../../lib/reference.ts";
import { Budget } from "../dockerfile/budget.ts";
import { expandWord, type Lookup, missingVariables } from "../dockerfile/expand.ts";
import type { From } from "../dockerfile/instructions.ts";
import { nearest } from "../dockerfile/nearest.ts";
import type { ParsedDockerfile } from "../dockerfile/parse.ts";
import { formatPlatform } from "../graph/scope.ts";
import { platformArgNames } from "./platform-args.ts";
import { fileRule, stageRule } from "./rule.ts";

/** FROMs with the global ARGs declared before them: their defaults, `""` for those without. */
function* fromLines({
  instructions,
  esc,
}: ParsedDockerfile): Generator<{ from: From; globals: Map<string, string> }> {
  const globals = new Map<string, string>();
  const lookup = new Budget().limit((name) => globals.get(name));
  let begun = false;
  for (const instruction of instructions) {
    if (instruction.kind === "FROM") {
      begun = true;
      yield { from: instruction, globals };
    }
    if (instruction.kind !== "ARG" || begun) continue;
    for (const { name, value = "" } of instruction.args) {
      globals.set(name, expandWord(value, lookup, esc));
    }
  }
}

/** Values of the platform ARGs don't matter here, only that they are there. */
function lookupIn(globals: Map<string, string>): Lookup {
  return (name) => globals.get(name) ?? (platformArgNames.has(name) ? "x" : undefined);
}

export const undefinedArgInFrom = fileRule(
  "UndefinedArgInFrom",
  "FROM command must use declared ARGs",
  function* (dockerfile) {
    for (const { from, globals } of fromLines(dockerfile)) {
      const texts = [from.image, from.platform ?? ""];
      const missing = texts.flatMap((text) => [...missingVariables(text, lookupIn(globals), dockerfile.esc)]);
      for (const name of new Set(missing)) {
        const meant = nearest(name, [...globals.keys(), ...platformArgNames]);
        const hint = meant === undefined ? "" : ` (did you mean ${meant}?)`;
        yield { range: from.range, detail: `FROM argument '${name}' is not declared${hint}` };
      }
    }
  },
);

export const invalidDefaultArgInFrom = fileRule(
  "InvalidDefaultArgInFrom",
  "Default value for global ARG results in an empty or invalid base image name",
  function* (dockerfile) {
    for (const { from, globals } of fromLines(dockerfile)) {
      if (!from.image.includes("$") || isImageName(expandWord(from.image, lookupIn(globals), dockerfile.esc)))
        continue;
      yield {
        range: from.range,
        detail: `Default value for ARG ${from.image} results in empty or invalid base image name`,
      };
    }
  },
);

function isImageName(text: string): boolean {
  try {
    normalize(parseReference(text));
    return true;
  } catch {
    return false;
  }
}

export const redundantTargetPlatform = fileRule(
  "RedundantTargetPlatform",
  "Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the default behavior",
  function* ({ instructions }) {
    for (const instruction of instructions) {
      if (instruction.kind !== "FROM") continue;
      const { platform, range } = instruction;
      if (!/^\$(?:TARGETPLATFORM|\{TARGETPLATFORM\})$/.test(platform ?? "")) continue;
      yield {
        range,
        detail: `Setting platform to predefined ${platform} in FROM is redundant as this is the default behavior`,
      };
    }
  },
);

export const fromPlatformFlagConstDisallowed = fileRule(
  "FromPlatformFlagConstDisallowed",
  "FROM --platform flag should not use a constant value",
  function* ({ instructions }) {
    for (const instruction of instructions) {
      if (instruction.kind !== "FROM" || !instruction.platform || instruction.platform.includes("$"))
        continue;
      const { platform, stage, range } = instruction;
      // A stage that says its platform in its name is one of several to choose from.
      const architecture = platform.split("/")[1];
      if (architecture && stage?.includes(architecture)) continue;
      yield { range, detail: `FROM --platform flag should not use constant value "${platform}"` };
    }
  },
);

export const invalidBaseImagePlatform = stageRule(
  "InvalidBaseImagePlatform",
  "Base image platform does not match expected target platform",
  function* (stage, subject) {
    const base = subject.base(stage);
    if (!base || typeof stage.base !== "object" || !("image" in stage.base)) return;
    const expected = subject.platform(stage);
    const { os, architecture } = base.platform;
    const [wantedOs, wantedArchitecture] = expected.split("/");
    if (os === wantedOs && architecture === wantedArchitecture) return;
    const found = formatPlatform(base.platform);
    yield {
      range: stage.from.range,
      detail: `Base image ${stage.base.image} was pulled with platform "${found}", expected "${expected}" for current build`,
    };
  },
);
