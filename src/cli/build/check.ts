/** `build --check`: what the build checks found, as `docker build --check` shows it. */
import * as v from "valibot";
import type { CliContext } from "../context.ts";
import { showExcerpt } from "./excerpt.ts";
import type { PreparedBuild } from "./run-build.ts";

const place = { line: v.number(), endLine: v.number() };
export const checkReport = v.object({
  file: v.string(),
  source: v.string(),
  warnings: v.array(
    v.object({ rule: v.string(), url: v.string(), description: v.string(), detail: v.string(), ...place }),
  ),
  error: v.optional(
    v.object({ message: v.string(), line: v.optional(v.number()), endLine: v.optional(v.number()) }),
  ),
});
export type CheckReport = v.InferOutput<typeof checkReport>;

const around = 2;

export function showReport({ file, source, warnings, error }: CheckReport): string {
  const all = source.replace(/\n$/, "").split(/\r?\n/);
  const excerpt = (line: number, endLine: number) => {
    const from = Math.max(1, line - around);
    return showExcerpt({ file, line, endLine, from, lines: all.slice(from - 1, endLine + around) });
  };
  const shown: string[] = [];
  if (warnings.length === 1) shown.push("Check complete, 1 warning has been found!");
  if (warnings.length > 1) shown.push(`Check complete, ${warnings.length} warnings have been found!`);
  for (const { rule, url, detail, line, endLine } of warnings)
    shown.push("", `WARNING: ${rule} - ${url}`, detail, excerpt(line, endLine));
  if (error) {
    shown.push("", `ERROR: ${error.message}`);
    if (error.line !== undefined) shown.push(excerpt(error.line, error.endLine ?? error.line));
  } else if (warnings.length === 0) shown.push("Check complete, no warnings found.");
  return `${shown.join("\n")}\n`;
}

/** Has the engine check what would be built. `ok`: nothing was found. */
export async function runCheck(
  { client }: CliContext,
  { path, query, body, start }: PreparedBuild,
  signal?: AbortSignal,
): Promise<{ text: string; ok: boolean }> {
  start();
  const report = v.parse(checkReport, await client.call("POST", path, { query, body, signal }));
  return { text: showReport(report), ok: report.warnings.length === 0 && !report.error };
}
