/** The functions of Go templates and the ones that Docker adds. */
import type { Value } from "./evaluate.ts";
import { TemplateError } from "./lex.ts";
import { printf, show, toJson, typeName } from "./print.ts";

/** Go's truth: empty strings, lists and maps, 0, false and nil are false. */
export function truth(value: Value): boolean {
  if (Array.isArray(value)) return value.length > 0;
  if (value !== null && typeof value === "object") return Object.keys(value).length > 0;
  return Boolean(value);
}

const text = (value: Value): string => {
  if (typeof value !== "string")
    throw new TemplateError(`wrong type for value; expected string; got ${typeName(value)}`);
  return value;
};

const list = (value: Value): Value[] => {
  if (value === null || value === undefined) return [];
  if (!Array.isArray(value))
    throw new TemplateError(`wrong type for value; expected []string; got ${typeName(value)}`);
  return value;
};

function compare(a: Value, b: Value): number {
  if (typeof a === "number" && typeof b === "number") return a - b;
  if (typeof a === "string" && typeof b === "string") return a < b ? -1 : a > b ? 1 : 0;
  throw new TemplateError("incompatible types for comparison");
}

function equal(a: Value, b: Value): boolean {
  if (a !== null && b !== null && a !== undefined && b !== undefined && typeof a !== typeof b) {
    throw new TemplateError("incompatible types for comparison");
  }
  return (a ?? null) === (b ?? null);
}

function index(value: Value, ...keys: Value[]): Value {
  let at = value;
  for (const key of keys) {
    if (at === null || at === undefined) return "";
    if (Array.isArray(at)) {
      if (typeof key !== "number" || key < 0 || key >= at.length) {
        throw new TemplateError(`error calling index: index out of range: ${show(key)}`);
      }
      at = at[key];
    } else if (typeof at === "object") at = at[show(key)] ?? "";
    else if (typeof at === "string" && typeof key === "number") at = at.charCodeAt(key);
    else throw new TemplateError(`error calling index: can't index item of type ${typeName(at)}`);
  }
  return at;
}

function length(value: Value): number {
  if (typeof value === "string") return Buffer.byteLength(value);
  if (Array.isArray(value)) return value.length;
  if (value !== null && typeof value === "object") return Object.keys(value).length;
  if (value === null || value === undefined) return 0;
  throw new TemplateError(`error calling len: len of type ${typeName(value)}`);
}

function slice(value: Value, from: Value = 0, to?: Value): Value {
  if (typeof value !== "string" && !Array.isArray(value)) {
    throw new TemplateError(`error calling slice: can't slice item of type ${typeName(value)}`);
  }
  const end = to ?? value.length;
  if (typeof from !== "number" || typeof end !== "number" || from < 0 || end > value.length || from > end) {
    throw new TemplateError("error calling slice: index out of range");
  }
  return value.slice(from, end);
}

export type Functions = Record<string, (...args: Value[]) => Value>;

/** `and` and `or` are the evaluator's own, since they stop early. */
export const functions: Functions = {
  not: (value) => !truth(value),
  len: length,
  index,
  slice,
  print: (...args) => args.map(show).join(""),
  println: (...args) => `${args.map(show).join(" ")}\n`,
  printf: (format, ...args) => printf(text(format), args),
  eq: (first, ...others) => others.some((other) => equal(first, other)),
  ne: (a, b) => !equal(a, b),
  lt: (a, b) => compare(a, b) < 0,
  le: (a, b) => compare(a, b) <= 0,
  gt: (a, b) => compare(a, b) > 0,
  ge: (a, b) => compare(a, b) >= 0,
  urlquery: (...args) => encodeURIComponent(args.map(show).join("")).replaceAll("%20", "+"),
  html: (...args) => Bun.escapeHTML(args.map(show).join("")),
  json: toJson,
  split: (value, separator) => text(value).split(text(separator)),
  join: (values, separator) => list(values).map(show).join(text(separator)),
  title: (value) => text(value).replace(/(^|\s)(\S)/g, (_, before, letter) => before + letter.toUpperCase()),
  lower: (value) => text(value).toLowerCase(),
  upper: (value) => text(value).toUpperCase(),
  pad: (value, before, after) =>
    value === "" ? "" : " ".repeat(Number(before)) + text(value) + " ".repeat(Number(after)),
  truncate: (value, count) => text(value).slice(0, Number(count)),
};

const same = (value: Value) => value;
/** For the head of a table: what shapes a value leaves its title alone. */
export const headerFunctions: Functions = {
  ...functions,
  ...{ json: same, split: same, join: same, title: same, lower: same, upper: same, truncate: same },
};
