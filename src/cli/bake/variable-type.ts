/** Types of variables, and how a value from the environment becomes one of them. */
import { splitCsv } from "../args/values.ts";
import { type Expression, HclError, type Value } from "./hcl/types.ts";
import { toBoolean, toList, toMap, toNumber, toText, ValueError } from "./hcl/value.ts";

export type VariableType =
  | { kind: "string" | "number" | "bool" | "any" }
  | { kind: "list" | "set" | "map"; of: VariableType }
  | { kind: "tuple"; items: VariableType[] }
  | { kind: "object"; attributes: Map<string, { type: VariableType; optional: boolean }> };

/** @throws HclError */
export function readType(expression: Expression): VariableType {
  const fail = () => {
    throw new HclError(
      expression.at,
      "this is not a type: string, number, bool, any, list(...), set(...), map(...)",
    );
  };
  if (expression.kind === "name") {
    const { name } = expression;
    return name === "string" || name === "number" || name === "bool" || name === "any"
      ? { kind: name }
      : fail();
  }
  if (expression.kind !== "call" || expression.arguments.length !== 1) return fail();
  const [argument] = expression.arguments;
  switch (expression.name) {
    case "list":
    case "set":
    case "map":
      return { kind: expression.name, of: readType(argument!) };
    case "tuple":
      return argument!.kind === "tuple" ? { kind: "tuple", items: argument!.items.map(readType) } : fail();
    case "object": {
      if (argument!.kind !== "object") return fail();
      const attributes = argument!.entries.map(([key, type]) => {
        const optional = type.kind === "call" && type.name === "optional";
        const name = key.kind === "literal" ? String(key.value) : fail();
        return [name, { type: readType(optional ? type.arguments[0]! : type), optional }] as const;
      });
      return { kind: "object", attributes: new Map(attributes) };
    }
    default:
      return fail();
  }
}

/** As lists of variables show it: `list of string`. */
export function formatType(type: VariableType): string {
  if ("of" in type) return `${type.kind} of ${formatType(type.of)}`;
  return type.kind;
}

/** Makes a value one of the type. @throws ValueError */
export function convertTo(type: VariableType, value: Value): Value {
  if (value === null) return null;
  switch (type.kind) {
    case "any":
      return value;
    case "string":
      return toText(value);
    case "number":
      return toNumber(value);
    case "bool":
      return toBoolean(value);
    case "list":
      return toList(value).map((item) => convertTo(type.of, item));
    case "set": {
      const items = toList(value).map((item) => convertTo(type.of, item));
      return [...new Set(items)].sort();
    }
    case "map":
      return mapValues(toMap(value), (item) => convertTo(type.of, item));
    case "tuple": {
      const items = toList(value);
      if (items.length !== type.items.length)
        throw new ValueError(`a list of ${type.items.length} is needed, this has ${items.length}`);
      return items.map((item, i) => convertTo(type.items[i]!, item));
    }
    case "object": {
      const map = toMap(value);
      const entries = [...type.attributes].map(([name, { type: inner, optional }]): [string, Value] => {
        if (Object.hasOwn(map, name)) return [name, convertTo(inner, map[name]!)];
        if (!optional) throw new ValueError(`attribute ${JSON.stringify(name)} is needed`);
        return [name, null];
      });
      return Object.fromEntries(entries);
    }
  }
}

const mapValues = (map: { [key: string]: Value }, change: (value: Value) => Value) =>
  Object.fromEntries(Object.entries(map).map(([key, value]) => [key, change(value)]));

/** A variable's value as the environment writes it: lists of words with commas, the rest as JSON. @throws ValueError */
export function fromText(type: VariableType, text: string): Value {
  switch (type.kind) {
    case "any":
    case "string":
      return text;
    case "number":
    case "bool":
      return convertTo(type, text);
    default: {
      const ofWords = (type.kind === "list" || type.kind === "set") && !("of" in type.of);
      return ofWords ? convertTo(type, text === "" ? [] : splitCsv(text)) : fromJson(type, text);
    }
  }
}

/** @throws ValueError */
export function fromJson(type: VariableType, text: string): Value {
  try {
    return convertTo(type, JSON.parse(text) as Value);
  } catch (error) {
    if (error instanceof SyntaxError) throw new ValueError(`not valid JSON: ${error.message}`);
    throw error;
  }
}
