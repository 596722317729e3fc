/** Go templates for `--format`: fields, pipelines, conditions, loops and Docker's functions. */
import { Evaluator, type MissingField, type Value } from "./evaluate.ts";
import { type Functions, functions } from "./functions.ts";
import { TemplateError } from "./lex.ts";
import { parseTemplate } from "./parse.ts";

export type { MissingField, Value } from "./evaluate.ts";
export { headerFunctions } from "./functions.ts";
export { TemplateError } from "./lex.ts";

export type Template = (data: Value) => string;

/** For rows with a fixed set of fields. */
const noSuchField: MissingField = (_, name) => {
  throw new TemplateError(`can't evaluate field ${name}`);
};

/** @throws TemplateError when the source is malformed; the template itself throws it when it can't be run */
export function compileTemplate(
  source: string,
  missing: MissingField = noSuchField,
  available: Functions = functions,
): Template {
  const nodes = parseTemplate(source);
  return (data) => new Evaluator(data, missing, available).run(nodes);
}
