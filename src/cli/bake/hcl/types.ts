/**
 * HCL as Bake files use it: text becomes bodies and expressions (`body.ts`, `expression.ts`, `template.ts`), and an
 * expression becomes a value where names mean something (`evaluate.ts`). Source of the language: the HCL native syntax
 * specification.
 */
import { InvalidParameter } from "../../../lib/errors.ts";

/** Where something stands; line and column count from 1. */
export interface Place {
  file: string;
  line: number;
  column: number;
}

/** Numbers are JavaScript's: whole up to 2^53. Maps are plain objects with own keys. */
export type Value = string | number | boolean | null | Value[] | { [key: string]: Value };

export type BinaryOperator =
  | "||"
  | "&&"
  | "=="
  | "!="
  | "<"
  | ">"
  | "<="
  | ">="
  | "+"
  | "-"
  | "*"
  | "/"
  | "%";

type Node =
  | { kind: "literal"; value: Value }
  /** Texts and interpolations one after the other; an interpolation alone keeps its type. */
  | { kind: "template"; parts: Expression[] }
  /** `%{ for %}`: a template for each element. */
  | { kind: "repeat"; loop: Expression }
  | { kind: "name"; name: string }
  | { kind: "attribute"; of: Expression; name: string }
  | { kind: "index"; of: Expression; key: Expression }
  /** `of[*].rest`: `each` is evaluated for each element, which it finds under the name `""`. */
  | { kind: "splat"; of: Expression; each: Expression }
  | { kind: "call"; name: string; arguments: Expression[]; spread: boolean }
  | { kind: "conditional"; test: Expression; yes: Expression; no: Expression }
  | { kind: "binary"; operator: BinaryOperator; left: Expression; right: Expression }
  | { kind: "unary"; operator: "-" | "!"; operand: Expression }
  | { kind: "tuple"; items: Expression[] }
  | { kind: "object"; entries: [key: Expression, value: Expression][] }
  | {
      kind: "for";
      /** The names of key (or position) and value. */
      key?: string;
      value: string;
      over: Expression;
      /** Set for the object form. */
      keyResult?: Expression;
      result: Expression;
      /** `...`: values of the same key are put in a list. */
      grouped: boolean;
      condition?: Expression;
    };
export type Expression = Node & { at: Place };

export interface Attribute {
  name: string;
  value: Expression;
  at: Place;
}

export interface Block {
  type: string;
  labels: string[];
  body: Body;
  at: Place;
}

export interface Body {
  attributes: Attribute[];
  blocks: Block[];
}

/** A file that can't be read, or an expression that has no value. The message begins with `file:line,column`. */
export class HclError extends InvalidParameter {
  constructor(
    readonly place: Place,
    readonly reason: string,
  ) {
    super(`${place.file}:${place.line},${place.column}: ${reason}`);
  }
}
