/** `build --explain`: for each step whether it was cached, and if not what has changed. */
import { InvalidParameter } from "../../lib/errors.ts";
import { alignColumns } from "../format/table.ts";

/** What the engine tells of one step. */
export interface Explanation {
  id: string;
  name: string;
  cached: boolean;
  reasons: { kind: string; name: string; change: string }[];
}

export type ExplainFormat = "table" | "json";

/** @throws InvalidParameter */
export function explainFormat(text: string): ExplainFormat {
  if (text === "table" || text === "json") return text;
  throw new InvalidParameter(`invalid format ${JSON.stringify(text)} of --explain: table or json is wanted`);
}

export function showExplanations(explanations: readonly Explanation[], format: ExplainFormat): string {
  if (format === "json") return `${JSON.stringify(explanations, undefined, 2)}\n`;
  const rows = explanations.flatMap(({ name, cached, reasons }) => {
    const [first, ...more] = reasons.map(reasonText);
    const head = [oneLine(name), cached ? "yes" : "no", first ?? ""];
    return [head, ...more.map((reason) => ["", "", reason])];
  });
  return `${alignColumns([["STEP", "CACHED", "WHY"], ...rows].map((row) => row.join("\t")).join("\n"))}\n`;
}

const words: Record<string, string> = {
  file: "file",
  arg: "argument",
  base: "base image",
  parent: "the step before",
  mount: "mount",
  instruction: "instruction",
};

function reasonText({ kind, name, change }: Explanation["reasons"][number]): string {
  if (kind === "new") return change;
  if (kind === "no-cache") return `${name} was given`;
  return oneLine(`${words[kind] ?? kind} ${kind === "parent" ? "" : `${name} `}${change}`);
}

/** Long steps would push the reasons out of sight. */
const longest = 60;

function oneLine(text: string): string {
  const line = text.replace(/\s+/g, " ");
  return line.length > longest ? `${line.slice(0, longest - 1)}…` : line;
}
