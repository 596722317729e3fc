/** Go's text/template cut into text and the tokens of its actions. */

export class TemplateError extends Error {}

export type Token =
  | { type: "word"; text: string }
  /** `.`, `.A`: one field, with its dot. */
  | { type: "field"; name: string; spaced: boolean }
  | { type: "variable"; name: string }
  | { type: "string"; value: string }
  | { type: "number"; value: number }
  | { type: "mark"; text: "(" | ")" | "|" | ":=" | "=" | "," };

export type Piece = { type: "text"; text: string } | { type: "action"; tokens: Token[] };

/** @throws TemplateError */
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
    const body = (trimNext ? inner.slice(0, -1) : inner).trim();
    if (!(body.startsWith("/*") && body.endsWith("*/"))) {
      pieces.push({ type: "action", tokens: tokens(body) });
    }
    at = close + 2;
  }
  return pieces;
}

/** Where the action's `}}` begins, looking past quoted strings and comments. */
function closing(source: string, start: number): number {
  if (source.slice(start).trimStart().startsWith("/*")) {
    const end = source.indexOf("*/", start);
    const close = end < 0 ? -1 : source.indexOf("}}", end);
    if (close < 0) throw new TemplateError("unclosed comment");
    return close;
  }
  for (let i = start; i < source.length; i++) {
    const char = source[i]!;
    if (char === '"' || char === "`" || char === "'") {
      const end = quoteEnd(source, i);
      if (end < 0) throw new TemplateError("unterminated quoted string");
      i = end;
    } else if (source.startsWith("}}", i)) return i;
  }
  throw new TemplateError("unclosed action");
}

function quoteEnd(source: string, start: number): number {
  const quote = source[start]!;
  for (let i = start + 1; i < source.length; i++) {
    if (source[i] === "\\" && quote !== "`") i++;
    else if (source[i] === quote) return i;
  }
  return -1;
}

const pattern =
  /\s*(?:(?<mark>:=|[()|,=])|\.(?<field>[\p{L}_][\p{L}\p{N}_]*)?|\$(?<variable>[\p{L}\p{N}_]*)|(?<number>[-+]?\d+(?:\.\d+)?)|(?<word>[\p{L}_][\p{L}\p{N}_]*)|(?<quote>["`']))/uy;

function tokens(body: string): Token[] {
  // Nearly every action is a field; the full pattern's character classes take a millisecond to compile.
  const field = /^\s*\.([A-Za-z_]\w*)\s*$/.exec(body)?.[1];
  if (field !== undefined) return [{ type: "field", name: field, spaced: true }];
  const found: Token[] = [];
  let at = 0;
  while (at < body.length) {
    pattern.lastIndex = at;
    const match = pattern.exec(body);
    if (!match) {
      if (body.slice(at).trim() === "") break;
      throw new TemplateError(`unexpected ${JSON.stringify(body.slice(at).trim()[0])} in operand`);
    }
    const { mark, field, variable, number, word, quote } = match.groups!;
    const spaced = /^\s/.test(match[0]) || at === 0;
    at = pattern.lastIndex;
    if (mark) found.push({ type: "mark", text: mark as "(" });
    else if (number) found.push({ type: "number", value: Number(number) });
    else if (word) found.push({ type: "word", text: word });
    else if (variable !== undefined) found.push({ type: "variable", name: variable });
    else if (quote) {
      const end = quoteEnd(body, at - 1);
      found.push(quoted(body.slice(at - 1, end + 1)));
      at = end + 1;
    } else found.push({ type: "field", name: field ?? "", spaced });
  }
  return found;
}

function quoted(source: string): Token {
  const inner = source.slice(1, -1);
  if (source.startsWith("`")) return { type: "string", value: inner };
  if (source.startsWith("'")) return { type: "number", value: unescaped(inner).codePointAt(0) ?? 0 };
  return { type: "string", value: unescaped(inner) };
}

const escapes: Record<string, string> = { n: "\n", t: "\t", r: "\r", a: "\x07", b: "\b", f: "\f", v: "\v" };

function unescaped(text: string): string {
  return text.replace(/\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|(.))/gs, (_, hex, unicode, char) => {
    const code = hex ?? unicode;
    return code === undefined ? (escapes[char] ?? char) : String.fromCharCode(Number.parseInt(code, 16));
  });
}
