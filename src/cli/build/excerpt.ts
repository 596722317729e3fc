/** A Dockerfile's lines with the ones that matter marked, as BuildKit's clients show them. */
import * as v from "valibot";

const excerpt = v.object({
  file: v.string(),
  line: v.number(),
  endLine: v.number(),
  from: v.number(),
  lines: v.array(v.string()),
});
export type Excerpt = v.InferOutput<typeof excerpt>;

const failure = v.object({
  source: v.optional(excerpt),
  step: v.optional(v.string()),
  output: v.optional(v.array(v.string()), []),
});

const rule = "-".repeat(20);

export function showExcerpt({ file, line, endLine, from, lines }: Excerpt): string {
  const rows = lines.map((text, i) => {
    const number = from + i;
    const mark = number >= line && number <= endLine ? ">>>" : "   ";
    return ` ${String(number).padStart(3)} | ${mark} ${text}`.trimEnd();
  });
  return [`${file}:${line}`, rule, ...rows, rule].join("\n");
}

/** What goes before the message of a failed build; empty when the engine told nothing more. */
export function showFailure(detail: unknown): string {
  const parsed = v.safeParse(failure, detail);
  if (!parsed.success) return "";
  const { source, step, output } = parsed.output;
  const shown: string[] = [];
  if (step !== undefined && output.length > 0) shown.push("------", ` > ${step}:`, ...output, "------");
  if (source) shown.push(showExcerpt(source));
  return shown.map((line) => `${line}\n`).join("");
}

/** Where in the Dockerfile the failure is. */
export function lineOf(detail: unknown): number | undefined {
  const parsed = v.safeParse(failure, detail);
  return parsed.success ? parsed.output.source?.line : undefined;
}
