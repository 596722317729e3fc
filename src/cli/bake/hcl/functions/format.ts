/** `format` and `formatlist`: the verbs of Go's fmt that HCL has. */
import type { Value } from "../types.ts";
import { numberText, toBoolean, toNumber, toText, toWhole, ValueError } from "../value.ts";

const verb = /%(?:%|([-+ #0]*)(\d+)?(?:\.(\d+))?(?:\[(\d+)\])?([a-zA-Z]))/g;

export function format(text: string, ...args: Value[]): string {
  let next = 0;
  let used = 0;
  const made = text.replace(
    verb,
    (whole, flags: string, width?: string, precision?: string, index?: string, letter?: string) => {
      if (whole === "%%") return "%";
      if (index !== undefined) next = Number(index) - 1;
      if (next >= args.length || next < 0) throw new ValueError(`there is no argument for ${whole}`);
      const value = args[next++]!;
      used = Math.max(used, next);
      return pad(one(letter!, value, flags, precision, whole), flags, Number(width ?? 0));
    },
  );
  if (used < args.length && !/%[^%]*\[/.test(text))
    throw new ValueError("there are more arguments than verbs");
  return made;
}

/** As often as the longest list among the arguments; others are the same each time. */
export function formatList(text: string, ...args: Value[]): Value[] {
  const lists = args.filter(Array.isArray);
  const length = lists[0]?.length ?? 1;
  if (lists.some((list) => list.length !== length)) throw new ValueError("the lists differ in length");
  return Array.from({ length }, (_, i) =>
    format(text, ...args.map((value) => (Array.isArray(value) ? value[i]! : value))),
  );
}

function one(
  letter: string,
  value: Value,
  flags: string,
  precision: string | undefined,
  whole: string,
): string {
  const signed = (text: string) => (flags.includes("+") && !text.startsWith("-") ? `+${text}` : text);
  const places = precision === undefined ? 6 : Number(precision);
  switch (letter) {
    case "s":
      return precision === undefined ? toText(value) : [...toText(value)].slice(0, places).join("");
    case "q":
      return JSON.stringify(toText(value));
    case "d":
      return signed(numberText(toWhole(value)));
    case "f":
    case "F":
      return signed(toNumber(value).toFixed(places));
    case "e":
    case "E": {
      const text = toNumber(value)
        .toExponential(places)
        .replace(/e([+-])(\d)$/, "e$10$2");
      return signed(letter === "E" ? text.toUpperCase() : text);
    }
    case "g":
    case "G":
      return signed(String(toNumber(value)));
    case "t":
      return String(toBoolean(value));
    case "b":
      return toWhole(value).toString(2);
    case "o":
      return toWhole(value).toString(8);
    case "x":
      return typeof value === "string" ? Buffer.from(value).toString("hex") : toWhole(value).toString(16);
    case "X":
      return toWhole(value).toString(16).toUpperCase();
    case "v":
      if (typeof value === "object" || flags.includes("#")) return JSON.stringify(value);
      return toText(value);
    default:
      throw new ValueError(`${whole} is not a verb of format`);
  }
}

function pad(text: string, flags: string, width: number): string {
  if (flags.includes("-")) return text.padEnd(width);
  if (!flags.includes("0")) return text.padStart(width);
  const sign = /^[+-]/.exec(text)?.[0] ?? "";
  return sign + text.slice(sign.length).padStart(width - sign.length, "0");
}
