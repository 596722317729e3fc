/** Where instructions stand in the text, for edits. */
import type { TextEdit } from "../../lib/text-edit.ts";
import type { Common } from "../dockerfile/instructions.ts";
import type { ParsedDockerfile } from "../dockerfile/parse.ts";

/** An instruction's own text with its place; lines of heredocs are part of it. */
export interface Span {
  start: number;
  text: string;
}

export function spanOf({ source }: ParsedDockerfile, { range }: Pick<Common, "range">): Span {
  let start = 0;
  for (let line = 1; line < range.line; line++) start = source.indexOf("\n", start) + 1;
  let end = start;
  for (let line = range.line; line <= range.endLine; line++) {
    const next = source.indexOf("\n", end);
    if (next < 0) {
      end = source.length;
      break;
    }
    end = line === range.endLine ? next : next + 1;
  }
  return { start, text: source.slice(start, end).replace(/\s+$/, "") };
}

/** An edit of each match, of its first group where the pattern has one. */
export function replaceMatches(
  span: Span,
  pattern: RegExp,
  change: (match: RegExpExecArray) => string,
): TextEdit[] {
  return [...span.text.matchAll(pattern)].map((match) => {
    const start = span.start + match.index;
    return { start, end: start + match[0].length, text: change(match as RegExpExecArray) };
  });
}
