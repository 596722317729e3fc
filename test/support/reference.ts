/** Holds answers to the Engine API's definitions (test/reference). */
import { readFileSync } from "node:fs";
import { join } from "node:path";

interface Schema {
  type?: "object" | "array" | "string" | "integer" | "number" | "boolean";
  properties?: Record<string, Schema>;
  items?: Schema;
  additionalProperties?: Schema;
  $ref?: string;
  allOf?: Schema[];
  enum?: unknown[];
  required?: string[];
}

const definitions = JSON.parse(
  readFileSync(join(import.meta.dir, "..", "reference", "engine-api.json"), "utf8"),
) as Record<string, Schema>;

/** What is wrong with an answer: fields that lack, values of another type. Every field of a definition is wanted. */
export class Reference {
  readonly problems: string[] = [];
  readonly #optional: ReadonlySet<string>;
  readonly #nullable: ReadonlySet<string>;

  /**
   * Both as `Definition.field`.
   * @param fields.optional not in every answer, or in newer versions of the API only
   * @param fields.nullable numbers and the like that may be null; lists and objects always may, as Go writes them so
   */
  constructor(fields: { optional: readonly string[]; nullable: readonly string[] }) {
    this.#optional = new Set(fields.optional);
    this.#nullable = new Set(fields.nullable);
  }

  check(name: string, answer: unknown): void {
    this.#check({ $ref: name }, answer, name, name);
  }

  /** @param owner the definition that the place belongs to */
  #check(schema: Schema, value: unknown, place: string, owner: string): void {
    if (schema.$ref !== undefined) {
      const name = schema.$ref.split("/").at(-1)!;
      const definition = definitions[name];
      if (!definition) this.problems.push(`${place}: ${name} is not expected here`);
      else this.#check(definition, value, place, name);
      return;
    }
    for (const part of schema.allOf ?? []) this.#check(part, value, place, owner);
    if (value === null) {
      // Go's nil slices, maps and pointers.
      if (schema.type !== undefined && !["array", "object"].includes(schema.type))
        this.#wrong(place, schema, value);
      return;
    }
    if (schema.enum && schema.type === "string" && !schema.enum.includes(value))
      this.problems.push(`${place}: ${JSON.stringify(value)} is none of ${schema.enum.join(", ")}`);
    if (!hasType(value, schema.type)) this.#wrong(place, schema, value);
    else if (Array.isArray(value)) {
      for (const [index, item] of value.entries())
        if (schema.items) this.#check(schema.items, item, `${place}[${index}]`, owner);
    } else if (typeof value === "object") this.#checkFields(schema, value as object, place, owner);
  }

  #checkFields(schema: Schema, value: object, place: string, owner: string): void {
    const fields = value as Record<string, unknown>;
    for (const [name, property] of Object.entries(schema.properties ?? {})) {
      if (fields[name] === null && this.#nullable.has(`${owner}.${name}`)) continue;
      if (Object.hasOwn(fields, name)) this.#check(property, fields[name], `${place}.${name}`, owner);
      else if (!this.#optional.has(`${owner}.${name}`)) this.problems.push(`${place}.${name} is missing`);
    }
    if (schema.additionalProperties)
      for (const [name, item] of Object.entries(fields))
        if (!schema.properties?.[name])
          this.#check(schema.additionalProperties, item, `${place}.${name}`, owner);
  }

  #wrong(place: string, schema: Schema, value: unknown): void {
    this.problems.push(`${place}: ${schema.type} is wanted, not ${JSON.stringify(value)?.slice(0, 80)}`);
  }
}

function hasType(value: unknown, type: Schema["type"]): boolean {
  switch (type) {
    case undefined:
      return true;
    case "array":
      return Array.isArray(value);
    case "object":
      return typeof value === "object" && !Array.isArray(value);
    case "integer":
      return Number.isInteger(value);
    default:
      return typeof value === type;
  }
}
