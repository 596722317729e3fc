/** `--list targets` and `--list variables`: what a file has; nothing is built. */
import { InvalidParameter } from "../../lib/errors.ts";
import { splitCsv } from "../args/values.ts";
import type { Value } from "./hcl/types.ts";
import type { Loaded } from "./load.ts";
import type { Project } from "./resolve.ts";
import { formatType } from "./variable-type.ts";

/** @param wanted `targets`, `variables` or `type=targets,format=json` @throws InvalidParameter */
export function formatList(wanted: string, { project, variables }: Loaded): string {
  const { type, format } = readOptions(wanted);
  if (type === "targets") {
    const rows = targetRows(project);
    if (format === "json") return json(rows);
    return table([
      ["TARGET", "DESCRIPTION"],
      ...rows.map(({ name, description, targets }) => [name, targets?.join(", ") ?? description ?? ""]),
    ]);
  }
  const rows = variables.map(({ name, type, value, description }) => ({
    name,
    ...(type && { type: formatType(type) }),
    value: valueText(value),
    ...(description && { description }),
  }));
  if (format === "json") return json(rows);
  return table([
    ["VARIABLE", "TYPE", "VALUE", "DESCRIPTION"],
    ...rows.map(({ name, type = "", value, description = "" }) => [name, type, value, description]),
  ]);
}

function readOptions(wanted: string): { type: string; format: string } {
  const options = { type: "", format: "table" };
  for (const word of splitCsv(wanted)) {
    const [name = "", value] = word.split("=", 2);
    if (value === undefined) options.type = name;
    else if (name === "type" || name === "format") options[name] = value;
    else throw new InvalidParameter(`unexpected key ${name} in ${JSON.stringify(wanted)}`);
  }
  for (const [name, allowed] of [
    ["type", ["targets", "variables"]],
    ["format", ["table", "json"]],
  ] as const)
    if (!allowed.some((value) => value === options[name]))
      throw new InvalidParameter(
        `invalid list ${name} ${JSON.stringify(options[name])}: must be ${allowed.join(" or ")}`,
      );
  return options;
}

interface TargetRow {
  name: string;
  description?: string;
  group?: true;
  targets?: string[];
}

/** Names that begin with `_` are for other targets to inherit. */
function targetRows({ targets, groups }: Project): TargetRow[] {
  const rows: TargetRow[] = [...groups].map(([name, members]) => ({ name, group: true, targets: members }));
  for (const [name, { target }] of targets)
    if (!name.startsWith("_") && !groups.has(name)) rows.push({ name, description: target.description });
  return rows.sort((a, b) => (a.name < b.name ? -1 : 1));
}

const json = (rows: object[]) => `${JSON.stringify(rows, undefined, 2)}\n`;

const valueText = (value: Value) =>
  value === null ? "" : typeof value === "object" ? JSON.stringify(value) : String(value);

function table(rows: string[][]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const line = (row: string[]) => row.map((cell, i) => cell.padEnd(widths[i]!)).join("   ");
  return rows.map((row) => `${line(row).trimEnd()}\n`).join("");
}
