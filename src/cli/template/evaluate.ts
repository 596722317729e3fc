/** Runs a parsed template over JSON values. */
import { type Functions, truth } from "./functions.ts";
import { TemplateError } from "./lex.ts";
import type { Call, Node, Pipeline, Term } from "./parse.ts";
import { show } from "./print.ts";

/** JSON; a function is a method that takes the arguments behind the field (`.Label "x"`). */
export type Value =
  | undefined
  | null
  | string
  | number
  | boolean
  | Value[]
  | { [name: string]: Value }
  | ((...args: Value[]) => Value);

/** What a field that isn't there means. @throws TemplateError */
export type MissingField = (owner: { [name: string]: Value }, name: string, path: readonly string[]) => Value;

interface Scope {
  variables: Map<string, Value>;
  outer: Scope | undefined;
}

class Jump {
  constructor(readonly kind: "break" | "continue") {}
}

export class Evaluator {
  #out = "";

  constructor(
    private readonly root: Value,
    private readonly missing: MissingField,
    private readonly functions: Functions,
  ) {}

  /** @throws TemplateError */
  run(nodes: Node[]): string {
    this.#out = "";
    this.#list(nodes, this.root, { variables: new Map([["", this.root]]), outer: undefined });
    return this.#out;
  }

  #list(nodes: Node[], dot: Value, outer: Scope): void {
    const scope: Scope = { variables: new Map(), outer };
    for (const node of nodes) {
      if (node.type === "text") this.#out += node.text;
      else if (node.type === "print") {
        const value = this.#pipeline(node.pipeline, dot, scope);
        if (node.pipeline.variables.length === 0) this.#out += show(value);
      } else if (node.type === "break" || node.type === "continue") throw new Jump(node.type);
      else if (node.type === "range") this.#range(node, dot, scope);
      else {
        const inner: Scope = { variables: new Map(), outer: scope };
        const value = this.#pipeline(node.pipeline, dot, inner);
        if (truth(value)) this.#list(node.body, node.type === "with" ? value : dot, inner);
        else this.#list(node.otherwise, dot, inner);
      }
    }
  }

  #range(node: Extract<Node, { type: "if" | "with" | "range" }>, dot: Value, scope: Scope): void {
    const value = this.#calls(node.pipeline, dot, scope);
    const entries = entriesOf(value);
    if (entries.length === 0) this.#list(node.otherwise, dot, scope);
    for (const [key, item] of entries) {
      const inner: Scope = { variables: new Map(), outer: scope };
      const names = node.pipeline.variables;
      if (names.length === 2) inner.variables.set(names[0]!, key);
      if (names.length > 0) inner.variables.set(names.at(-1)!, item);
      try {
        this.#list(node.body, item, inner);
      } catch (error) {
        if (!(error instanceof Jump)) throw error;
        if (error.kind === "break") return;
      }
    }
  }

  #pipeline(pipeline: Pipeline, dot: Value, scope: Scope): Value {
    const value = this.#calls(pipeline, dot, scope);
    const [name] = pipeline.variables;
    if (name !== undefined) {
      const owner = pipeline.declares ? scope : ownerOf(scope, name);
      owner.variables.set(name, value);
    }
    return value;
  }

  #calls(pipeline: Pipeline, dot: Value, scope: Scope): Value {
    let piped: Value[] = [];
    let value: Value;
    for (const call of pipeline.calls) {
      value = this.#call(call, piped, dot, scope);
      piped = [value];
    }
    return value;
  }

  #call([head, ...rest]: Call, piped: Value[], dot: Value, scope: Scope): Value {
    const { operand, fields } = head!;
    const args = () => [...rest.map((term) => this.#term(term, dot, scope)), ...piped];
    if (operand.type === "function") {
      if (operand.name === "and" || operand.name === "or")
        return this.#shortCircuit(operand.name, rest, piped, dot, scope);
      const called = Object.hasOwn(this.functions, operand.name) ? this.functions[operand.name] : undefined;
      if (!called) {
        throw new TemplateError(`function ${JSON.stringify(operand.name)} not defined`);
      }
      return called(...args());
    }
    const value = this.#resolve(head!, dot, scope);
    if (typeof value === "function") return value(...args());
    if (rest.length > 0 || piped.length > 0) {
      throw new TemplateError(
        fields.length > 0
          ? `${fields.at(-1)} is not a method but has arguments`
          : "can't give argument to non-function",
      );
    }
    return value;
  }

  #shortCircuit(name: "and" | "or", rest: Term[], piped: Value[], dot: Value, scope: Scope): Value {
    let value: Value;
    for (const term of rest) {
      value = this.#term(term, dot, scope);
      if (truth(value) === (name === "or")) return value;
    }
    return piped.length > 0 ? piped[0] : value;
  }

  /** A term as an argument: methods are called without arguments. */
  #term(term: Term, dot: Value, scope: Scope): Value {
    if (term.operand.type === "function") return this.#call([term], [], dot, scope);
    const value = this.#resolve(term, dot, scope);
    return typeof value === "function" ? value() : value;
  }

  #resolve({ operand, fields }: Term, dot: Value, scope: Scope): Value {
    let value: Value;
    if (operand.type === "dot") value = dot;
    else if (operand.type === "literal") value = operand.value;
    else if (operand.type === "variable") value = ownerOf(scope, operand.name).variables.get(operand.name);
    else if (operand.type === "pipeline") value = this.#calls(operand.pipeline, dot, scope);
    fields.forEach((name, i) => {
      value = this.#field(value, name, fields.slice(0, i));
    });
    return value;
  }

  #field(owner: Value, name: string, path: string[]): Value {
    const value = typeof owner === "function" ? owner() : owner;
    if (value === null || value === undefined) {
      throw new TemplateError(`nil data; no entry for key ${JSON.stringify(name)}`);
    }
    if (typeof value !== "object" || Array.isArray(value)) {
      throw new TemplateError(
        `can't evaluate field ${name} in type ${Array.isArray(value) ? "[]interface {}" : typeof value}`,
      );
    }
    return Object.hasOwn(value, name) ? value[name] : this.missing(value, name, path);
  }
}

function ownerOf(scope: Scope, name: string): Scope {
  for (let at: Scope | undefined = scope; at; at = at.outer) if (at.variables.has(name)) return at;
  throw new TemplateError(`undefined variable "$${name}"`);
}

function entriesOf(value: Value): [Value, Value][] {
  if (value === null || value === undefined) return [];
  if (Array.isArray(value)) return value.map((item, i) => [i, item]);
  if (typeof value === "number") return Array.from({ length: value }, (_, i) => [i, i]);
  if (typeof value === "object") {
    return Object.keys(value)
      .sort()
      .map((key) => [key, value[key]]);
  }
  throw new TemplateError(`range can't iterate over ${show(value)}`);
}
