/** The tree of a template: a list of nodes, pipelines of commands, operands with their fields. */
import { lex, type Piece, TemplateError, type Token } from "./lex.ts";

export type Operand =
  | { type: "dot" }
  | { type: "variable"; name: string }
  | { type: "function"; name: string }
  | { type: "literal"; value: string | number | boolean | null }
  | { type: "pipeline"; pipeline: Pipeline };

/** An operand with the fields behind it: `.A.B`, `$x.A`, `(f x).A`. */
export interface Term {
  operand: Operand;
  fields: string[];
}
/** A term with arguments: `printf "%s" .A`. */
export type Call = Term[];

export interface Pipeline {
  /** `$x :=`, and for range `$k, $v :=`. */
  variables: string[];
  declares: boolean;
  calls: Call[];
}

export type Node =
  | { type: "text"; text: string }
  | { type: "print"; pipeline: Pipeline }
  | { type: "if" | "with" | "range"; pipeline: Pipeline; body: Node[]; otherwise: Node[] }
  | { type: "break" }
  | { type: "continue" };

/** @throws TemplateError */
export function parseTemplate(source: string): Node[] {
  const parser = new Parser(lex(source));
  const nodes = parser.list();
  if (parser.ended) throw new TemplateError(`unexpected {{${parser.ended}}}`);
  return nodes;
}

const blocks = new Set(["if", "with", "range"]);
const unsupported = new Set(["define", "template", "block"]);

class Parser {
  #at = 0;
  /** The word that ended the last list: `end` or `else`; undefined at the end of the source. */
  ended: "end" | "else" | undefined;
  #elseTokens: Token[] = [];

  constructor(private readonly pieces: Piece[]) {}

  list(): Node[] {
    const nodes: Node[] = [];
    for (;;) {
      const piece = this.pieces[this.#at++];
      this.ended = undefined;
      if (!piece) return nodes;
      if (piece.type === "text") {
        nodes.push(piece);
        continue;
      }
      const [first, ...rest] = piece.tokens;
      const word = first?.type === "word" ? first.text : undefined;
      if (word === "end" || word === "else") {
        this.ended = word;
        this.#elseTokens = rest;
        return nodes;
      }
      if (!first) throw new TemplateError("missing value for command");
      if (word !== undefined && unsupported.has(word)) {
        throw new TemplateError(`{{${word}}} is not supported in formats`);
      }
      if (word === "break" || word === "continue") nodes.push({ type: word });
      else if (word !== undefined && blocks.has(word)) nodes.push(this.#block(word as "if", rest));
      else nodes.push({ type: "print", pipeline: pipeline(piece.tokens) });
    }
  }

  #block(type: "if" | "with" | "range", tokens: Token[]): Node {
    const head = pipeline(tokens);
    const body = this.list();
    let otherwise: Node[] = [];
    if (this.ended === "else") {
      const [first, ...rest] = this.#elseTokens;
      if (first?.type === "word" && first.text === type && type !== "range") {
        // `else if` nests in the tree, but shares the one `end`.
        otherwise = [this.#block(type, rest)];
        return { type, pipeline: head, body, otherwise };
      }
      if (first) throw new TemplateError("unexpected token in else");
      otherwise = this.list();
    }
    if (this.ended !== "end") throw new TemplateError("unexpected EOF");
    return { type, pipeline: head, body, otherwise };
  }
}

function pipeline(tokens: Token[]): Pipeline {
  const { variables, declares, rest } = declaration(tokens);
  const reader = { tokens: rest, at: 0 };
  const calls = readCalls(reader);
  if (reader.at < rest.length) throw new TemplateError("unexpected right paren");
  return { variables, declares, calls };
}

function declaration(tokens: Token[]): { variables: string[]; declares: boolean; rest: Token[] } {
  const sign = tokens.findIndex(
    (token) => token.type === "mark" && (token.text === ":=" || token.text === "="),
  );
  if (sign < 0) return { variables: [], declares: false, rest: tokens };
  const variables = tokens.slice(0, sign).filter((token) => !(token.type === "mark" && token.text === ","));
  return {
    variables: variables.map((token) => {
      if (token.type !== "variable") throw new TemplateError("unexpected token before :=");
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

/** Up to the end or an unmatched `)`. */
function readCalls(reader: Reader): Call[] {
  const calls: Call[] = [];
  let call: Call = [];
  const finish = () => {
    if (call.length === 0) throw new TemplateError("missing value for command");
    calls.push(call);
    call = [];
  };
  for (; reader.at < reader.tokens.length; ) {
    const token = reader.tokens[reader.at]!;
    if (token.type === "mark" && token.text === ")") break;
    if (token.type === "mark" && token.text === "|") {
      reader.at++;
      finish();
    } else call.push(readTerm(reader));
  }
  finish();
  return calls;
}

function readTerm(reader: Reader): Term {
  const token = reader.tokens[reader.at++]!;
  const term: Term = { operand: { type: "dot" }, fields: [] };
  switch (token.type) {
    case "field":
      if (token.name !== "") term.fields.push(token.name);
      break;
    case "variable":
      term.operand = { type: "variable", name: token.name };
      break;
    case "string":
    case "number":
      term.operand = { type: "literal", value: token.value };
      break;
    case "word":
      term.operand = wordOperand(token.text);
      break;
    default: {
      if (token.text !== "(") throw new TemplateError(`unexpected ${JSON.stringify(token.text)} in operand`);
      const calls = readCalls(reader);
      if (reader.tokens[reader.at++] === undefined) throw new TemplateError("unclosed left paren");
      term.operand = { type: "pipeline", pipeline: { variables: [], declares: false, calls } };
    }
  }
  for (
    let next = reader.tokens[reader.at];
    next?.type === "field" && !next.spaced;
    next = reader.tokens[reader.at]
  ) {
    if (next.name === "") throw new TemplateError("unexpected <.> in operand");
    term.fields.push(next.name);
    reader.at++;
  }
  return term;
}

function wordOperand(word: string): Operand {
  if (word === "true" || word === "false") return { type: "literal", value: word === "true" };
  return word === "nil" ? { type: "literal", value: null } : { type: "function", name: word };
}
