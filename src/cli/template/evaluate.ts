/** Runs a parsed template over values. */
import { CallError, type Functions } from "./functions.ts";
import { TemplateError } from "./lex.ts";
import type { Call, Node, Parsed, Pipeline, Term } from "./parse.ts";
import { show } from "./print.ts";
import { entriesOf, GoStruct, Named, nilSlice, plain, truth, typeName, type Value } from "./values.ts";

/** What a key means that a map hasn't: nothing, or an error. A row has fixed fields, so that none can be missing. */
export type MissingKey = "no value" | "error" | "no such field";

export interface Options {
  functions: Functions;
  missing: MissingKey;
  /** As messages name the template. */
  name: string;
  source: string;
}

interface Scope {
  variables: Map<string, Value>;
  outer: Scope | undefined;
}

class Jump {
  constructor(readonly kind: "break" | "continue") {}
}

const none = Symbol();
/** Templates that call themselves end. */
const deepest = 1000;

export class Evaluator {
  #out = "";
  #depth = 0;

  constructor(
    private readonly parsed: Parsed,
    private readonly options: Options,
  ) {}

  /** @throws TemplateError */
  run(root: Value): string {
    this.#out = "";
    this.#template(this.parsed.nodes, root);
    return this.#out;
  }

  #template(nodes: Node[], root: Value): void {
    this.#list(nodes, root, { variables: new Map([["", root]]), outer: undefined });
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
      else if (node.type === "template") this.#named(node, dot, scope);
      else {
        const inner: Scope = { variables: new Map(), outer: scope };
        const value = this.#pipeline(node.pipeline, dot, inner);
        if (truth(value)) this.#list(node.body, node.type === "with" ? value : dot, inner);
        else this.#list(node.otherwise, dot, inner);
      }
    }
  }

  #named(node: Extract<Node, { type: "template" }>, dot: Value, scope: Scope): void {
    const nodes = this.parsed.templates.get(node.name);
    const place = { at: node.at, text: `{{template ${JSON.stringify(node.name)}}}` };
    if (!nodes) throw this.#fail(place, `template ${JSON.stringify(node.name)} not defined`);
    if (this.#depth === deepest) throw this.#fail(place, "exceeded maximum template depth (1000)");
    this.#depth++;
    this.#template(nodes, node.pipeline && this.#pipeline(node.pipeline, dot, scope));
    this.#depth--;
  }

  #range(node: Extract<Node, { type: "if" | "with" | "range" }>, dot: Value, scope: Scope): void {
    const value = this.#calls(node.pipeline, dot, scope);
    const items = itemsOf(value);
    if (!items) throw this.#fail(node.pipeline, `range can't iterate over ${show(value)}`);
    if (items.length === 0) this.#list(node.otherwise, dot, scope);
    for (const [key, item] of items) {
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

  #call(call: Call, piped: Value[], dot: Value, scope: Scope): Value {
    const { head, args: terms } = call;
    const { operand, fields } = head;
    const args = () => [...terms.map((term) => this.#term(term, dot, scope)), ...piped];
    if (operand.type === "function") {
      const value = this.#function(operand.name, call, piped, args, dot, scope);
      return this.#fields(value, head);
    }
    if (operand.type === "literal" && operand.value === null) throw this.#fail(head, "nil is not a command");
    const value = this.#resolve(head, dot, scope);
    if (typeof value === "function") {
      const given = args();
      const method = fields.at(-1) ?? "";
      if (given.length < value.length)
        throw this.#fail(
          head,
          `wrong number of args for ${method}: want ${value.length} got ${given.length}`,
        );
      return value(...given);
    }
    if (terms.length > 0 || piped.length > 0) {
      throw this.#fail(
        head,
        fields.length > 0
          ? `${fields.at(-1)} is not a method but has arguments`
          : `can't give argument to non-function ${head.text}`,
      );
    }
    return value;
  }

  #function(name: string, call: Call, piped: Value[], args: () => Value[], dot: Value, scope: Scope): Value {
    if (name === "and" || name === "or") {
      if (call.args.length + piped.length === 0)
        throw this.#fail(call.head, `wrong number of args for ${name}: want at least 1 got 0`);
      return this.#shortCircuit(name, call.args, piped, dot, scope);
    }
    if (name === "call") {
      const [callee] = call.args;
      const value = callee && this.#term(callee, dot, scope);
      if (typeof value === "function") return value(...args().slice(1));
      throw this.#fail(
        call,
        `error calling call: non-function ${callee?.text ?? ""} of type ${typeName(value)}`,
      );
    }
    const called = this.options.functions[name]!;
    const given = args();
    if (given.length < called.length)
      throw this.#fail(
        call.head,
        `wrong number of args for ${name}: want ${called.length} got ${given.length}`,
      );
    try {
      return called(...given);
    } catch (error) {
      if (!(error instanceof CallError)) throw error;
      const wrong = error.argument === undefined ? undefined : call.args[error.argument];
      throw wrong
        ? this.#fail(wrong, error.message)
        : this.#fail(
            call,
            error.argument === undefined ? `error calling ${name}: ${error.message}` : error.message,
          );
    }
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
    if (term.operand.type === "function")
      return this.#call({ head: term, args: [], at: term.at, text: term.text }, [], dot, scope);
    const value = this.#resolve(term, dot, scope);
    return typeof value === "function" ? value() : value;
  }

  #resolve(term: Term, dot: Value, scope: Scope): Value {
    const { operand } = term;
    let value: Value;
    if (operand.type === "dot") value = dot;
    else if (operand.type === "literal") value = operand.value;
    else if (operand.type === "variable") value = ownerOf(scope, operand.name).variables.get(operand.name);
    else if (operand.type === "pipeline") value = this.#calls(operand.pipeline, dot, scope);
    return this.#fields(value, term);
  }

  #fields(start: Value, term: Term): Value {
    let value = start;
    for (const name of term.fields) value = this.#field(value, name, term);
    return value;
  }

  #field(given: Value, name: string, term: Term): Value {
    const owner = typeof given === "function" ? given() : given;
    const { missing } = this.options;
    if (owner === undefined) {
      if (missing === "no value") return undefined;
      throw this.#fail(term, `nil data; no entry for key ${JSON.stringify(name)}`);
    }
    if (owner === null) throw this.#fail(term, `nil pointer evaluating interface {}.${name}`);
    if (owner instanceof GoStruct) {
      const found = owner.get(name, none);
      if (typeof found !== "symbol") return found;
    } else if (owner instanceof Named) {
      const method = owner.type.methods?.[name];
      if (method) return method(owner.value as never);
    } else {
      const entries = entriesOf(owner);
      if (entries && Object.hasOwn(entries, name)) return entries[name];
      if (entries && missing === "no value") return undefined;
      if (entries && missing === "error")
        throw this.#fail(term, `map has no entry for key ${JSON.stringify(name)}`);
    }
    // What is decoded without a type is a value of any type to Go.
    const type = missing === "error" ? "interface {}" : typeName(owner);
    throw this.#fail(term, `can't evaluate field ${name} in type ${type}`);
  }

  #fail({ at, text }: { at: number; text: string }, message: string): TemplateError {
    const { name, source } = this.options;
    const before = source.slice(0, at).split("\n");
    const place = `${name}:${before.length}:${before.at(-1)!.length}`;
    return new TemplateError(
      `template: ${place}: executing ${JSON.stringify(name)} at <${text}>: ${message}`,
    );
  }
}

function ownerOf(scope: Scope, name: string): Scope {
  for (let at: Scope | undefined = scope; at; at = at.outer) if (at.variables.has(name)) return at;
  // A name that is known is in a scope around: the parser has seen to that.
  throw new TemplateError(`undefined variable "$${name}"`);
}

/** What `range` goes through: undefined when it can't. */
function itemsOf(given: Value): [Value, Value][] | undefined {
  const value = plain(given);
  if (value === null || value === undefined || value === nilSlice) return [];
  if (Array.isArray(value)) return value.map((item, i) => [i, item]);
  if (typeof value === "number") return Array.from({ length: Math.max(value, 0) }, (_, i) => [i, i]);
  const entries = entriesOf(value);
  return entries
    ? Object.keys(entries)
        .sort()
        .map((key) => [key, entries[key]])
    : undefined;
}
