/** Go's text/template cut into text and the tokens of its actions. */

/** What is wrong with a template, in the words of Go's text/template: `template: :1:2: executing "" at <.X>: ...`. */
export class TemplateError extends Error {}

/** The template is malformed, whatever it is run over. */
export class ParseError extends TemplateError {}

export type Token = (
  | { type: "word"; text: string }
  /** `.`, `.A`: one field, with its dot. */
  | { type: "field"; name: string; spaced: boolean }
  | { type: "variable"; name: string }
  /** `source` is how it was written. */
  | { type: "string"; value: string; source: string }
  | { type: "number"; value: number; source: string }
  | { type: "mark"; text: "(" | ")" | "|" | ":=" | "=" | "," }
) & {
  /** Where in the template it begins. */
  at: number;
};

export type Piece = { type: "text"; text: string } | { type: "action"; tokens: Token[]; at: number };

/** @throws ParseError */
export function lex(source: string): Piece[] {
  const pieces: Piece[] = [];
  let at = 0;
  let trimNext = false;
  while (at <= source.length) {
    const open = source.indexOf("{{", at);
    let text = source.slice(at, open < 0 ? source.length : open);
    if (trimNext) text = text.trimStart();
    if (open < 0) {
      if (text !== "") pieces.push({ type: "text", text });
      break;
    }
    const trimsBefore = /^\{\{-\s/.test(source.slice(open, open + 4));
    if (trimsBefore) text = text.trimEnd();
    if (text !== "") pieces.push({ type: "text", text });
    const start = open + (trimsBefore ? 3 : 2);
    const close = closing(source, start);
    const inner = source.slice(start, close);
    trimNext = /\s-$/.test(inner);
    const body = trimNext ? inner.slice(0, -1) : inner;
    const isComment = body.trimStart().startsWith("/*") && body.trimEnd().endsWith("*/");
    if (!isComment) pieces.push({ type: "action", tokens: tokens(body, start), at: start });
    at = close + 2;
  }
  return pieces;
}

/** Where the action's `}}` begins, looking past quoted strings and comments. */
function closing(source: string, start: number): number {
  if (source.slice(start).trimStart().startsWith("/*")) {
    const end = source.indexOf("*/", start);
    const close = end < 0 ? -1 : source.indexOf("}}", end);
    if (close < 0) throw new ParseError("unclosed comment");
    return close;
  }
  for (let i = start; i < source.length; i++) {
    const char = source[i]!;
    if (char === '"' || char === "`" || char === "'") {
      const end = quoteEnd(source, i);
      if (end < 0) throw new ParseError(`unterminated ${quoteNames[char]}`);
      i = end;
    } else if (source.startsWith("}}", i)) return i;
  }
  throw new ParseError("unclosed action");
}

const quoteNames = {
  '"': "quoted string",
  "`": "raw quoted string",
  "'": "character constant",
};

/** The place of the closing quote, or -1: only a raw string goes over the end of its line. */
function quoteEnd(source: string, start: number): number {
  const quote = source[start]!;
  for (let i = start + 1; i < source.length; i++) {
    if (source[i] === "\\" && quote !== "`") i++;
    else if (source[i] === quote) return i;
    else if (source[i] === "\n" && quote !== "`") return -1;
  }
  return -1;
}

const pattern =
  /\s*(?:(?<mark>:=|[()|,=])|\.(?<field>[\p{L}_][\p{L}\p{N}_]*)?(?!\d)|\$(?<variable>[\p{L}\p{N}_]*)|(?<number>[-+]?(?:0[xX][\da-fA-F_]+|0[bB][01_]+|0[oO][0-7_]+|(?:\d[\d_]*(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?))|(?<word>[\p{L}_][\p{L}\p{N}_]*)|(?<quote>["`']))/uy;

function tokens(body: string, start: number): Token[] {
  // Nearly every action is a field; the full pattern's character classes take a millisecond to compile.
  const only = /^\s*\.([A-Za-z_]\w*)\s*$/.exec(body)?.[1];
  if (only !== undefined) return [{ type: "field", name: only, spaced: true, at: start + body.indexOf(".") }];
  const found: Token[] = [];
  let next = 0;
  while (next < body.length) {
    pattern.lastIndex = next;
    const match = pattern.exec(body);
    if (!match) {
      const rest = body.slice(next).trimStart();
      if (rest === "") break;
      throw new ParseError(`unexpected ${JSON.stringify([...rest][0])} in operand`);
    }
    const { mark, field, variable, number, word, quote } = match.groups!;
    const spaced = /^\s/.test(match[0]) || next === 0;
    const at = start + next + match[0].length - match[0].trimStart().length;
    next = pattern.lastIndex;
    if (mark) found.push({ type: "mark", text: mark as "(", at });
    else if (number) found.push({ type: "number", value: numberOf(number), source: number, at });
    else if (word) found.push({ type: "word", text: word, at });
    else if (variable !== undefined) found.push({ type: "variable", name: variable, at });
    else if (quote) {
      const end = quoteEnd(body, next - 1);
      found.push({ ...quoted(body.slice(next - 1, end + 1)), at });
      next = end + 1;
    } else found.push({ type: "field", name: field ?? "", spaced, at });
  }
  return found;
}

/** Go's literal: with underscores, a sign also before a base. */
function numberOf(source: string): number {
  const digits = source.replaceAll("_", "");
  const value = Number(digits.replace(/^[-+]/, "").replace(/^0(?=\d+$)/, "0o"));
  if (Number.isNaN(value)) throw new ParseError(`bad number syntax: ${JSON.stringify(source)}`);
  return digits.startsWith("-") ? -value : value;
}

type Literal =
  | { type: "string"; value: string; source: string }
  | { type: "number"; value: number; source: string };

function quoted(source: string): Literal {
  const inner = source.slice(1, -1);
  if (source.startsWith("`")) return { type: "string", value: inner, source };
  if (source.startsWith("'")) return { type: "number", value: unescaped(inner).codePointAt(0) ?? 0, source };
  return { type: "string", value: unescaped(inner), source };
}

const escapes: Record<string, string> = { n: "\n", t: "\t", r: "\r", a: "\x07", b: "\b", f: "\f", v: "\v" };

function unescaped(text: string): string {
  return text.replace(/\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|(.))/gs, (_, hex, unicode, char) => {
    const code = hex ?? unicode;
    return code === undefined ? (escapes[char] ?? char) : String.fromCharCode(Number.parseInt(code, 16));
  });
}
