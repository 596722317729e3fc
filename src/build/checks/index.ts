/** Runs the build checks. */
import { ExpandError } from "../dockerfile/expand.ts";
import type { ParsedDockerfile } from "../dockerfile/parse.ts";
import type { CheckSettings } from "./settings.ts";
import { rules } from "./table.ts";
import type { CheckWarning, Rule, StageSubject, Violation } from "./types.ts";

export { type CheckSettings, checkSettings } from "./settings.ts";
export { rules } from "./table.ts";
export type { CheckWarning, Rule, Severity, StageSubject } from "./types.ts";

/** What can be told from the file alone. */
export function checkFile(
  dockerfile: ParsedDockerfile,
  settings: CheckSettings,
  among: readonly Rule[] = rules,
): CheckWarning[] {
  return among.flatMap((rule) =>
    rule.scope === "file" && settings.runs(rule) ? collect(rule, () => rule.find(dockerfile)) : [],
  );
}

/** What needs the stages, of which only those that the build needs are looked at. */
export function checkStages(
  subject: StageSubject,
  settings: CheckSettings,
  among: readonly Rule[] = rules,
): CheckWarning[] {
  const stages = subject.graph.needed.map((index) => subject.graph.stages[index]!);
  return among.flatMap((rule) =>
    rule.scope === "stage" && settings.runs(rule)
      ? stages.flatMap((stage) => collect(rule, () => rule.find(stage, subject)))
      : [],
  );
}

function collect(rule: Rule, find: () => Iterable<Violation>): CheckWarning[] {
  const found: CheckWarning[] = [];
  try {
    for (const violation of find()) found.push({ ...violation, rule });
  } catch (error) {
    // A malformed substitution is the build's own error, told with its place.
    if (!(error instanceof ExpandError)) throw error;
  }
  return found;
}

/** In the order of the file. */
export function inOrder(warnings: readonly CheckWarning[]): CheckWarning[] {
  return [...warnings].sort((a, b) => a.range.line - b.range.line);
}

/** BuildKit's words for violations that fail a build. */
export function violationMessage(warnings: readonly CheckWarning[]): string {
  const names = [...new Set(warnings.map(({ rule }) => rule.name))].sort();
  return `lint violation found for rules: ${names.join(", ")}`;
}
