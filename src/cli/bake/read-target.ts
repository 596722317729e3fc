/** From a target's block to its attributes; a matrix makes several targets of one block. */
import { InvalidParameter } from "../../lib/errors.ts";
import type { Definition } from "./bakefile.ts";
import { evaluate, type Scope, within } from "./hcl/evaluate.ts";
import { type Attribute, HclError, type Value } from "./hcl/types.ts";
import { isMap, toBoolean, toList, toMap, toText, typeName, ValueError } from "./hcl/value.ts";
import { checkOptions, type Options, type OptionsField, parseOptions } from "./options.ts";
import { type FieldName, fieldNames, fields, type Target } from "./target.ts";

export interface ReadTarget {
  name: string;
  inherits: string[];
  target: Target;
}

/** @returns one target, or those of the matrix @throws HclError */
export function readTargets(definition: Definition, scope: Scope): ReadTarget[] {
  const { attributes, name, block } = definition;
  const matrix = attributes.get("matrix");
  if (!matrix) return [readOne(name, attributes, scope)];
  const nameText = attributes.get("name")?.value;
  const made = combinations(matrix, scope).map((values) => {
    const inner = within(scope, values);
    const ownName = nameText ? located(nameText.at, () => toText(evaluate(nameText, inner))) : name;
    if (!/^[a-zA-Z0-9_-]+$/.test(ownName))
      throw new HclError(
        block.at,
        `invalid target name ${JSON.stringify(ownName)}: only letters, digits, "_" and "-" are allowed`,
      );
    return readOne(ownName, attributes, inner);
  });
  const twice = made.find((one, i) => made.slice(0, i).some((earlier) => earlier.name === one.name));
  if (twice)
    throw new HclError(block.at, `the matrix makes two targets of the name ${JSON.stringify(twice.name)}`);
  return made;
}

/** Each axis with each other; the first axis changes fastest. */
function combinations({ value, at }: Attribute, scope: Scope): Record<string, Value>[] {
  const axes = located(at, () =>
    Object.entries(toMap(evaluate(value, scope))).map(([axis, items]) => [axis, toList(items)] as const),
  );
  const empty = axes.find(([, items]) => items.length === 0);
  if (empty) throw new HclError(at, `the matrix has no values for ${JSON.stringify(empty[0])}`);
  return axes.reduceRight<Record<string, Value>[]>(
    (rows, [axis, items]) => rows.flatMap((row) => items.map((item) => ({ [axis]: item, ...row }))),
    [{}],
  );
}

function readOne(name: string, attributes: ReadonlyMap<string, Attribute>, scope: Scope): ReadTarget {
  const target: Record<string, unknown> = {};
  for (const field of fieldNames) {
    const attribute = attributes.get(field);
    if (!attribute) continue;
    const value = evaluate(attribute.value, scope);
    if (value !== null) target[field] = located(attribute.value.at, () => readField(field, value));
  }
  const inherits = attributes.get("inherits");
  return {
    name,
    target: target as Target,
    inherits: inherits ? located(inherits.at, () => textsOf(evaluate(inherits.value, scope))) : [],
  };
}

/** @throws ValueError, InvalidParameter for malformed rows */
function readField(name: FieldName, value: Value): unknown {
  switch (fields[name].kind) {
    case "text":
      return toText(value);
    case "flag":
      return toBoolean(value);
    case "texts":
      return textsOf(value);
    case "map":
      return mapOf(value);
    case "options":
      return listOf(value).map((item) => optionsOf(name as OptionsField, item));
  }
}

function listOf(value: Value): Value[] {
  if (Array.isArray(value)) return value.filter((item) => item !== null);
  throw new ValueError(`a list is needed, this is a ${typeName(value)}`);
}

const textsOf = (value: Value): string[] =>
  listOf(value)
    .map(toText)
    .filter((text) => text !== "");

/** A key without a value is not there. */
function mapOf(value: Value): Record<string, string> {
  const entries = Object.entries(toMap(value)).filter(([, item]) => item !== null);
  return Object.fromEntries(entries.map(([key, item]) => [key, toText(item)]));
}

function optionsOf(field: OptionsField, value: Value): Options {
  return isMap(value) ? checkOptions(field, mapOf(value)) : parseOptions(field, toText(value));
}

/** Gives a problem of a value its place in the file. */
export function located<T>(at: Attribute["at"], work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof InvalidParameter && !(error instanceof HclError))
      throw new HclError(at, error.message);
    throw error;
  }
}

/** The names that a group has. @throws HclError */
export function readGroup({ attributes }: Definition, scope: Scope): string[] {
  const targets = attributes.get("targets");
  return targets ? located(targets.at, () => textsOf(evaluate(targets.value, scope))) : [];
}
