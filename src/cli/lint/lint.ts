import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { basename, dirname, join, relative } from "node:path";
import * as v from "valibot";
import { InvalidParameter, NotFound } from "../../lib/errors.ts";
import { applyEdits } from "../../lib/text-edit.ts";
import { archiveOf } from "../build/archive.ts";
import { between, defineCommand } from "../command.ts";
import type { CliContext } from "../context.ts";
import { atLeast, type Finding, findingsOf, formatFindings, lintReport, severities } from "./report.ts";

export const command = defineCommand({
  name: "lint",
  usage: "[OPTIONS] [DIRECTORY | FILE]",
  summary: "Look through a Dockerfile for mistakes and better ways",
  flags: {
    "fail-on": {
      kind: "string",
      help: "Exit with 1 at this severity: info, warning, error or none",
      default: "warning",
    },
    fix: { kind: "bool", help: "Mend what can be mended without a change of the image" },
    format: { kind: "string", help: "Output: text or json", default: "text" },
    severity: {
      kind: "string",
      help: "Show findings from this severity on: info, warning or error",
      default: "info",
    },
  },
  arity: between(0, 1),
  examples: [
    "lint",
    "lint --fix app",
    "lint --severity warning docker/Dockerfile",
    "lint --format json --fail-on error",
  ],
  async run(context, { flags, args: [path = "."] }) {
    const shown = oneOf("severity", severities, flags.severity);
    const failOn = oneOf("fail-on", [...severities, "none"] as const, flags["fail-on"]);
    const format = oneOf("format", ["text", "json"] as const, flags.format);
    const file = dockerfileAt(path);
    const { findings, fixed } = await (flags.fix ? mend(context, file) : look(context, file));
    const visible = findings.filter(({ severity }) => atLeast(severity, shown));
    const name = relative(process.cwd(), file).startsWith("..") ? file : relative(process.cwd(), file);
    if (format === "json")
      context.line(JSON.stringify({ file: name, fixed, findings: visible }, undefined, 2));
    else context.out(formatFindings(name, visible) + summary(visible.length, fixed));
    return failOn !== "none" && findings.some(({ severity }) => atLeast(severity, failOn)) ? 1 : 0;
  },
});

function oneOf<const T extends string>(flag: string, allowed: readonly T[], value: string): T {
  const found = allowed.find((one) => one === value);
  if (found === undefined)
    throw new InvalidParameter(`invalid --${flag} ${JSON.stringify(value)}: must be ${allowed.join(", ")}`);
  return found;
}

/** @throws NotFound */
function dockerfileAt(path: string): string {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (!stat) throw new NotFound(`${path}: no such file or directory`);
  if (!stat.isDirectory()) return join(process.cwd(), relative(process.cwd(), path));
  const found = ["Dockerfile", "dockerfile"].map((name) => join(path, name)).find((name) => existsSync(name));
  if (!found) throw new NotFound(`there is no Dockerfile in ${path}`);
  return join(process.cwd(), relative(process.cwd(), found));
}

interface Result {
  findings: Finding[];
  /** Names of the rules whose findings were mended. */
  fixed: string[];
}

async function look(context: CliContext, file: string): Promise<Result> {
  const name = basename(file);
  // The rules look at these alone: nothing else of the context is sent.
  const names = [name, `${name}.dockerignore`, ".dockerignore"].filter((one) =>
    existsSync(join(dirname(file), one)),
  );
  const body = archiveOf(names.map((one) => [one, readFileSync(join(dirname(file), one))]));
  const answer = await context.client.call("POST", "/build", {
    query: { lint: 1, dockerfile: name, version: 1 },
    body,
  });
  return { findings: findingsOf(v.parse(lintReport, answer)), fixed: [] };
}

/** Edits may make room for others, as each place is changed once at a time. */
const rounds = 10;

async function mend(context: CliContext, file: string): Promise<Result> {
  const fixed: string[] = [];
  for (let round = 0; ; round++) {
    const { findings } = await look(context, file);
    const mendable = findings.filter(({ edits }) => edits !== undefined);
    if (mendable.length === 0 || round === rounds) return { findings, fixed };
    const source = readFileSync(file, "utf8");
    writeFileSync(
      file,
      applyEdits(
        source,
        mendable.flatMap(({ edits }) => edits!),
      ),
    );
    fixed.push(...mendable.map(({ rule }) => rule));
  }
}

function summary(count: number, fixed: readonly string[]): string {
  const mended = fixed.length > 0 ? `Mended: ${[...new Set(fixed)].join(", ")}.\n` : "";
  if (count === 0) return `${mended}Nothing found.\n`;
  return `${mended}${count} ${count === 1 ? "finding" : "findings"}.\n`;
}
