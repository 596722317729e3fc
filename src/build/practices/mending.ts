/** Edits that end findings of the build checks and leave the image as it is. */
import type { TextEdit } from "../../lib/text-edit.ts";
import type { CheckWarning } from "../checks/types.ts";
import type { Instruction } from "../dockerfile/instructions.ts";
import type { ParsedDockerfile } from "../dockerfile/parse.ts";
import { replaceMatches, type Span, spanOf } from "./source.ts";

type Mend = (span: Span, instruction: Instruction, warning: CheckWarning) => TextEdit[];

const mends: Record<string, Mend> = {
  ConsistentInstructionCasing: (span, { keyword }, { detail }) => {
    const word = detail.endsWith("(lowercase)") ? keyword.toLowerCase() : keyword.toUpperCase();
    return replaceMatches(span, /^\s*\S+/g, ([text]) => text.replace(keyword, word));
  },
  FromAsCasing: (span, instruction) => {
    if (instruction.kind !== "FROM" || !instruction.as) return [];
    const { keyword, as } = instruction;
    const word = keyword === keyword.toLowerCase() ? as.keyword.toLowerCase() : as.keyword.toUpperCase();
    return replaceMatches(span, /(?<=\s)as(?=\s+\S+\s*$)/gi, () => word);
  },
  LegacyKeyValueFormat: (span, instruction) => {
    if (instruction.kind !== "ENV" && instruction.kind !== "LABEL") return [];
    const [[name, value] = ["", ""]] = instruction.pairs;
    // What quotes and escapes mean differs between the two forms.
    if (!/^[\w./:@$,+=-]+(?: [\w./:@$,+=-]+)*$/.test(value) || span.text.includes("\n")) return [];
    const quoted = value.includes(" ") ? `"${value}"` : value;
    return replaceMatches(span, /(?<=^\s*\S+\s+)\S[\s\S]*$/g, () => `${name}=${quoted}`);
  },
  NoEmptyContinuation: (span, instruction) => {
    if ("heredocs" in instruction && instruction.heredocs.length > 0) return [];
    if ("inline" in instruction && instruction.inline.length > 0) return [];
    return replaceMatches(span, /(?<=\n)[ \t\r]*\n/g, () => "");
  },
  RedundantTargetPlatform: (span) => replaceMatches(span, /--platform=\S+[ \t]+/g, () => ""),
};

/** The warnings with edits, where there are some for them. */
export function withMends(dockerfile: ParsedDockerfile, warnings: readonly CheckWarning[]): CheckWarning[] {
  return warnings.map((warning) => {
    const mend = Object.hasOwn(mends, warning.rule.name) ? mends[warning.rule.name] : undefined;
    const instruction = dockerfile.instructions.find(({ range }) => range.line === warning.range.line);
    if (!mend || !instruction || warning.edits) return warning;
    const edits = mend(spanOf(dockerfile, instruction), instruction, warning);
    return edits.length > 0 ? { ...warning, edits } : warning;
  });
}
