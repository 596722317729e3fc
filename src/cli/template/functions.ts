/** The functions of Go templates and the ones that Docker adds. */
import { printf, show, sprint } from "./print.ts";
import { entriesOf, GoMap, type Method, plain, toJson, truth, typeName, type Value } from "./values.ts";

/** What a function says of its arguments; `argument` is the number of the one whose type is wrong. */
export class CallError extends Error {
  constructor(
    message: string,
    readonly argument?: number,
  ) {
    super(message);
  }
}

function text(value: Value, argument: number): string {
  const bare = plain(value);
  if (typeof bare === "string") return bare;
  throw new CallError(`wrong type for value; expected string; got ${typeName(value)}`, argument);
}

function number(value: Value, argument: number): number {
  const bare = plain(value);
  if (typeof bare === "number") return bare;
  throw new CallError(`wrong type for value; expected int; got ${typeName(value)}`, argument);
}

function list(value: Value, argument: number): Value[] {
  if (value === null || value === undefined) return [];
  if (Array.isArray(value)) return value;
  throw new CallError(`wrong type for value; expected []string; got ${typeName(value)}`, argument);
}

function compare(left: Value, right: Value): number {
  const [a, b] = [plain(left), plain(right)];
  if (typeof a === "number" && typeof b === "number") return a - b;
  if (typeof a === "string" && typeof b === "string") return a < b ? -1 : a > b ? 1 : 0;
  if (typeof a === typeof b) throw new CallError("invalid type for comparison");
  throw new CallError("incompatible types for comparison");
}

function equal(left: Value, right: Value): boolean {
  const [a, b] = [plain(left) ?? null, plain(right) ?? null];
  if (a !== null && b !== null) {
    if (typeof a !== typeof b) throw new CallError("incompatible types for comparison");
    if (typeof a === "object") throw new CallError(`non-comparable type ${show(a)}: ${typeName(a)}`);
  }
  return a === b;
}

function index(value: Value, ...keys: Value[]): Value {
  let at = value;
  for (const key of keys) {
    if (at === null || at === undefined) throw new CallError("index of untyped nil");
    const entries = entriesOf(at);
    if (Array.isArray(at) || typeof at === "string") {
      const place = plain(key);
      if (typeof place !== "number")
        throw new CallError(`cannot index slice/array with type ${typeName(key)}`);
      if (place === at.length) throw new CallError("reflect: slice index out of range");
      if (place < 0 || place > at.length) throw new CallError(`index out of range: ${place}`);
      at = typeof at === "string" ? at.charCodeAt(place) : at[place];
    } else if (entries) {
      const name = plain(key);
      if (typeof name !== "string") throw new CallError(`value has type ${typeName(key)}; should be string`);
      at = Object.hasOwn(entries, name) ? entries[name] : at instanceof GoMap ? at.zero() : undefined;
    } else throw new CallError(`can't index item of type ${typeName(at)}`);
  }
  return at;
}

function length(value: Value): number {
  const bare = plain(value);
  if (typeof bare === "string") return Buffer.byteLength(bare);
  if (Array.isArray(bare)) return bare.length;
  const entries = entriesOf(bare);
  if (entries) return Object.keys(entries).length;
  throw new CallError(
    bare === null || bare === undefined ? "len of nil pointer" : `len of type ${typeName(value)}`,
  );
}

function slice(value: Value, ...bounds: Value[]): Value {
  const bare = plain(value);
  if (typeof bare !== "string" && !Array.isArray(bare))
    throw new CallError(`can't slice item of type ${typeName(value)}`);
  const [from = 0, to = bare.length] = bounds.map((bound) => number(bound, -1));
  for (const bound of [from, to])
    if (bound < 0 || bound > bare.length) throw new CallError(`index out of range: ${bound}`);
  if (from > to) throw new CallError(`invalid slice index: ${from} > ${to}`);
  return bare.slice(from, to);
}

const html: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&#34;", "'": "&#39;" };
const script = (char: string) =>
  "\\'\"".includes(char)
    ? `\\${char}`
    : `\\u${char.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}`;

/** Go's strings.Title: each letter behind what is none. */
const title = (value: string) =>
  value.replace(
    /(^|[^\p{L}\p{N}_])(\p{L})/gu,
    (_, before: string, letter: string) => before + letter.toUpperCase(),
  );

export type Functions = Record<string, Method>;

/** `and`, `or` and `call` are the evaluator's own: they look at what they don't call. */
export const functions: Functions = {
  not: (value) => !truth(value),
  len: length,
  index,
  slice,
  print: (...args) => sprint(args),
  println: (...args) => `${args.map(show).join(" ")}\n`,
  printf: (format, ...args) => printf(text(format, 0), args),
  eq: (first, ...others) => others.some((other) => equal(first, other)),
  ne: (a, b) => !equal(a, b),
  lt: (a, b) => compare(a, b) < 0,
  le: (a, b) => compare(a, b) <= 0,
  gt: (a, b) => compare(a, b) > 0,
  ge: (a, b) => compare(a, b) >= 0,
  urlquery: (...args) =>
    encodeURIComponent(sprint(args))
      .replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`)
      .replaceAll("%20", "+"),
  html: (...args) => sprint(args).replace(/[&<>"']/g, (char) => html[char]!),
  js: (...args) => sprint(args).replace(/[\\'"<>&=\x00-\x1f]/g, script),
  json: toJson,
  split: (value, separator) => text(value, 0).split(text(separator, 1)),
  join: (values, separator) => list(values, 0).map(show).join(text(separator, 1)),
  title: (value) => title(text(value, 0)),
  lower: (value) => text(value, 0).toLowerCase(),
  upper: (value) => text(value, 0).toUpperCase(),
  pad: (value, before, after) => {
    const padded = text(value, 0);
    if (padded === "") return "";
    return " ".repeat(number(before, 1)) + padded + " ".repeat(number(after, 2));
  },
  truncate: (value, count) => text(value, 0).slice(0, number(count, 1)),
};

const same = (value: Value) => value;
/** For the head of a table: what shapes a value leaves its title alone. */
export const headerFunctions: Functions = {
  ...functions,
  ...{ json: same, split: same, join: same, title: same, lower: same, upper: same, truncate: same },
};
