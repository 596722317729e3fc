/** Quoted strings and heredocs: text with `${ }` and `%{ }` in it. */
import type { Cursor } from "./cursor.ts";
import { type Expression, HclError, type Place } from "./types.ts";

/** Reads an expression at the cursor; given, because expressions have templates in them. */
export type ReadExpression = (cursor: Cursor) => Expression;

/** How a template ends: by a quote, or with the text. */
type Style = "quoted" | "plain";

type Part = Expression | { kind: "text"; text: string; at: Place } | Directive;
interface Directive {
  kind: "directive";
  word: string;
  at: Place;
  condition?: Expression;
  key?: string;
  value?: string;
  over?: Expression;
}

const escapes: Record<string, string> = {
  n: "\n",
  r: "\r",
  t: "\t",
  b: "\b",
  f: "\f",
  "/": "/",
  '"': '"',
  "\\": "\\",
};
const unicode = /\\(?:u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8}))/y;

/** A quoted template; the cursor stands behind the opening quote, and then behind the closing one. */
export function readQuoted(cursor: Cursor, read: ReadExpression): Expression {
  return readTemplate(cursor, read, "quoted");
}

/** A text that is a template as a whole. */
export function readWhole(cursor: Cursor, read: ReadExpression): Expression {
  return readTemplate(cursor, read, "plain");
}

function readTemplate(cursor: Cursor, read: ReadExpression, style: Style): Expression {
  const at = cursor.place;
  const parts = readParts(cursor, read, style);
  const rest = [...parts];
  const template = assemble(rest, at, []);
  if (rest.length > 0) cursor.fail(`unexpected %{ ${(rest[0] as Directive).word} }`);
  return template;
}

function readParts(cursor: Cursor, read: ReadExpression, style: Style): Part[] {
  const parts: Part[] = [];
  const begin = cursor.offset;
  let text = "";
  let at = cursor.place;
  const flush = () => {
    if (text !== "") parts.push({ kind: "text", text, at });
    text = "";
  };
  for (;;) {
    if (cursor.atEnd) {
      if (style === "quoted") cursor.fail("this string has no closing quote", begin - 1);
      break;
    }
    const char = cursor.text[cursor.offset]!;
    if (style === "quoted" && char === '"') {
      cursor.offset++;
      break;
    }
    if (style === "quoted" && char === "\n") cursor.fail("a quoted string can't go over lines", begin - 1);
    if (cursor.startsWith("$${") || cursor.startsWith("%%{")) {
      text += `${char}{`;
      cursor.offset += 3;
      continue;
    }
    if (cursor.startsWith("${") || cursor.startsWith("%{")) {
      cursor.offset += 2;
      if (cursor.startsWith("~")) {
        cursor.offset++;
        text = text.replace(/\s+$/, "");
      }
      flush();
      parts.push(cursor.inBrackets(() => (char === "$" ? readInterpolation : readDirective)(cursor, read)));
      if (cursor.startsWith("~")) cursor.match(/~\}\s*/y);
      else cursor.offset++;
      at = cursor.place;
      continue;
    }
    if (style === "quoted" && char === "\\") {
      text += readEscape(cursor);
      continue;
    }
    text += char;
    cursor.offset++;
  }
  flush();
  return parts;
}

function readEscape(cursor: Cursor): string {
  const code = cursor.match(unicode);
  if (code) return String.fromCodePoint(Number.parseInt((code[1] ?? code[2])!, 16));
  const char = cursor.text[cursor.offset + 1] ?? "";
  const escaped = Object.hasOwn(escapes, char) ? escapes[char] : undefined;
  if (escaped === undefined) cursor.fail(`\\${char} is not an escape sequence`);
  cursor.offset += 2;
  return escaped;
}

function readInterpolation(cursor: Cursor, read: ReadExpression): Expression {
  const expression = read(cursor);
  closing(cursor, "interpolation");
  return expression;
}

function closing(cursor: Cursor, what: string): void {
  cursor.skip();
  if (!cursor.startsWith("}") && !cursor.startsWith("~}"))
    cursor.fail(`expected "}" after the ${what}, found ${cursor.found()}`);
}

function readDirective(cursor: Cursor, read: ReadExpression): Directive {
  const at = cursor.place;
  const word = cursor.identifier() ?? "";
  const directive: Directive = { kind: "directive", word, at };
  if (word === "if") directive.condition = read(cursor);
  else if (word === "for") {
    directive.value = cursor.identifier();
    if (cursor.take(",")) {
      directive.key = directive.value;
      directive.value = cursor.identifier();
    }
    if (directive.value === undefined || !cursor.word("in"))
      cursor.fail("expected %{ for NAME in EXPRESSION }");
    directive.over = read(cursor);
  } else if (!["else", "endif", "endfor"].includes(word))
    cursor.fail(`${JSON.stringify(word)} is not a template directive`);
  closing(cursor, "directive");
  return directive;
}

/** Takes parts off the front until one of `ends` is there; directives become expressions. */
function assemble(parts: Part[], at: Place, ends: string[]): Expression {
  const taken: Expression[] = [];
  while (parts.length > 0) {
    const part = parts[0]!;
    if (part.kind === "directive" && !["if", "for"].includes(part.word)) break;
    parts.shift();
    if (part.kind === "text") taken.push({ kind: "literal", value: part.text, at: part.at });
    else if (part.kind === "directive") taken.push(textOf(openDirective(part, parts)));
    else taken.push(part);
  }
  if (ends.length === 0 && taken.length === 0) return { kind: "literal", value: "", at };
  if (taken.length === 1 && taken[0]!.kind === "literal") return taken[0]!;
  return { kind: "template", parts: taken, at };
}

/** What a directive makes is text, also when it stands alone. */
const textOf = (expression: Expression): Expression => ({
  kind: "template",
  parts: [{ kind: "literal", value: "", at: expression.at }, expression],
  at: expression.at,
});

function openDirective({ word, at, condition, key, value, over }: Directive, parts: Part[]): Expression {
  const close = (wanted: string[]): string => {
    const part = parts.shift();
    if (part?.kind !== "directive" || !wanted.includes(part.word))
      throw new HclError(at, `this %{ ${word} } has no end`);
    return part.word;
  };
  if (word === "for") {
    const body = textOf(assemble(parts, at, ["endfor"]));
    close(["endfor"]);
    const loop: Expression = {
      kind: "for",
      key,
      value: value!,
      over: over!,
      result: body,
      grouped: false,
      at,
    };
    return { kind: "repeat", loop, at };
  }
  const yes = textOf(assemble(parts, at, ["else", "endif"]));
  const hasElse = close(["else", "endif"]) === "else";
  const no = hasElse ? textOf(assemble(parts, at, ["endif"])) : { kind: "literal" as const, value: "", at };
  if (hasElse) close(["endif"]);
  return { kind: "conditional", test: condition!, yes, no, at };
}
