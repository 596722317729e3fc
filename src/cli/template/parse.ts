/** The tree of a template: a list of nodes, pipelines of commands, operands with their fields. */
import { lex, ParseError, type Piece, type Token } from "./lex.ts";

export type Operand =
  | { type: "dot" }
  | { type: "variable"; name: string }
  | { type: "function"; name: string }
  | { type: "literal"; value: string | number | boolean | null }
  | { type: "pipeline"; pipeline: Pipeline };

/** Where in the template something begins, and how Go writes it. */
interface Place {
  at: number;
  text: string;
}

/** An operand with the fields behind it: `.A.B`, `$x.A`, `(f x).A`. */
export interface Term extends Place {
  operand: Operand;
  fields: string[];
}
/** A term with arguments: `printf "%s" .A`. */
export interface Call extends Place {
  head: Term;
  args: Term[];
}

export interface Pipeline extends Place {
  /** `$x :=`, and for range `$k, $v :=`. */
  variables: string[];
  declares: boolean;
  calls: Call[];
}

export type Node =
  | { type: "text"; text: string }
  | { type: "print"; pipeline: Pipeline }
  | { type: "if" | "with" | "range"; pipeline: Pipeline; body: Node[]; otherwise: Node[] }
  | { type: "template"; name: string; pipeline: Pipeline | undefined; at: number }
  | { type: "break" }
  | { type: "continue" };

export interface Parsed {
  nodes: Node[];
  /** What `define` and `block` have named. */
  templates: Map<string, Node[]>;
}

/** @param isFunction whether there is a function of that name @throws ParseError */
export function parseTemplate(source: string, isFunction: (name: string) => boolean): Parsed {
  const parser = new Parser(lex(source), isFunction);
  const nodes = parser.list();
  if (parser.ended) throw new ParseError(`unexpected {{${parser.ended}}}`);
  return { nodes, templates: parser.templates };
}

type Block = "if" | "with" | "range";
const blocks = new Set<string>(["if", "with", "range"]);

class Parser {
  #at = 0;
  /** The word that ended the last list: `end` or `else`; undefined at the end of the source. */
  ended: "end" | "else" | undefined;
  readonly templates = new Map<string, Node[]>();
  #elseTokens: Token[] = [];
  #ranges = 0;
  /** Variables that are known here, by name. */
  #variables: string[] = [""];

  constructor(
    private readonly pieces: Piece[],
    private readonly isFunction: (name: string) => boolean,
  ) {}

  /** Variables that it declares end with it. */
  list(): Node[] {
    const known = this.#variables.length;
    const nodes: Node[] = [];
    for (;;) {
      const piece = this.pieces[this.#at++];
      this.ended = undefined;
      if (!piece) break;
      if (piece.type === "text") {
        nodes.push(piece);
        continue;
      }
      const [first, ...rest] = piece.tokens;
      const word = first?.type === "word" ? first.text : undefined;
      if (word === "end" || word === "else") {
        this.ended = word;
        this.#elseTokens = rest;
        break;
      }
      if (!first) throw new ParseError("missing value for command");
      const node = this.#action(word, piece.tokens, rest);
      if (node) nodes.push(node);
    }
    this.#variables.length = known;
    return nodes;
  }

  #action(word: string | undefined, tokens: Token[], rest: Token[]): Node | undefined {
    if (word === "break" || word === "continue") {
      if (this.#ranges === 0) throw new ParseError(`{{${word}}} outside {{range}}`);
      return { type: word };
    }
    if (word === "define") {
      this.templates.set(nameOf(word, rest[0]), this.#ownList(word));
      return undefined;
    }
    if (word === "template" || word === "block") {
      const name = nameOf(word, rest[0]);
      const pipeline = rest.length > 1 ? this.#pipeline(rest.slice(1)) : undefined;
      if (word === "block") this.templates.set(name, this.#ownList(word));
      return { type: "template", name, pipeline, at: tokens[0]!.at };
    }
    if (word !== undefined && blocks.has(word)) return this.#block(word as Block, rest);
    return { type: "print", pipeline: this.#pipeline(tokens) };
  }

  /** Up to `end`, without the variables and loops around it. */
  #ownList(word: string): Node[] {
    const [variables, ranges] = [this.#variables, this.#ranges];
    [this.#variables, this.#ranges] = [[""], 0];
    const nodes = this.list();
    [this.#variables, this.#ranges] = [variables, ranges];
    if (this.ended !== "end")
      throw new ParseError(this.ended ? `unexpected {{else}} in ${word} clause` : "unexpected EOF");
    return nodes;
  }

  #block(type: Block, tokens: Token[]): Node {
    const known = this.#variables.length;
    const head = this.#pipeline(tokens, type);
    if (type === "range") this.#ranges++;
    const body = this.list();
    if (type === "range") this.#ranges--;
    let otherwise: Node[] = [];
    if (this.ended === "else") {
      const [first, ...rest] = this.#elseTokens;
      if (first?.type === "word" && first.text === type && type !== "range") {
        // `else if` nests in the tree, but shares the one `end`.
        otherwise = [this.#block(type, rest)];
      } else {
        if (first) throw new ParseError(`unexpected ${textOf(first)} in else`);
        otherwise = this.list();
        if (this.ended === "else") throw new ParseError("expected end; found {{else}}");
      }
    }
    if (this.ended !== "end") throw new ParseError("unexpected EOF");
    this.#variables.length = known;
    return { type, pipeline: head, body, otherwise };
  }

  #pipeline(tokens: Token[], context = "command"): Pipeline {
    const { variables, declares, rest } = declaration(tokens);
    const reader = { tokens: rest, at: 0 };
    const calls = this.#calls(reader, context);
    if (reader.at < rest.length) throw new ParseError("unexpected right paren");
    if (declares) this.#variables.push(...variables);
    else for (const name of variables) this.#checkVariable(name);
    return { variables, declares, calls, at: tokens[0]?.at ?? 0, text: textOfCalls(calls) };
  }

  #checkVariable(name: string): void {
    if (!this.#variables.includes(name)) throw new ParseError(`undefined variable "$${name}"`);
  }

  /** Up to the end or an unmatched `)`. */
  #calls(reader: Reader, context: string): Call[] {
    const calls: Call[] = [];
    let terms: (Term & { start: number })[] = [];
    const finish = () => {
      const [head, ...args] = terms;
      if (!head) throw new ParseError(`missing value for ${calls.length > 0 ? "command" : context}`);
      if (calls.length > 0 && head.operand.type === "literal")
        throw new ParseError(`non executable command in pipeline stage ${calls.length + 1}`);
      calls.push({ head, args, at: head.start, text: terms.map(({ text }) => text).join(" ") });
      terms = [];
    };
    while (reader.at < reader.tokens.length) {
      const token = reader.tokens[reader.at]!;
      if (token.type === "mark" && token.text === ")") break;
      if (token.type === "mark" && token.text === "|") {
        reader.at++;
        finish();
      } else terms.push(this.#term(reader));
    }
    finish();
    return calls;
  }

  #term(reader: Reader): Term & { start: number } {
    const token = reader.tokens[reader.at++]!;
    const term = {
      operand: { type: "dot" } as Operand,
      fields: [] as string[],
      at: token.at,
      start: token.at,
      text: textOf(token),
    };
    switch (token.type) {
      case "field":
        if (token.name !== "") term.fields.push(token.name);
        break;
      case "variable":
        this.#checkVariable(token.name);
        term.operand = { type: "variable", name: token.name };
        break;
      case "string":
      case "number":
        term.operand = { type: "literal", value: token.value };
        break;
      case "word":
        term.operand = this.#word(token.text);
        break;
      default: {
        if (token.text !== "(") throw new ParseError(`unexpected ${JSON.stringify(token.text)} in operand`);
        const calls = this.#calls(reader, "parenthesized pipeline");
        if (reader.tokens[reader.at++] === undefined) throw new ParseError("unclosed left paren");
        term.text = `(${textOfCalls(calls)})`;
        const pipeline = { variables: [], declares: false, calls, at: token.at, text: textOfCalls(calls) };
        term.operand = { type: "pipeline", pipeline };
      }
    }
    let isFirst = true;
    for (
      let next = reader.tokens[reader.at];
      next?.type === "field" && !next.spaced;
      next = reader.tokens[reader.at]
    ) {
      if (next.name === "") throw new ParseError("unexpected <.> in operand");
      // A chain is where its first further field is.
      if (isFirst) term.at = next.at;
      isFirst = false;
      term.fields.push(next.name);
      term.text += `.${next.name}`;
      reader.at++;
    }
    return term;
  }

  #word(word: string): Operand {
    if (word === "true" || word === "false") return { type: "literal", value: word === "true" };
    if (word === "nil") return { type: "literal", value: null };
    if (!this.isFunction(word)) throw new ParseError(`function ${JSON.stringify(word)} not defined`);
    return { type: "function", name: word };
  }
}

function nameOf(word: string, token: Token | undefined): string {
  if (token?.type !== "string")
    throw new ParseError(`unexpected ${token ? textOf(token) : '"}}"'} in ${word} clause`);
  return token.value;
}

function declaration(tokens: Token[]): { variables: string[]; declares: boolean; rest: Token[] } {
  const sign = tokens.findIndex(
    (token) => token.type === "mark" && (token.text === ":=" || token.text === "="),
  );
  if (sign < 0) return { variables: [], declares: false, rest: tokens };
  const variables = tokens.slice(0, sign).filter((token) => !(token.type === "mark" && token.text === ","));
  return {
    variables: variables.map((token) => {
      if (token.type !== "variable") throw new ParseError("unexpected token before :=");
      return token.name;
    }),
    declares: (tokens[sign] as { text: string }).text === ":=",
    rest: tokens.slice(sign + 1),
  };
}

interface Reader {
  tokens: Token[];
  at: number;
}

const textOfCalls = (calls: Call[]) => calls.map(({ text }) => text).join(" | ");

function textOf(token: Token): string {
  if (token.type === "field") return `.${token.name}`;
  if (token.type === "variable") return `$${token.name}`;
  return token.type === "string" || token.type === "number" ? token.source : token.text;
}
