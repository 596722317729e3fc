import type { Value } from "../types.ts";
import { ValueError } from "../value.ts";

/** RFC 4180: the first row has the names. @throws ValueError when a row is longer or shorter */
export function parseCsv(text: string): Value[] {
  const [names, ...rows] = readRows(text);
  if (!names) return [];
  return rows.map((row, i) => {
    if (row.length !== names.length) throw new ValueError(`row ${i + 2} has ${row.length} fields`);
    return Object.fromEntries(row.map((value, column) => [names[column]!, value]));
  });
}

/** Fields split at commas outside of quotes; the values of flags are such rows as well. */
export function readRows(text: string): string[][] {
  const rows: string[][] = [];
  let row: string[] = [];
  let field = "";
  let quoted = false;
  const endField = () => {
    row.push(field);
    field = "";
  };
  const endRow = () => {
    if (row.length > 0 || field !== "") {
      endField();
      rows.push(row);
    }
    row = [];
  };
  for (let i = 0; i < text.length; i++) {
    const char = text[i]!;
    if (quoted) {
      if (char !== '"') field += char;
      else if (text[i + 1] === '"') field += text[++i];
      else quoted = false;
    } else if (char === '"' && field === "") quoted = true;
    else if (char === ",") endField();
    else if (char === "\n") endRow();
    else if (char !== "\r") field += char;
  }
  endRow();
  return rows;
}
