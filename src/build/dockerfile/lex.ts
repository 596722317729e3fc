/** From text to logical lines: parser directives, comments, continuations and heredocs. */
import { parseError } from "../errors.ts";
import type { Heredoc, SourceRange } from "./instructions.ts";

export type Escape = "\\" | "`";

export interface LogicalLine {
  /** Continuations joined, comments removed, trimmed. */
  text: string;
  range: SourceRange;
  heredocs: Heredoc[];
  /** A blank line stands between the continued ones. */
  emptyContinuation: boolean;
  /** The last comment line right above, without `#`. */
  comment?: string;
}

export interface Lexed {
  esc: Escape;
  /** Directives by lower-case name: `syntax`, `escape`, `check`. */
  directives: Map<string, string>;
  lines: LogicalLine[];
}

const directiveNames = ["syntax", "escape", "check"];
const directivePattern = /^#\s*([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(.+?)\s*$/;
const comment = /^\s*#/;
/** Instructions whose line may open heredocs. */
const heredocInstruction = /^(?:ONBUILD\s+)?(?:RUN|COPY|ADD)\s/i;

/**
 * The front end that a file's first lines name (`# syntax=IMAGE`), in whatever language it is; undefined: none.
 * Rules of BuildKit's frontend/dockerfile/parser: comments by `#` or `//`, or a JSON document's field.
 */
export function syntaxOf(text: string): string | undefined {
  const lines = text.replace(/^\uFEFF/, "").split(/\r?\n/);
  if (lines[0]?.startsWith("#!")) lines.shift();
  for (const line of lines) {
    const [, name, value] = directivePattern.exec(line.trim().replace(/^\/\//, "#")) ?? [];
    if (name === undefined) break;
    if (name.toLowerCase() === "syntax") return value;
  }
  if (!/^\s*\{/.test(text)) return undefined;
  try {
    const { syntax } = JSON.parse(text) as { syntax?: unknown };
    return typeof syntax === "string" ? syntax : undefined;
  } catch {
    return undefined;
  }
}

/** @param firstLine the number of the first line. @throws DockerfileError */
export function lex(source: string, file: string, firstLine = 1): Lexed {
  const physical = source.replace(/^\uFEFF/, "").split(/\r?\n/);
  const { directives, esc } = readDirectives(physical, file);
  const continued = esc === "\\" ? /(?:^|[^\\])\\[ \t]*$/ : /(?:^|[^`])`[ \t]*$/;
  const lines: LogicalLine[] = [];
  let above: string | undefined;

  for (let i = 0; i < physical.length; ) {
    const first = physical[i]!;
    if (comment.test(first) || first.trim() === "") {
      above = first.trim() === "" ? undefined : first.trim().slice(1).trim();
      i++;
      continue;
    }
    const start = i;
    let text = "";
    let emptyContinuation = false;
    let open = true;
    while (open && i < physical.length) {
      const raw = physical[i]!;
      const at = i++;
      if (at > start && comment.test(raw)) continue;
      if (at > start && raw.trim() === "") {
        // An empty last line of the file ends the instruction without a word.
        if (i < physical.length) emptyContinuation = true;
        continue;
      }
      const line = at === start ? raw.trimStart() : raw;
      open = continued.test(line);
      text += open ? line.replace(/[\\`][ \t]*$/, "") : line;
    }
    const range: SourceRange = {
      file,
      line: firstLine + start,
      endLine: firstLine - 1 + i,
      source: first.trim(),
    };
    text = text.trim();
    if (text === "") continue;
    const heredocs: Heredoc[] = [];
    if (heredocInstruction.test(text)) {
      for (const opener of heredocOpeners(text, esc)) {
        const end = readHeredoc(physical, i, opener);
        if (end === undefined) throw parseError(range, `unterminated heredoc <<${opener.name}`);
        heredocs.push({ name: opener.name, expand: opener.expand, content: end.content });
        i = end.next;
      }
      range.endLine = firstLine - 1 + i;
    }
    lines.push({ text, range, heredocs, emptyContinuation, comment: above });
    above = undefined;
  }
  return { esc, directives, lines };
}

function readDirectives(physical: string[], file: string): { directives: Map<string, string>; esc: Escape } {
  const directives = new Map<string, string>();
  for (const [i, line] of physical.entries()) {
    const match = directivePattern.exec(line.trimStart());
    const name = match?.[1]?.toLowerCase();
    if (!match || !name || !directiveNames.includes(name)) break;
    const range = { file, line: i + 1, endLine: i + 1, source: line };
    if (directives.has(name)) throw parseError(range, `only one ${name} parser directive can be used`);
    directives.set(name, match[2]!);
    if (name === "escape" && match[2] !== "\\" && match[2] !== "`") {
      throw parseError(range, `invalid escape token '${match[2]}' does not match \` or \\`);
    }
  }
  return { directives, esc: directives.get("escape") === "`" ? "`" : "\\" };
}

export interface HeredocOpener {
  name: string;
  expand: boolean;
  /** `<<-`: leading tabs go. */
  chomp: boolean;
}

const opening = /^\d*<<(-?)("[^"]+"|'[^']+'|[^\s<>|&;()'"]+)(?=$|[<>|&;()])/;

/** The heredocs that a line opens: unquoted words that begin with `<<`, or `N<<`. */
export function heredocOpeners(text: string, esc: Escape): HeredocOpener[] {
  const openers: HeredocOpener[] = [];
  let quote = "";
  let wordStart = true;
  for (let i = 0; i < text.length; i++) {
    const char = text[i]!;
    if (quote) {
      if (char === esc && quote === '"') i++;
      else if (char === quote) quote = "";
      continue;
    }
    if (wordStart) {
      const match = opening.exec(text.slice(i).split(/\s/, 1)[0]!);
      if (match) {
        const name = match[2]!.replace(/^["']|["']$/g, "");
        openers.push({ name, expand: name === match[2], chomp: match[1] === "-" });
        i += match[0].length - 1;
        wordStart = false;
        continue;
      }
    }
    if (char === esc) i++;
    else if (char === '"' || char === "'") quote = char;
    wordStart = /\s/.test(char);
  }
  return openers;
}

function readHeredoc(
  physical: string[],
  from: number,
  opener: HeredocOpener,
): { content: string; next: number } | undefined {
  let content = "";
  for (let i = from; i < physical.length; i++) {
    const line = opener.chomp ? physical[i]!.replace(/^\t+/, "") : physical[i]!;
    if (line === opener.name) return { content, next: i + 1 };
    content += `${line}\n`;
  }
  return undefined;
}
