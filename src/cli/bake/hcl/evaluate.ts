/** From an expression to its value. */
import { type BinaryOperator, type Expression, HclError, type Value } from "./types.ts";
import * as values from "./value.ts";

/** What names mean. */
export interface Scope {
  /** @returns undefined when there is no such variable */
  variable(name: string): Value | undefined;
  /** @returns undefined when there is no such function */
  function(name: string): ((...args: Value[]) => Value) | undefined;
  /** Names like the one that is missing, for messages. */
  hint?(name: string, of: "variable" | "function"): string;
}

/** Adds variables in front of those that a scope has. */
export function within(scope: Scope, names: Record<string, Value>): Scope {
  return { ...scope, variable: (name) => (Object.hasOwn(names, name) ? names[name] : scope.variable(name)) };
}

/** @throws HclError */
export function evaluate(expression: Expression, scope: Scope): Value {
  try {
    return compute(expression, scope);
  } catch (error) {
    if (error instanceof values.ValueError) throw new HclError(expression.at, error.message);
    throw error;
  }
}

function compute(expression: Expression, scope: Scope): Value {
  const of = (inner: Expression) => evaluate(inner, scope);
  switch (expression.kind) {
    case "literal":
      return expression.value;
    case "template":
      // What stands alone in a template keeps its type.
      if (expression.parts.length === 1) return of(expression.parts[0]!);
      return expression.parts.map((part) => at(part, () => values.toText(of(part)))).join("");
    case "repeat":
      return (of(expression.loop) as Value[]).map(values.toText).join("");
    case "name": {
      const value = scope.variable(expression.name);
      if (value !== undefined) return value;
      const hint = scope.hint?.(expression.name, "variable") ?? "";
      throw new HclError(
        expression.at,
        `there is no variable named ${JSON.stringify(expression.name)}${hint}`,
      );
    }
    case "attribute":
      return elementOf(of(expression.of), expression.name);
    case "index":
      return elementOf(of(expression.of), of(expression.key));
    case "splat": {
      const list = of(expression.of);
      if (list === null) return [];
      const items = Array.isArray(list) ? list : [list];
      return items.map((item) => evaluate(expression.each, within(scope, { "": item })));
    }
    case "call":
      return call(expression, scope);
    case "conditional": {
      const { test, yes, no } = expression;
      const taken = at(test, () => values.toBoolean(of(test)));
      const value = of(taken ? yes : no);
      try {
        return values.unify(value, of(taken ? no : yes));
      } catch (error) {
        // The other side may have no value where it isn't taken.
        if (error instanceof HclError) return value;
        throw error;
      }
    }
    case "binary":
      return binary(expression.operator, expression.left, expression.right, scope);
    case "unary": {
      const operand = of(expression.operand);
      return expression.operator === "-" ? -values.toNumber(operand) : !values.toBoolean(operand);
    }
    case "tuple":
      return expression.items.map(of);
    case "object":
      return Object.fromEntries(
        expression.entries.map(([key, value]) => [at(key, () => values.toText(of(key))), of(value)]),
      );
    case "for":
      return loop(expression, scope);
  }
}

/** Gives a problem the place of the part that has it. */
function at<T>(part: Expression, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof values.ValueError) throw new HclError(part.at, error.message);
    throw error;
  }
}

/** @throws ValueError when there is no such element */
export function elementOf(of: Value, key: Value): Value {
  if (Array.isArray(of)) {
    const value = of[values.toWhole(key)];
    if (value === undefined)
      throw new values.ValueError(`there is no element ${String(key)} in a list of ${of.length}`);
    return value;
  }
  const map = values.toMap(of);
  const name = values.toText(key);
  if (!Object.hasOwn(map, name)) throw new values.ValueError(`the map has no key ${JSON.stringify(name)}`);
  return map[name]!;
}

function call({ name, arguments: given, spread, at }: Expression & { kind: "call" }, scope: Scope): Value {
  // These two look at arguments that may have no value.
  if (name === "try" || name === "can") return attempt(name, given, scope, at);
  const run = scope.function(name);
  if (!run) {
    const hint = scope.hint?.(name, "function") ?? "";
    throw new HclError(at, `there is no function named ${JSON.stringify(name)}${hint}`);
  }
  const args = given.map((argument) => evaluate(argument, scope));
  if (spread) args.push(...values.toList(args.pop()!));
  try {
    return run(...args);
  } catch (error) {
    if (error instanceof values.ValueError) throw new HclError(at, `${name}: ${error.message}`);
    throw error;
  }
}

function attempt(name: "try" | "can", given: Expression[], scope: Scope, at: Expression["at"]): Value {
  for (const argument of given) {
    try {
      const value = evaluate(argument, scope);
      return name === "can" ? true : value;
    } catch (error) {
      if (!(error instanceof HclError)) throw error;
    }
  }
  if (name === "can" && given.length === 1) return false;
  throw new HclError(at, name === "can" ? "can takes one argument" : "try: no argument has a value");
}

const numeric: Partial<Record<BinaryOperator, (a: number, b: number) => number | boolean>> = {
  "<": (a, b) => a < b,
  ">": (a, b) => a > b,
  "<=": (a, b) => a <= b,
  ">=": (a, b) => a >= b,
  "+": (a, b) => a + b,
  "-": (a, b) => a - b,
  "*": (a, b) => a * b,
  "/": divide,
  "%": (a, b) => a % b,
};

export function divide(a: number, b: number): number {
  if (b === 0) throw new values.ValueError("division by zero");
  return a / b;
}

function binary(operator: BinaryOperator, left: Expression, right: Expression, scope: Scope): Value {
  const a = evaluate(left, scope);
  const b = evaluate(right, scope);
  switch (operator) {
    case "==":
      return values.equals(a, b);
    case "!=":
      return !values.equals(a, b);
    case "&&":
    case "||": {
      const both = [at(left, () => values.toBoolean(a)), at(right, () => values.toBoolean(b))];
      return operator === "&&" ? both.every(Boolean) : both.some(Boolean);
    }
    default:
      return numeric[operator]!(
        at(left, () => values.toNumber(a)),
        at(right, () => values.toNumber(b)),
      );
  }
}

function loop(expression: Expression & { kind: "for" }, scope: Scope): Value {
  const { key, value, over, keyResult, result, grouped, condition } = expression;
  const collection = evaluate(over, scope);
  const entries: [Value, Value][] = Array.isArray(collection)
    ? collection.map((item, i) => [i, item])
    : entriesAt(over, collection);
  const list: Value[] = [];
  const map = new Map<string, Value>();
  for (const [position, item] of entries) {
    const inner = within(scope, { ...(key !== undefined && { [key]: position }), [value]: item });
    if (condition && !at(condition, () => values.toBoolean(evaluate(condition, inner)))) continue;
    const made = evaluate(result, inner);
    if (!keyResult) {
      list.push(made);
      continue;
    }
    const name = at(keyResult, () => values.toText(evaluate(keyResult, inner)));
    if (grouped) map.set(name, [...((map.get(name) as Value[] | undefined) ?? []), made]);
    else if (map.has(name))
      throw new HclError(keyResult.at, `two elements have the key ${JSON.stringify(name)}`);
    else map.set(name, made);
  }
  return keyResult ? Object.fromEntries(map) : list;
}

const entriesAt = (over: Expression, value: Value): [Value, Value][] =>
  at(over, () => values.entriesOf(values.toMap(value)));
