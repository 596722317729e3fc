/** Expressions: the HCL specification's grammar, by recursive descent. */
import { Cursor } from "./cursor.ts";
import { readQuoted, readWhole } from "./template.ts";
import { type BinaryOperator, type Expression, HclError, type Place } from "./types.ts";

/** By strength, the weakest first. */
const levels: BinaryOperator[][] = [
  ["||"],
  ["&&"],
  ["==", "!="],
  ["<=", ">=", "<", ">"],
  ["+", "-"],
  ["*", "/", "%"],
];
const number = /\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const heredoc = /<<(-?)([\p{L}_][\p{L}\p{N}_-]*)[ \t\r]*\n/uy;

/** Deeper than anyone writes, and less than the stack holds. */
const deepest = 200;
let depth = 0;

/** @throws HclError */
export function readExpression(cursor: Cursor): Expression {
  if (depth >= deepest) cursor.fail("this expression is nested too deeply");
  depth++;
  try {
    return readConditional(cursor);
  } finally {
    depth--;
  }
}

/** A text that is a template as a whole, as in JSON. @throws HclError */
export function readTemplateText(text: string, place: Place): Expression {
  return readWhole(new Cursor(text, place.file, 0, place), readExpression);
}

function readConditional(cursor: Cursor): Expression {
  const test = readBinary(cursor, 0);
  if (!cursor.take("?")) return test;
  const yes = readExpression(cursor);
  cursor.expect(":", "between the two results of a condition");
  return { kind: "conditional", test, yes, no: readExpression(cursor), at: test.at };
}

function readBinary(cursor: Cursor, level: number): Expression {
  const operators = levels[level];
  if (!operators) return readUnary(cursor);
  let left = readBinary(cursor, level + 1);
  for (;;) {
    const operator = operators.find((text) => cursor.take(text));
    if (!operator) return left;
    left = { kind: "binary", operator, left, right: readBinary(cursor, level + 1), at: left.at };
  }
}

function readUnary(cursor: Cursor): Expression {
  cursor.skip();
  const at = cursor.place;
  for (const operator of ["-", "!"] as const) {
    if (!cursor.take(operator)) continue;
    if (depth >= deepest) cursor.fail("this expression is nested too deeply");
    depth++;
    try {
      return { kind: "unary", operator, operand: readUnary(cursor), at };
    } finally {
      depth--;
    }
  }
  return readSteps(cursor, readTerm(cursor));
}

/** What follows a term: `.name`, `[key]`, `.0`, `.*` and `[*]`. */
function readSteps(cursor: Cursor, term: Expression): Expression {
  let of = term;
  for (;;) {
    const at = cursor.place;
    if (cursor.startsWith("...")) return of;
    if (cursor.take(".")) {
      if (cursor.take("*")) {
        // The old form: what follows by dots is of each element, an index is of the whole.
        let each: Expression = { kind: "name", name: "", at };
        while (cursor.startsWith(".") && !cursor.startsWith("...")) {
          cursor.offset++;
          each = readDotted(cursor, each, at);
        }
        of = { kind: "splat", of, each, at };
      } else of = readDotted(cursor, of, at);
    } else if (cursor.startsWith("[*]")) {
      cursor.offset += 3;
      of = { kind: "splat", of, each: readSteps(cursor, { kind: "name", name: "", at }), at };
      return of;
    } else if (cursor.startsWith("[")) {
      cursor.offset++;
      const key = cursor.inBrackets(() => {
        const read = readExpression(cursor);
        cursor.expect("]", "after an index");
        return read;
      });
      of = { kind: "index", of, key, at };
    } else return of;
  }
}

function readDotted(cursor: Cursor, of: Expression, at: Place): Expression {
  const index = cursor.match(/\d+/y);
  if (index) return { kind: "index", of, key: { kind: "literal", value: Number(index[0]), at }, at };
  const name = cursor.identifier() ?? cursor.fail(`expected a name after ".", found ${cursor.found()}`);
  return { kind: "attribute", of, name, at };
}

const constants = new Map([
  ["true", true],
  ["false", false],
  ["null", null],
]);

function readTerm(cursor: Cursor): Expression {
  cursor.skip();
  const at = cursor.place;
  const digits = cursor.match(number);
  if (digits) return { kind: "literal", value: Number(digits[0]), at };
  if (cursor.take('"')) return { ...readQuoted(cursor, readExpression), at };
  if (cursor.take("(")) {
    return cursor.inBrackets(() => {
      const inner = readExpression(cursor);
      cursor.expect(")", "after an expression");
      return inner;
    });
  }
  if (cursor.startsWith("[")) return readTuple(cursor, at);
  if (cursor.startsWith("{")) return readObject(cursor, at);
  const opener = cursor.match(heredoc);
  if (opener) return readHeredoc(cursor, opener[2]!, opener[1] === "-", at);
  const name = cursor.identifier() ?? cursor.fail(`expected an expression, found ${cursor.found()}`);
  if (cursor.startsWith("(")) return readCall(cursor, name, at);
  if (cursor.startsWith("::")) cursor.fail("functions have no namespaces here");
  const constant = constants.get(name);
  return constant === undefined ? { kind: "name", name, at } : { kind: "literal", value: constant, at };
}

function readCall(cursor: Cursor, name: string, at: Place): Expression {
  cursor.offset++;
  return cursor.inBrackets(() => {
    const args: Expression[] = [];
    let spread = false;
    while (!cursor.take(")")) {
      if (spread) cursor.fail('expected ")" after "..."');
      args.push(readExpression(cursor));
      spread = cursor.take("...");
      if (!cursor.take(",") && !cursor.startsWith(")"))
        cursor.fail(`expected "," or ")" in the arguments of ${name}, found ${cursor.found()}`);
    }
    return { kind: "call", name, arguments: args, spread, at };
  });
}

function readTuple(cursor: Cursor, at: Place): Expression {
  cursor.offset++;
  return cursor.inBrackets(() => {
    if (cursor.word("for")) return readFor(cursor, at, "]");
    const items: Expression[] = [];
    while (!cursor.take("]")) {
      items.push(readExpression(cursor));
      if (!cursor.take(",") && !cursor.startsWith("]"))
        cursor.fail(`expected "," or "]" in a list, found ${cursor.found()}`);
    }
    return { kind: "tuple", items, at };
  });
}

function readObject(cursor: Cursor, at: Place): Expression {
  cursor.offset++;
  const loop = cursor.inBrackets(() => (cursor.word("for") ? readFor(cursor, at, "}") : undefined));
  if (loop) return loop;
  const entries: [Expression, Expression][] = [];
  for (;;) {
    cursor.skipLines();
    if (cursor.take("}")) return { kind: "object", entries, at };
    const key = cursor.inLine(() => readKey(cursor));
    if (!cursor.take("=") && !cursor.take(":"))
      cursor.fail(`expected "=" or ":" after a key, found ${cursor.found()}`);
    cursor.skipLines();
    // An entry ends with its line, as an attribute does.
    entries.push([key, cursor.inLine(() => readExpression(cursor))]);
    const ended = cursor.inLine(() => cursor.take(",") || cursor.endOfLine());
    if (!ended && !cursor.startsWith("}"))
      cursor.fail(`expected "," or a new line in a map, found ${cursor.found()}`);
  }
}

/** A plain name is the key itself; brackets around it make it a variable. */
function readKey(cursor: Cursor): Expression {
  const start = cursor.offset;
  const at = cursor.place;
  const name = cursor.identifier();
  cursor.skip();
  if (name !== undefined && (cursor.startsWith("=") || cursor.startsWith(":")) && !cursor.startsWith("=="))
    return { kind: "literal", value: name, at };
  cursor.offset = start;
  return readExpression(cursor);
}

function readFor(cursor: Cursor, at: Place, end: "]" | "}"): Expression {
  const name = () =>
    cursor.identifier() ?? cursor.fail(`expected a name after "for", found ${cursor.found()}`);
  let value = name();
  let key: string | undefined;
  if (cursor.take(",")) {
    key = value;
    value = name();
  }
  if (!cursor.word("in")) cursor.fail(`expected "in", found ${cursor.found()}`);
  const over = readExpression(cursor);
  cursor.expect(":", "after the collection of a for expression");
  let result = readExpression(cursor);
  let keyResult: Expression | undefined;
  if (end === "}") {
    cursor.expect("=>", "between key and value of a for expression");
    keyResult = result;
    result = readExpression(cursor);
  }
  const grouped = cursor.take("...");
  const condition = cursor.word("if") ? readExpression(cursor) : undefined;
  cursor.expect(end, "after a for expression");
  return { kind: "for", key, value, over, keyResult, result, grouped, condition, at };
}

function readHeredoc(cursor: Cursor, name: string, indented: boolean, start: Place): Expression {
  const at = cursor.place;
  const lines: string[] = [];
  for (;;) {
    if (cursor.atEnd) throw new HclError(start, `this heredoc has no end: ${name}`);
    const line = cursor.match(/[^\n]*/y)![0];
    if (line.trim() === name) break;
    lines.push(`${line.replace(/\r$/, "")}\n`);
    cursor.offset++;
  }
  const indent = indented ? Math.min(...lines.filter((line) => line.trim() !== "").map(leading)) : 0;
  const text = lines.map((line) => line.slice(Math.min(indent, leading(line)))).join("");
  return readTemplateText(text, at);
}

const leading = (line: string) => /^[ \t]*/.exec(line)![0].length;
