/** Values as Go's fmt prints them. */
import { entriesOf, GoStruct, Named, typeName, type Value } from "./values.ts";

/** `%v`. A missing value is `<no value>`, null is `<nil>`. */
export function show(value: Value): string {
  return value === undefined ? "<no value>" : format({ verb: "v" }, value);
}

/** Go's Sprint: blanks only between operands of which neither is a text. */
export function sprint(args: Value[]): string {
  let text = "";
  for (const [i, value] of args.entries()) {
    if (i > 0 && typeof value !== "string" && typeof args[i - 1] !== "string") text += " ";
    text += show(value);
  }
  return text;
}

/** Go's Printf. */
export function printf(source: string, args: Value[]): string {
  let next = 0;
  const text = source.replace(
    /%([-+# 0]*)(\d+)?(?:(\.)(\d+)?)?(.?)/gsu,
    (_, flags: string, width: string | undefined, dot, precision, verb: string) => {
      if (verb === "%") return "%";
      if (verb === "") return "%!(NOVERB)";
      if (next >= args.length) return `%!${verb}(MISSING)`;
      return format(
        {
          verb,
          flags,
          width: width === undefined ? undefined : Number(width),
          precision: dot === undefined ? undefined : Number(precision ?? 0),
        },
        args[next++],
      );
    },
  );
  const extra = args.slice(next);
  if (extra.length === 0) return text;
  return `${text}%!(EXTRA ${extra.map((value) => `${typeName(value)}=${show(value)}`).join(", ")})`;
}

interface Directive {
  verb: string;
  flags?: string;
  width?: number;
  precision?: number;
}

function format(directive: Directive, value: Value): string {
  const { verb, flags = "" } = directive;
  if (verb === "T") return padded(directive, typeName(value));
  if (value === null || value === undefined)
    return padded(directive, verb === "v" ? "<nil>" : `%!${verb}(<nil>)`);
  if (Array.isArray(value)) return `[${value.map((item) => format(directive, item)).join(" ")}]`;
  if (value instanceof GoStruct) {
    const own = value.methods.String;
    if (own && "vsq".includes(verb)) return format(directive, own(value));
    const named = verb === "v" && /[+#]/.test(flags);
    return `{${value.values
      .map((item, i) => (named ? `${value.fields[i]!.name}:` : "") + format(directive, item))
      .join(" ")}}`;
  }
  const entries = entriesOf(value);
  if (entries) {
    // Go's fmt.Stringer: it shows itself.
    if (typeof entries.String === "function") return format(directive, entries.String());
    const names = Object.keys(entries).filter((name) => typeof entries[name] !== "function");
    return `map[${names
      .sort()
      .map((name) => `${format(directive, name)}:${format(directive, entries[name])}`)
      .join(" ")}]`;
  }
  if (typeof value === "function") return format(directive, value());
  return padded(directive, scalar(directive, value as string | number | boolean | Named));
}

function padded({ flags = "", width = 0, verb }: Directive, text: string): string {
  const missing = width - [...text].length;
  if (missing <= 0) return text;
  if (flags.includes("-")) return text + " ".repeat(missing);
  if (!flags.includes("0") || "Tt".includes(verb)) return " ".repeat(missing) + text;
  const sign = /^[-+]/.exec(text)?.[0] ?? "";
  return sign + "0".repeat(missing) + text.slice(sign.length);
}

function scalar(directive: Directive, value: string | number | boolean | Named): string {
  const { verb, flags = "" } = directive;
  if (value instanceof Named) {
    return "vsq".includes(verb) && value.type.show
      ? scalar(directive, String(value))
      : scalar(directive, value.value);
  }
  if (verb === "v")
    return flags.includes("#") && typeof value === "string" ? quote(value) : text(directive, value);
  const shown =
    typeof value === "string"
      ? ofText(directive, value)
      : typeof value === "number"
        ? ofNumber(directive, value)
        : verb === "t"
          ? String(value)
          : undefined;
  return shown ?? `%!${verb}(${typeName(value)}=${String(value)})`;
}

function text({ precision }: Directive, value: string | number | boolean): string {
  if (typeof value === "string")
    return precision === undefined ? value : [...value].slice(0, precision).join("");
  if (typeof value === "number" && !Number.isInteger(value)) return general(value, precision);
  return String(value);
}

function ofText(directive: Directive, value: string): string | undefined {
  switch (directive.verb) {
    case "s":
      return text(directive, value);
    case "q":
      return quote(text(directive, value));
    case "x":
    case "X": {
      const hex = Buffer.from(value).toString("hex");
      return directive.verb === "x" ? hex : hex.toUpperCase();
    }
    default:
      return undefined;
  }
}

const bases: Record<string, number> = { b: 2, o: 8, O: 8, d: 10, x: 16, X: 16 };

function ofNumber({ verb, flags = "", precision }: Directive, value: number): string | undefined {
  const sign = flags.includes("+") && value >= 0 ? "+" : flags.includes(" ") && value >= 0 ? " " : "";
  if (Number.isInteger(value)) {
    const base = bases[verb];
    if (base !== undefined) {
      const digits = Math.abs(value).toString(base);
      const mark =
        verb === "O" ? "0o" : !flags.includes("#") ? "" : ({ b: "0b", o: "0", x: "0x", X: "0X" }[verb] ?? "");
      return (value < 0 ? "-" : sign) + mark + (verb === "X" ? digits.toUpperCase() : digits);
    }
    if (verb === "c") return String.fromCodePoint(value);
    if (verb === "q") return `'${String.fromCodePoint(value)}'`;
    if (verb === "U") return `U+${value.toString(16).toUpperCase().padStart(4, "0")}`;
    return undefined;
  }
  switch (verb) {
    case "f":
    case "F":
      return sign + value.toFixed(precision ?? 6);
    case "e":
    case "E": {
      const shown = twoDigits(value.toExponential(precision ?? 6));
      return sign + (verb === "E" ? shown.toUpperCase() : shown);
    }
    case "g":
    case "G":
      return sign + general(value, precision);
    default:
      return undefined;
  }
}

/** `%g`: the shortest that reads back as the same number, with an exponent where it is large or small. */
function general(value: number, precision: number | undefined): string {
  const short = precision === undefined ? value : Number(value.toPrecision(Math.max(precision, 1)));
  const power = short === 0 ? 0 : Math.floor(Math.log10(Math.abs(short)));
  return power < -4 || power >= (precision ?? 21) ? twoDigits(short.toExponential()) : String(short);
}

const twoDigits = (shown: string) => shown.replace(/e([+-])(\d)$/, "e$10$2");

/** Go's quotes, which are JSON's but for the escapes of characters that can't be printed. */
function quote(value: string): string {
  return JSON.stringify(value).replace(/\\u00([01][0-9a-f])/g, (_, hex: string) =>
    hex === "07" ? "\\a" : hex === "0b" ? "\\v" : `\\x${hex}`,
  );
}
