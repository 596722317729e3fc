/**
 * The end of a test run, for logs that are cut in the middle: the slowest files, and each failure in full once more.
 *
 *     bun script/lib/test/report.ts LOG TIMINGS
 *
 * LOG is what `bun test` printed, TIMINGS what its --update-timings wrote.
 */
import { existsSync, readFileSync } from "node:fs";

export interface Failure {
  /** Path of the test file, as bun prints it. */
  file: string;
  /** What bun printed for the test: its output, the error with its place, and the `(fail)` line. */
  lines: string[];
}

const header = /^(\S+\.test\.ts):$/;
const result = /^\((pass|fail|skip|todo)\) /;
const summary = /^\d+ tests? (failed|skipped|todo):$|^ *\d+ pass$/;
const between = "# Unhandled error between tests";
const rule = /^-{20,}$/;

/** The failures in a log of `bun test`, in its order. */
export function failures(log: string): Failure[] {
  const found: Failure[] = [];
  let file = "";
  let lines: string[] = [];
  /** Rules still to come of an error that belongs to no test. */
  let rules = 0;
  for (const line of log.split("\n")) {
    if (summary.test(line)) break;
    const named = header.exec(line)?.[1];
    if (named !== undefined) {
      file = named;
      lines = [];
    } else if (line === between) {
      lines = [line];
      rules = 2;
    } else if (rules > 0) {
      lines.push(line);
      if (!rule.test(line) || --rules > 0) continue;
      found.push({ file, lines });
      lines = [];
    } else if (line.startsWith("(fail) ")) {
      found.push({ file, lines: [...lines, line] });
      lines = [];
    } else if (/^ +\^ this test/.test(line)) found.at(-1)?.lines.push(line);
    else if (result.test(line)) lines = [];
    else if (line !== "" || lines.length > 0) lines.push(line);
  }
  return found;
}

/** At most `most` lines: from a little before the error on, without its middle. */
export function shortened(lines: string[], most: number): string[] {
  if (lines.length <= most) return lines;
  const error = lines.findIndex((line) => /^(\w*Error|error): /.test(line));
  const from = Math.max(0, Math.min(error - 6, lines.length - most));
  const rest = lines.slice(from);
  if (rest.length <= most) return rest;
  const tail = Math.floor(most / 3);
  const head = most - tail - 1;
  return [...rest.slice(0, head), `… ${rest.length - head - tail} lines …`, ...rest.slice(-tail)];
}

/** The `count` files that took longest, from the JSON of --update-timings: { files: { path: milliseconds } }. */
export function slowest(timings: string, count: number): string[] {
  const { files } = JSON.parse(timings) as { files: Record<string, number> };
  return Object.entries(files)
    .sort(([, a], [, b]) => b - a)
    .slice(0, count)
    .map(([path, ms]) => `${(ms / 1000).toFixed(1).padStart(6)} s  ${path}`);
}

if (import.meta.main) {
  const [log, timings] = process.argv.slice(2) as [string, string];
  if (existsSync(timings)) {
    const files = slowest(readFileSync(timings, "utf8"), 10);
    console.log(["", "Slowest files:", ...files].join("\n"));
  }
  const failed = failures(readFileSync(log, "utf8"));
  // Readers of a long log see its last 150 lines or so.
  const most = Math.min(60, Math.max(15, Math.floor(120 / failed.length)));
  for (const { file, lines } of failed) console.log(["", `== ${file}`, ...shortened(lines, most)].join("\n"));
  console.log("");
}
