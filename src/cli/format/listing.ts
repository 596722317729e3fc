/** What `ls` commands print: a table, a template a row, or JSON lines. */
import type { Value } from "../template/index.ts";
import { alignColumns } from "./table.ts";

export type Row = { [field: string]: Value };

export interface Listing {
  /** The value of `--format`; empty or `table` for the usual table. */
  format: string | undefined;
  /** The fields that the usual table shows. */
  columns: readonly string[];
  /** Titles of the fields. */
  headers: Record<string, string>;
  rows: Row[];
  /** The template that `raw` stands for; without one it is a text like any other. */
  raw?: string;
}

/** @throws TemplateError */
export async function renderListing({ format, columns, headers, rows, raw }: Listing): Promise<string> {
  if (format === "json" || format === "{{json .}}")
    return rows.map((row) => `${goJson(withSortedFields(row))}\n`).join("");
  // The shell hands over `\t` as two characters; Docker reads them as a tab.
  const asked = (format || "table").replaceAll("\\t", "\t").replaceAll("\\n", "\n");
  if (asked === "table") return renderTable({ columns, headers, rows });
  // Loaded when it is asked for: the usual table of a short command takes half its time without it.
  const { compileTemplate, headerFunctions } = await import("../template/index.ts");
  const isTable = asked.startsWith("table");
  const source = asked === "raw" && raw !== undefined ? raw : asked;
  const body = (isTable ? source.slice("table".length) : source).replace(/^ +| +$/g, "");
  const template = compileTemplate(body);
  // Only what shows a row as a whole shows the order of its fields.
  const isWhole = /json|\.\W*\}\}/.test(body);
  const lines = rows.map((row) => template(isWhole ? withSortedFields(row) : row));
  if (!isTable) return lines.map((line) => `${line}\n`).join("");
  const head = compileTemplate(body, { functions: headerFunctions })({ ...headers, Label: labelTitle });
  return `${alignColumns([head, ...lines].join("\n"))}\n`;
}

/** The usual table. */
export function renderTable({ columns, headers, rows }: Omit<Listing, "format">): string {
  let text = "";
  for (const row of [headers, ...rows]) {
    let line = "";
    for (const field of columns) line += `\t${row[field]}`;
    text += `\n${line.slice(1)}`;
  }
  return `${alignColumns(text.slice(1))}\n`;
}

const labelTitle = (name: Value): string => String(name).split(".").at(-1)!.replace(/[-_]/g, " ");

/** Go marshals a row's fields in the order of their names. Getters stay: what costs is computed when it's shown. */
export function withSortedFields(row: Row): Row {
  const fields = Object.getOwnPropertyDescriptors(row);
  return Object.defineProperties(
    {},
    Object.fromEntries(Object.entries(fields).sort(([a], [b]) => (a < b ? -1 : 1))),
  );
}

/** As Go marshals it, with what HTML would read escaped. */
export function goJson(value: object): string {
  return JSON.stringify(value).replace(/[<>&]/g, (char) => `\\u00${char.charCodeAt(0).toString(16)}`);
}

/** Quiet output: an id a line. */
export function renderIds(ids: string[]): string {
  return ids.map((id) => `${id}\n`).join("");
}
