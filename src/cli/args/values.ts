import { isDigits } from "../../lib/digits.ts";
import { parseDuration } from "../../lib/duration.ts";

/** Values as Docker's flags write them. All throw Error with the text that Go's parsers give. */

const sizeUnits: Record<string, number> = {
  "": 1,
  b: 1,
  k: 2 ** 10,
  m: 2 ** 20,
  g: 2 ** 30,
  t: 2 ** 40,
  p: 2 ** 50,
};

/** `64m`, `1.5GiB`, `512` in powers of 1024; `-1` passes. */
export function parseBytes(text: string): number {
  if (text === "-1") return -1;
  const match = /^(\d+(?:\.\d+)?|\.\d+) ?([bkmgtp]?)(?:i?b)?$/i.exec(text);
  if (!match) throw new Error(`invalid size: '${text}'`);
  return Math.floor(Number(match[1]) * sizeUnits[match[2]!.toLowerCase()]!);
}

/** Go's `1h2m3.5s` as nanoseconds. @throws Error in Go's words */
export function parseGoDuration(text: string): number {
  const nanoseconds = parseDuration(text);
  if (nanoseconds !== undefined) return nanoseconds;
  const missing = /^[-+]?[\d.]+$/.test(text) ? "missing unit in duration" : "invalid duration";
  throw new Error(`time: ${missing} ${JSON.stringify(text)}`);
}

/** `1.5` CPUs as 1,500,000,000. */
export function parseNanoCpus(text: string): number {
  if (!/^\d*(?:\.\d+)?$/.test(text) || text === "")
    throw new Error(`failed to parse ${text} as a rational number`);
  const nano = Number(text) * 1e9;
  if (!Number.isInteger(Math.round(nano * 1e3) / 1e3)) throw new Error("value is too precise");
  return Math.round(nano);
}

export function parseInteger(text: string): number {
  const digits = text.startsWith("-") || text.startsWith("+") ? text.slice(1) : text;
  if (!isDigits(digits)) throw new Error(`strconv.ParseInt: parsing ${JSON.stringify(text)}: invalid syntax`);
  const value = Number(text);
  if (!Number.isSafeInteger(value)) {
    throw new Error(`strconv.ParseInt: parsing ${JSON.stringify(text)}: value out of range`);
  }
  return value;
}

export function parseBool(text: string): boolean {
  if (["1", "t", "T", "true", "TRUE", "True"].includes(text)) return true;
  if (["0", "f", "F", "false", "FALSE", "False"].includes(text)) return false;
  throw new Error(`strconv.ParseBool: parsing ${JSON.stringify(text)}: invalid syntax`);
}

/** One line of CSV as in `--mount`: fields may be quoted, `""` is a quote. */
export function splitCsv(text: string): string[] {
  const fields: string[] = [];
  let field = "";
  let quoted = false;
  for (let i = 0; i < text.length; i++) {
    const char = text[i]!;
    if (quoted) {
      if (char !== '"') field += char;
      else if (text[i + 1] === '"') {
        field += '"';
        i++;
      } else quoted = false;
    } else if (char === '"' && field === "") quoted = true;
    else if (char === ",") {
      fields.push(field);
      field = "";
    } else field += char;
  }
  if (quoted)
    throw new Error(
      `parse error on line 1, column ${text.length + 1}: extraneous or missing " in quoted-field`,
    );
  fields.push(field);
  return fields;
}
