/** What names mean in a Bake file: variables, evaluated when they are asked for, and functions. */
import { nearest } from "../args/nearest.ts";
import type { Bakefile, FunctionDefinition, VariableDefinition } from "./bakefile.ts";
import { evaluate, type Scope, within } from "./hcl/evaluate.ts";
import { functions } from "./hcl/functions/index.ts";
import { type Expression, HclError, type Value } from "./hcl/types.ts";
import { toBoolean, toText, typeName, ValueError, type ValueMap } from "./hcl/value.ts";
import { convertTo, fromJson, fromText, readType, type VariableType } from "./variable-type.ts";

export interface Variable {
  name: string;
  description?: string;
  type?: VariableType;
  value: Value;
}

export class BakeScope implements Scope {
  readonly #values = new Map<string, Value>();
  /** Names whose values are being made: one of them again is a cycle. */
  readonly #open: string[] = [];

  constructor(
    private readonly bakefile: Bakefile,
    private readonly env: Record<string, string | undefined>,
    /** `BAKE_LOCAL_PLATFORM` and the like. */
    private readonly builtin: Record<string, Value>,
  ) {}

  readonly variable = (name: string): Value | undefined => {
    const { variables, attributes } = this.bakefile;
    if (this.#values.has(name)) return this.#values.get(name);
    const definition = variables.get(name);
    if (definition) return this.#once(name, definition.default, () => this.#valueOf(definition));
    const attribute = attributes.get(name);
    if (attribute) return this.#once(name, attribute.value, () => evaluate(attribute.value, this));
    if (name === "target") return this.#blocks("target");
    if (name === "group") return this.#blocks("group");
    return Object.hasOwn(this.builtin, name) ? this.builtin[name] : undefined;
  };

  readonly function = (name: string): ((...args: Value[]) => Value) | undefined => {
    const own = this.bakefile.functions.get(name);
    if (own) return (...args) => this.#run(own, args);
    return Object.hasOwn(functions, name) ? functions[name] : undefined;
  };

  readonly hint = (name: string, of: "variable" | "function"): string => {
    const { variables, attributes, functions: own } = this.bakefile;
    const names =
      of === "variable"
        ? [...variables.keys(), ...attributes.keys()]
        : [...own.keys(), ...Object.keys(functions)];
    const meant = nearest(name, names);
    return meant === undefined ? "" : `; did you mean ${JSON.stringify(meant)}?`;
  };

  /** All variables, by name, each checked. @throws HclError */
  variables(): Variable[] {
    return [...this.bakefile.variables.values()]
      .map((definition) => ({
        name: definition.name,
        description: definition.description && toText(evaluate(definition.description, this)),
        type: definition.type && readType(definition.type),
        value: this.variable(definition.name)!,
      }))
      .sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** Evaluates every variable, used or not, and holds it to its validations. @throws HclError */
  validate(): void {
    for (const name of this.bakefile.attributes.keys()) this.variable(name);
    for (const { name, validations } of this.bakefile.variables.values()) {
      this.variable(name);
      for (const { condition, message } of validations) {
        if (toBoolean(evaluate(condition, this))) continue;
        const reason = message ? toText(evaluate(message, this)) : `the value of ${name} is not valid`;
        throw new HclError(condition.at, `validation failed: ${reason}`);
      }
    }
  }

  #once(name: string, at: Expression | undefined, make: () => Value): Value {
    if (this.#open.includes(name) && at)
      throw new HclError(at.at, `variable cycle not allowed: ${[...this.#open, name].join(" -> ")}`);
    this.#open.push(name);
    try {
      const value = make();
      this.#values.set(name, value);
      return value;
    } finally {
      this.#open.pop();
    }
  }

  #valueOf({ name, type: typeText, default: fallback }: VariableDefinition): Value {
    const type = typeText && readType(typeText);
    const place = (fallback ?? typeText)?.at;
    try {
      const value = fallback ? evaluate(fallback, this) : undefined;
      const text = this.env[name];
      const json = type && this.env[`${name}_JSON`];
      if (text !== undefined) return fromText(type ?? typeOf(name, value), text);
      if (json !== undefined) return fromJson(type!, json);
      if (value === undefined) return type ? null : "";
      return type ? convertTo(type, value) : value;
    } catch (error) {
      if (!(error instanceof ValueError) || !place) throw error;
      throw new HclError(place, `invalid value of ${name}: ${error.message}`);
    }
  }

  #run({ name, parameters, rest, result }: FunctionDefinition, args: Value[]): Value {
    if (args.length < parameters.length || (rest === undefined && args.length > parameters.length))
      throw new ValueError(`takes ${parameters.length} argument(s), not ${args.length}`);
    if (this.#open.length > deepest) throw new ValueError("calls itself without an end");
    const names = Object.fromEntries(parameters.map((parameter, i) => [parameter, args[i]!]));
    if (rest !== undefined) names[rest] = args.slice(parameters.length);
    this.#open.push(`${name}()`);
    try {
      return evaluate(result, within(this, names));
    } finally {
      this.#open.pop();
    }
  }

  /** `target.NAME.ATTRIBUTE`: as it is written in the file, nothing inherited. */
  #blocks(kind: "target" | "group"): ValueMap {
    const blocks: ValueMap = {};
    for (const { name, attributes } of kind === "target" ? this.bakefile.targets : this.bakefile.groups) {
      blocks[name] ??= {};
      for (const [key, attribute] of attributes) {
        const get = () => {
          const path = `${kind}.${name}.${key}`;
          return (
            this.#values.get(path) ?? this.#once(path, attribute.value, () => evaluate(attribute.value, this))
          );
        };
        Object.defineProperty(blocks[name], key, { get, enumerable: true, configurable: true });
      }
    }
    return blocks;
  }
}

const deepest = 100;

/** A variable without a type has that of its default. @throws ValueError */
function typeOf(name: string, value: Value | undefined): VariableType {
  if (value === undefined || typeof value === "string" || value === null) return { kind: "string" };
  if (typeof value === "number") return { kind: "number" };
  if (typeof value === "boolean") return { kind: "bool" };
  throw new ValueError(`a ${typeName(value)} needs a type to be set from outside; give ${name} one`);
}
