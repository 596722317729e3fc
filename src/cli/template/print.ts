/** Values as Go's fmt prints them. */

import type { Value } from "./evaluate.ts";
import { TemplateError } from "./lex.ts";

/** `%v`. A missing value is `<no value>`, null is `<nil>`. */
export function show(value: Value): string {
  if (value === undefined) return "<no value>";
  if (value === null) return "<nil>";
  if (Array.isArray(value)) return `[${value.map(show).join(" ")}]`;
  if (typeof value === "object") {
    // Go's fmt.Stringer: it shows itself.
    if (typeof value.String === "function") return show(value.String());
    const keys = Object.keys(value).filter((key) => typeof value[key] !== "function");
    return `map[${keys
      .sort()
      .map((key) => `${key}:${show(value[key])}`)
      .join(" ")}]`;
  }
  return typeof value === "function" ? show(value()) : String(value);
}

/** Docker's `json` function: no HTML escapes, functions left out. */
export function toJson(value: Value): string {
  return JSON.stringify(value ?? null);
}

/** Go's Printf with the verbs that formats use. */
export function printf(format: string, args: Value[]): string {
  let next = 0;
  const text = format.replace(
    /%([-+# 0]*)(\d+)?(?:\.(\d+))?([a-zA-Z%])/g,
    (_, flags, width, precision, verb) => {
      if (verb === "%") return "%";
      if (next >= args.length) return `%!${verb}(MISSING)`;
      const shown = formatOne(
        verb,
        args[next++],
        precision === undefined ? undefined : Number(precision),
        flags,
      );
      const columns = Number(width ?? 0);
      if (flags.includes("-")) return shown.padEnd(columns);
      return shown.padStart(columns, flags.includes("0") ? "0" : " ");
    },
  );
  const extra = args.slice(next);
  return extra.length === 0
    ? text
    : `${text}%!(EXTRA ${extra.map((value) => `${typeName(value)}=${show(value)}`).join(", ")})`;
}

function formatOne(verb: string, value: Value, precision: number | undefined, flags: string): string {
  switch (verb) {
    case "s":
    case "v": {
      const shown = show(value);
      return precision === undefined ? shown : [...shown].slice(0, precision).join("");
    }
    case "q":
      return JSON.stringify(show(value));
    case "t":
      return typeof value === "boolean" ? String(value) : bad(verb, value);
    case "d":
      return typeof value === "number"
        ? (flags.includes("+") && value >= 0 ? "+" : "") + Math.trunc(value)
        : bad(verb, value);
    case "x":
      if (typeof value === "number") return value.toString(16);
      return Buffer.from(show(value)).toString("hex");
    case "f":
      return typeof value === "number" ? value.toFixed(precision ?? 6) : bad(verb, value);
    default:
      throw new TemplateError(`printf verb %${verb} is not supported`);
  }
}

function bad(verb: string, value: Value): string {
  return `%!${verb}(${typeName(value)}=${show(value)})`;
}

export function typeName(value: Value): string {
  if (value === null || value === undefined) return "<nil>";
  if (Array.isArray(value)) return "[]interface {}";
  if (typeof value === "number") return Number.isInteger(value) ? "int" : "float64";
  return (
    { string: "string", boolean: "bool", object: "map[string]interface {}" }[typeof value as "string"] ??
    "func"
  );
}
