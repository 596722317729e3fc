/**
 * Checks a tree against the Compose Specification's JSON schema (`schema.json`). A validator of our own, because it
 * reports places in the file, starts in no time, and needs only what that schema uses of draft-07.
 */
import { didYouMean, type Problem } from "./errors.ts";
import { type Node, type Scalar, toData } from "./node.ts";
import schemaData from "./schema.json";

interface Schema {
  $ref?: string;
  type?: string | string[];
  properties?: Record<string, Schema>;
  patternProperties?: Record<string, Schema>;
  additionalProperties?: boolean;
  required?: string[];
  items?: Schema;
  uniqueItems?: boolean;
  oneOf?: Schema[];
  enum?: string[];
  pattern?: string;
  minimum?: number;
  maximum?: number;
  definitions?: Record<string, Schema>;
}

const root = schemaData as Schema;

/** Every way in which `tree` (one file, variables filled) breaks the schema, in the order of the file. */
export function checkSchema(tree: Node): Problem[] {
  const problems: Problem[] = [];
  check(tree, root, "", problems);
  return problems;
}

/** The names a service may have. */
export const serviceKeys: readonly string[] = Object.keys(root.definitions!.service!.properties!);

function check(node: Node, given: Schema, path: string, problems: Problem[]): void {
  const schema = resolve(given);
  if (node.tag === "reset") return;
  if (schema.oneOf) {
    checkOneOf(node, schema.oneOf, path, problems);
    return;
  }
  const types = typesOf(schema);
  if (types.length > 0 && !types.some((type) => isOfType(node, type))) {
    problems.push({ at: node.at, message: `${path || "top-level object"} must be ${describe(types)}` });
    return;
  }
  if (node.kind === "mapping") checkMapping(node, schema, path, problems);
  else if (node.kind === "sequence") checkSequence(node, schema, path, problems);
  else checkScalar(node, schema, path, problems);
}

function checkOneOf(node: Node, alternatives: Schema[], path: string, problems: Problem[]): void {
  let closest: Problem[] | undefined;
  const allowed: string[] = [];
  for (const alternative of alternatives.map(resolve)) {
    const found: Problem[] = [];
    check(node, alternative, path, found);
    if (found.length === 0) return;
    const types = typesOf(alternative);
    allowed.push(...types);
    if (types.some((type) => isOfType(node, type))) closest ??= found;
  }
  problems.push(...(closest ?? [{ at: node.at, message: `${path} must be ${describe(allowed)}` }]));
}

function checkMapping(
  node: Node & { kind: "mapping" },
  schema: Schema,
  path: string,
  problems: Problem[],
): void {
  const patterns = Object.entries(schema.patternProperties ?? {});
  for (const [name, { at, value }] of node.entries) {
    const below = path ? `${path}.${name}` : name;
    const own =
      schema.properties && Object.hasOwn(schema.properties, name) ? schema.properties[name] : undefined;
    const matched = own ?? patterns.find(([pattern]) => new RegExp(pattern).test(name))?.[1];
    if (matched) check(value, matched, below, problems);
    else if (schema.additionalProperties === false)
      problems.push({
        at,
        message: `${path ? `${path} ` : ""}additional properties '${name}' not allowed`,
        hint: didYouMean(name, Object.keys(schema.properties ?? {})),
      });
  }
  for (const name of schema.required ?? [])
    if (!node.entries.has(name))
      problems.push({ at: node.at, message: `${path} missing property '${name}'` });
}

function checkSequence(
  node: Node & { kind: "sequence" },
  schema: Schema,
  path: string,
  problems: Problem[],
): void {
  const seen = new Map<string, number>();
  node.items.forEach((item, index) => {
    if (schema.items) check(item, schema.items, `${path}.${index}`, problems);
    if (!schema.uniqueItems) return;
    const text = JSON.stringify(toData(item));
    const earlier = seen.get(text);
    if (earlier !== undefined)
      problems.push({ at: item.at, message: `${path} items at ${earlier} and ${index} are equal` });
    else seen.set(text, index);
  });
}

function checkScalar(node: Scalar, schema: Schema, path: string, problems: Problem[]): void {
  const text = String(node.value);
  if (schema.enum && !schema.enum.includes(text))
    problems.push({
      at: node.at,
      message: `${path} must be one of ${schema.enum.map((value) => `'${value}'`).join(", ")}`,
      hint: didYouMean(text, schema.enum),
    });
  if (schema.pattern && typeof node.value === "string" && !new RegExp(schema.pattern).test(text))
    problems.push({ at: node.at, message: `${path} '${text}' does not match pattern '${schema.pattern}'` });
  if (typeof node.value !== "number") return;
  if (schema.minimum !== undefined && node.value < schema.minimum)
    problems.push({ at: node.at, message: `${path} must be at least ${schema.minimum}` });
  if (schema.maximum !== undefined && node.value > schema.maximum)
    problems.push({ at: node.at, message: `${path} must be at most ${schema.maximum}` });
}

function resolve(schema: Schema): Schema {
  const name = schema.$ref?.replace("#/definitions/", "");
  return name ? resolve(root.definitions![name]!) : schema;
}

function typesOf(schema: Schema): string[] {
  return schema.type === undefined ? [] : [schema.type].flat();
}

function isOfType(node: Node, type: string): boolean {
  if (node.kind === "mapping") return type === "object";
  if (node.kind === "sequence") return type === "array";
  const { value, interpolated } = node;
  switch (type) {
    case "string":
      return typeof value === "string";
    case "null":
      return value === null;
    case "boolean":
      return typeof value === "boolean" || (interpolated === true && /^(true|false)$/i.test(String(value)));
    case "integer":
      return Number.isInteger(value) || (interpolated === true && /^-?\d+$/.test(String(value)));
    case "number":
      return typeof value === "number" || (interpolated === true && /^-?\d+(\.\d+)?$/.test(String(value)));
    default:
      return false;
  }
}

const typeNames: Record<string, string> = {
  object: "a mapping",
  array: "an array",
  string: "a string",
  boolean: "a boolean",
  integer: "an integer",
  number: "a number",
  null: "null",
};

function describe(types: string[]): string {
  const names = [...new Set(types)].map((type) => typeNames[type] ?? type);
  return names.length < 2 ? (names[0] ?? "") : `${names.slice(0, -1).join(", ")} or ${names.at(-1)}`;
}
