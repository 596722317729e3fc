import { ExitStatus } from "../context.ts";
import { describe } from "../errors.ts";
import { compileTemplate, ParseError, type Template } from "../template/index.ts";

/**
 * The template of a command that shows objects; lists have format/listing.ts.
 * @param name as Docker's messages name it
 * @throws ExitStatus 64, as Docker, when it is malformed
 */
export function compileFormat(source: string, name = ""): Template {
  try {
    return compileTemplate(source, { name });
  } catch (error) {
    throw error instanceof ParseError ? new ExitStatus(64, describe(error)) : error;
  }
}
