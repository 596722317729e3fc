/** How failures are told to people. */
import { isEngineError } from "../api/client/index.ts";
import { messageOf } from "../lib/errors.ts";
import { TemplateError } from "./template/lex.ts";

/** What the engine said is marked as its words. */
export function describe(error: unknown): string {
  if (isEngineError(error)) return `Error response from daemon: ${error.message}`;
  if (error instanceof TemplateError) return `template parsing error: ${error.message}`;
  return messageOf(error);
}
