/** Go templates for `--format`: fields, pipelines, conditions, loops, named templates and Docker's functions. */
import { Evaluator, type MissingKey } from "./evaluate.ts";
import { type Functions, functions } from "./functions.ts";
import { ParseError } from "./lex.ts";
import { parseTemplate } from "./parse.ts";
import type { Value } from "./values.ts";

export { headerFunctions } from "./functions.ts";
export { ParseError, TemplateError } from "./lex.ts";
export { toJson, type Value } from "./values.ts";

export type Template = (data: Value, missing?: MissingKey) => string;

export interface TemplateOptions {
  /** For maps: what a key that isn't there means, unless a call says otherwise. */
  missing?: MissingKey;
  functions?: Functions;
  /** As Docker's messages name the template. */
  name?: string;
}

/** Go has these without a table of functions. */
const builtin = new Set(["and", "or", "call"]);

/** @throws ParseError when the source is malformed; the template itself throws TemplateError when it can't be run */
export function compileTemplate(
  source: string,
  { missing: usual = "no such field", functions: available = functions, name = "" }: TemplateOptions = {},
): Template {
  try {
    const parsed = parseTemplate(source, (word) => builtin.has(word) || Object.hasOwn(available, word));
    return (data, missing = usual) =>
      new Evaluator(parsed, { functions: available, missing, name, source }).run(data);
  } catch (error) {
    if (!(error instanceof ParseError)) throw error;
    throw new ParseError(`template: ${name}:1: ${error.message}`, { cause: error });
  }
}
