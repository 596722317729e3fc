/** The builder's own errors: each knows where in the Dockerfile it comes from. */
import { type ErrorKind, GantryError, InvalidParameter } from "../lib/errors.ts";
import type { SourceRange } from "./dockerfile/instructions.ts";
import type { DockerfileProblem, Excerpt } from "./types.ts";

/** A Dockerfile that can't be built as written. */
export class DockerfileError extends InvalidParameter implements DockerfileProblem {
  readonly file: string;
  readonly line: number;
  readonly endLine?: number;
  readonly hint?: string;
  /** The offending text, as written. */
  readonly source?: string;
  excerpt?: Excerpt;

  constructor(message: string, problem: DockerfileProblem & { source?: string }) {
    super(message);
    this.file = problem.file;
    this.line = problem.line;
    this.endLine = problem.endLine;
    this.hint = problem.hint;
    this.source = problem.source;
  }
}

/** A step whose command ended with a non-zero code. Kind "internal", as Docker reports it with code and message. */
export class BuildStepFailed extends GantryError implements DockerfileProblem {
  readonly file: string;
  /** Assigned, for every Error of the engine has a `line` of its own, which hides a getter. */
  readonly line: number;
  readonly endLine: number;
  readonly hint?: string;
  excerpt?: Excerpt;

  constructor(
    readonly command: string,
    readonly exitCode: number,
    /** undefined: it comes from no file. */
    readonly range: SourceRange | undefined,
  ) {
    super("internal", `The command '${command}' returned a non-zero code: ${exitCode}`);
    this.file = range?.file ?? "";
    this.line = range?.line ?? 0;
    this.endLine = range?.endLine ?? 0;
  }
}

/** An error that knows its place. */
export function isLocated(error: unknown): error is DockerfileError | BuildStepFailed {
  return error instanceof DockerfileError || (error instanceof BuildStepFailed && error.range !== undefined);
}

/** How many lines are shown before and after the ones that matter. */
const around = 3;

export function excerptOf(text: string, { file, line, endLine = line }: DockerfileProblem): Excerpt {
  const all = text.replace(/\n$/, "").split(/\r?\n/);
  const from = Math.max(1, line - around);
  return { file, line, endLine, from, lines: all.slice(from - 1, endLine + around) };
}

/** The parser's errors carry Docker's prefix. */
export function parseError(range: SourceRange, text: string, hint?: string): DockerfileError {
  const message = `dockerfile parse error on line ${range.line}: ${text}${hint ? ` (${hint})` : ""}`;
  return new DockerfileError(message, { ...range, hint });
}

/** An error of a step: Docker's message first, then where it was. */
export function stepError(range: SourceRange, text: string, hint?: string): DockerfileError {
  const where = `${range.file}:${range.line}: ${range.source}`;
  return new DockerfileError(`${text}${hint ? ` (${hint})` : ""}\n${where}`, { ...range, hint });
}

/** Nothing that a line of the Dockerfile is the cause of; a refused right names its line itself. */
const placeless = new Set<ErrorKind>(["cancelled", "no-space", "forbidden"]);

/** What went wrong in a step, with its place when it doesn't know it yet. */
export function placed(error: unknown, range: SourceRange, hint?: string): unknown {
  const leave = !(error instanceof GantryError) || isLocated(error) || placeless.has(error.kind);
  return leave ? error : stepError(range, error.message, hint);
}
