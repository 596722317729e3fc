/** What is told of a failed build besides Docker's own words: the Dockerfile's lines, the step and its last output. */
import { BuildStepFailed, DockerfileError } from "../../build/index.ts";
import type { BuildEvent, Excerpt } from "../../build/types.ts";
import { messageOf } from "../../lib/errors.ts";

export interface BuildErrorDetail {
  message: string;
  /** The exit code of a step. */
  code?: number;
  source?: Excerpt;
  /** What to try. */
  hint?: string;
  /** The step that failed: `[builder 2/5] RUN make`. */
  step?: string;
  /** Its last lines. */
  output?: string[];
}

const keptLines = 10;
const keptBytes = 8 * 1024;

/** Keeps the end of each running step's output, and which step failed. */
export class FailedStep {
  readonly #tails = new Map<string, string>();
  name: string | undefined;
  output: string[] = [];

  note(event: BuildEvent): void {
    if (event.type === "log") {
      const text = (this.#tails.get(event.id) ?? "") + Buffer.from(event.data).toString("utf8");
      this.#tails.set(event.id, text.slice(-keptBytes));
    }
    if (event.type !== "vertex" || event.state === "started") return;
    // The first failure is the cause; others were stopped because of it.
    if (event.state === "failed" && this.name === undefined) {
      this.name = event.name;
      const said = (this.#tails.get(event.id) ?? "").trimEnd();
      if (said !== "") this.output = said.split("\n").slice(-keptLines);
    }
    this.#tails.delete(event.id);
  }
}

export function buildErrorDetail(error: unknown, step: FailedStep): BuildErrorDetail {
  const message = messageOf(error);
  if (!(error instanceof DockerfileError || error instanceof BuildStepFailed)) return { message };
  const { excerpt: source, hint } = error;
  const { name, output } = step;
  const code = error instanceof BuildStepFailed ? error.exitCode : undefined;
  return { code, message, source, hint, step: name, output };
}
