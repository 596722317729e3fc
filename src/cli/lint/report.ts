/** What the engine finds in a Dockerfile, and how it is shown. */
import * as v from "valibot";

export const severities = ["info", "warning", "error"] as const;
export type Severity = (typeof severities)[number];

const finding = v.object({
  rule: v.string(),
  severity: v.picklist(severities),
  description: v.string(),
  advice: v.optional(v.string()),
  url: v.string(),
  detail: v.string(),
  line: v.number(),
  endLine: v.number(),
  edits: v.optional(v.array(v.object({ start: v.number(), end: v.number(), text: v.string() }))),
});
export type Finding = v.InferOutput<typeof finding>;

export const lintReport = v.object({
  warnings: v.array(finding),
  error: v.optional(v.object({ message: v.string(), line: v.optional(v.number()) })),
});
export type LintReport = v.InferOutput<typeof lintReport>;

/** Whether a severity is as much as another, or more. */
export const atLeast = (one: Severity, other: Severity) =>
  severities.indexOf(one) >= severities.indexOf(other);

/** A parse error is a finding without a rule of its own. */
export function findingsOf({ warnings, error }: LintReport): Finding[] {
  if (!error) return warnings;
  const line = error.line ?? 1;
  const invalid: Finding = {
    rule: "DockerfileInvalid",
    severity: "error",
    description: "The Dockerfile can't be built as it is written",
    url: "https://docs.docker.com/reference/dockerfile/",
    detail: error.message,
    line,
    endLine: line,
  };
  return [...warnings, invalid].sort((a, b) => a.line - b.line);
}

/** `Dockerfile:3: warning: No USER is set (RootUser)`, and below it why and what to do. */
export function formatFindings(file: string, findings: readonly Finding[]): string {
  return findings
    .map(({ line, severity, detail, rule, description, advice, edits }) =>
      [
        `${file}:${line}: ${severity}: ${detail} (${rule})`,
        ...(description === detail ? [] : [`  why: ${description}`]),
        ...(advice === undefined ? [] : [`  fix: ${advice}`]),
        ...(edits === undefined ? [] : ["  --fix does it"]),
      ]
        .map((text) => `${text}\n`)
        .join(""),
    )
    .join("");
}
