/** What a Bake file defines: its blocks by kind, not yet evaluated. */
import type { BlockTypes } from "./hcl/json.ts";
import { type Attribute, type Block, type Body, type Expression, HclError } from "./hcl/types.ts";

export const blockTypes = {
  group: [],
  target: [],
  variable: ["validation"],
  function: [],
} as const satisfies BlockTypes;

export interface VariableDefinition {
  name: string;
  description?: Expression;
  type?: Expression;
  default?: Expression;
  validations: { condition: Expression; message?: Expression }[];
}

export interface FunctionDefinition {
  name: string;
  parameters: string[];
  /** Takes the arguments that are left over, as a list. */
  rest?: string;
  result: Expression;
}

/** A target or a group. */
export interface Definition {
  name: string;
  attributes: ReadonlyMap<string, Attribute>;
  block: Block;
}

export interface Bakefile {
  /** Later ones replace earlier ones of the same name. */
  variables: Map<string, VariableDefinition>;
  functions: Map<string, FunctionDefinition>;
  /** Attributes outside of blocks are variables that nothing overrides. */
  attributes: Map<string, Attribute>;
  /** In the order of the files; several may define one target. */
  targets: Definition[];
  groups: Definition[];
}

/** Joins files, the later over the earlier. @throws HclError */
export function readDefinitions(bodies: readonly Body[]): Bakefile {
  const bakefile: Bakefile = {
    variables: new Map(),
    functions: new Map(),
    attributes: new Map(),
    targets: [],
    groups: [],
  };
  for (const { attributes, blocks } of bodies) {
    for (const attribute of attributes) bakefile.attributes.set(attribute.name, attribute);
    for (const block of blocks) addBlock(bakefile, block);
  }
  return bakefile;
}

function addBlock(bakefile: Bakefile, block: Block): void {
  const { type, labels, at } = block;
  const [name] = labels;
  if (!Object.hasOwn(blockTypes, type))
    throw new HclError(at, `${JSON.stringify(type)} is not a kind of block`);
  if (name === undefined || labels.length > 1) throw new HclError(at, `a ${type} has one name`);
  if (!/^[a-zA-Z0-9_-]+$/.test(name))
    throw new HclError(
      at,
      `invalid ${type} name ${JSON.stringify(name)}: only letters, digits, "_" and "-" are allowed`,
    );
  const attributes = new Map(block.body.attributes.map((attribute) => [attribute.name, attribute]));
  if (type === "target") bakefile.targets.push({ name, attributes, block });
  if (type === "group") bakefile.groups.push({ name, attributes, block });
  if (type === "function") bakefile.functions.set(name, functionOf(name, block, attributes));
  if (type === "variable") {
    const before = bakefile.variables.get(name);
    bakefile.variables.set(name, { ...before, ...variableOf(name, block, attributes) });
  }
}

function variableOf(
  name: string,
  { body }: Block,
  attributes: ReadonlyMap<string, Attribute>,
): VariableDefinition {
  const value = (key: string) => attributes.get(key)?.value;
  const validations = body.blocks.map(({ type, body, at }) => {
    const condition = body.attributes.find((attribute) => attribute.name === "condition")?.value;
    if (type !== "validation" || !condition)
      throw new HclError(
        at,
        type === "validation" ? "a validation has a condition" : `a variable has no ${type}`,
      );
    return {
      condition,
      message: body.attributes.find((attribute) => attribute.name === "error_message")?.value,
    };
  });
  return {
    name,
    validations,
    ...given({ description: value("description"), type: value("type"), default: value("default") }),
  };
}

/** Without what isn't set, so that it leaves what an earlier file has set. */
function given<T extends object>(values: T): Partial<T> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as Partial<T>;
}

function functionOf(
  name: string,
  { at }: Block,
  attributes: ReadonlyMap<string, Attribute>,
): FunctionDefinition {
  const result = attributes.get("result")?.value;
  const parameters = attributes.get("params")?.value;
  if (!result || !parameters) throw new HclError(at, "a function has params and a result");
  if (parameters.kind !== "tuple") throw new HclError(parameters.at, "params is a list of names");
  const rest = attributes.get("variadic_params")?.value;
  return { name, parameters: parameters.items.map(wordOf), rest: rest && wordOf(rest), result };
}

/** A name as HCL writes it, or in quotes as JSON does. */
function wordOf(expression: Expression): string {
  if (expression.kind === "name") return expression.name;
  if (expression.kind === "literal" && typeof expression.value === "string") return expression.value;
  throw new HclError(expression.at, "a name is needed here");
}
