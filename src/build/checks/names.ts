/** Checks of names and letter case. */
import type { From, Instruction } from "../dockerfile/instructions.ts";
import { fileRule } from "./rule.ts";

const isFrom = (instruction: Instruction): instruction is From => instruction.kind === "FROM";

export const stageNameCasing = fileRule(
  "StageNameCasing",
  "Stage names should be lowercase",
  function* ({ instructions }) {
    for (const { as, range } of instructions.filter(isFrom)) {
      if (!as || as.name === as.name.toLowerCase()) continue;
      yield { range, detail: `Stage name '${as.name}' should be lowercase` };
    }
  },
);

export const fromAsCasing = fileRule(
  "FromAsCasing",
  "The 'as' keyword should match the case of the 'from' keyword",
  function* ({ instructions }) {
    for (const { as, keyword, range } of instructions.filter(isFrom)) {
      if (!as || caseOf(as.keyword) === caseOf(keyword)) continue;
      yield { range, detail: `'${as.keyword}' and '${keyword}' keywords' casing do not match` };
    }
  },
);

export const duplicateStageName = fileRule(
  "DuplicateStageName",
  "Stage names should be unique",
  function* ({ instructions }) {
    const seen = new Set<string>();
    for (const { stage, as, range } of instructions.filter(isFrom)) {
      if (stage === undefined) continue;
      const shown = JSON.stringify(as?.name ?? stage);
      if (seen.has(stage))
        yield { range, detail: `Duplicate stage name ${shown}, stage names should be unique` };
      seen.add(stage);
    }
  },
);

const reserved = ["context", "scratch"];

export const reservedStageName = fileRule(
  "ReservedStageName",
  "Reserved words should not be used as stage names",
  function* ({ instructions }) {
    for (const { stage, range } of instructions.filter(isFrom)) {
      if (stage === undefined || !reserved.includes(stage)) continue;
      yield { range, detail: `Stage name should not use the same name as reserved stage "${stage}"` };
    }
  },
);

export const consistentInstructionCasing = fileRule(
  "ConsistentInstructionCasing",
  "All commands within the Dockerfile should use the same casing (either upper or lower)",
  function* ({ instructions }) {
    const lower = instructions.filter(({ keyword }) => caseOf(keyword) === "lowercase").length;
    const upper = instructions.filter(({ keyword }) => caseOf(keyword) === "uppercase").length;
    const majority = lower > upper ? "lowercase" : "uppercase";
    for (const { keyword, range } of instructions) {
      if (caseOf(keyword) === majority) continue;
      yield {
        range,
        detail: `Command '${keyword}' should match the case of the command majority (${majority})`,
      };
    }
  },
);

function caseOf(word: string): "lowercase" | "uppercase" | "mixed" {
  if (word === word.toLowerCase()) return "lowercase";
  return word === word.toUpperCase() ? "uppercase" : "mixed";
}
