/** Command lines: what a command accepts as data, its help, and the parser. */
import { InvalidParameter } from "../lib/errors.ts";
import { didYouMean } from "./model/errors.ts";

export interface FlagSpec {
  short?: string;
  /** `list` may be given more than once. */
  type: "bool" | "string" | "int" | "list";
  help: string;
  default?: string | boolean;
  hidden?: boolean;
}
export type FlagSpecs = Record<string, FlagSpec>;

/** What a flag may parse to, when its type isn't known. */
export type FlagValue = boolean | string | number | string[] | undefined;

type Value<S extends FlagSpec> = FlagSpec["type"] extends S["type"]
  ? FlagValue
  : S["type"] extends "bool"
    ? boolean
    : S["type"] extends "list"
      ? string[]
      : S["type"] extends "int"
        ? number | undefined
        : string | undefined;

export type Flags<S extends FlagSpecs> = { [K in keyof S]: Value<S[K]> };

export interface Parsed<S extends FlagSpecs> {
  flags: Flags<S>;
  args: string[];
}

/** A command line that doesn't fit; the caller adds "See 'gantry compose x --help'". */
export class UsageError extends InvalidParameter {}

/**
 * Reads `--name value`, `--name=value`, `-n value`, `-nvalue`, joined short switches and `--`.
 * @param interspersed false: the first argument ends the flags (`run`, `exec`)
 * @throws UsageError with pflag's words
 */
export function parseFlags<S extends FlagSpecs>(
  specs: S,
  words: readonly string[],
  interspersed = true,
): Parsed<S> {
  const values: Record<string, FlagValue> = {};
  for (const [name, spec] of Object.entries(specs))
    values[name] = spec.type === "list" ? [] : spec.type === "bool" ? spec.default === true : spec.default;
  const args: string[] = [];
  const set = (name: string, shown: string, text: string): void => {
    const spec = specs[name]!;
    if (spec.type === "bool") {
      if (!/^(true|false|1|0|t|f)$/i.test(text))
        throw new UsageError(
          `invalid argument ${JSON.stringify(text)} for ${JSON.stringify(shown)} flag: strconv.ParseBool: parsing ${JSON.stringify(text)}: invalid syntax`,
        );
      values[name] = /^(true|1|t)$/i.test(text);
    } else if (spec.type === "int") {
      if (!/^-?\d+$/.test(text))
        throw new UsageError(
          `invalid argument ${JSON.stringify(text)} for ${JSON.stringify(shown)} flag: strconv.ParseInt: parsing ${JSON.stringify(text)}: invalid syntax`,
        );
      values[name] = Number(text);
    } else if (spec.type === "list") (values[name] as string[]).push(text);
    else values[name] = text;
  };

  for (let index = 0; index < words.length; index++) {
    const word = words[index]!;
    if (word === "--") {
      args.push(...words.slice(index + 1));
      break;
    }
    if (!word.startsWith("-") || word === "-") {
      args.push(word);
      if (!interspersed) {
        args.push(...words.slice(index + 1));
        break;
      }
      continue;
    }
    if (word.startsWith("--")) {
      const cut = word.indexOf("=");
      const name = word.slice(2, cut < 0 ? undefined : cut);
      const spec = Object.hasOwn(specs, name) ? specs[name] : undefined;
      if (!spec) {
        const hint = didYouMean(name, Object.keys(specs));
        throw new UsageError(`unknown flag: --${name}${hint ? ` (${hint.replace('"', '"--')})` : ""}`);
      }
      const shown = spec.short ? `-${spec.short}, --${name}` : `--${name}`;
      if (cut >= 0) set(name, shown, word.slice(cut + 1));
      else if (spec.type === "bool") values[name] = true;
      else if (index + 1 >= words.length) throw new UsageError(`flag needs an argument: --${name}`);
      else set(name, shown, words[++index]!);
      continue;
    }
    for (let at = 1; at < word.length; at++) {
      const letter = word[at]!;
      const name = Object.keys(specs).find((key) => specs[key]!.short === letter);
      if (!name) throw new UsageError(`unknown shorthand flag: '${letter}' in ${word}`);
      const spec = specs[name]!;
      if (spec.type === "bool" && word[at + 1] !== "=") {
        values[name] = true;
        continue;
      }
      const attached = word.slice(at + 1).replace(/^=/, "");
      const shown = `-${letter}, --${name}`;
      if (attached !== "") set(name, shown, attached);
      else if (index + 1 >= words.length)
        throw new UsageError(`flag needs an argument: '${letter}' in ${word}`);
      else set(name, shown, words[++index]!);
      break;
    }
  }
  return { flags: values as Flags<S>, args };
}

/** The list of flags for `--help`. */
export function describeFlags(specs: FlagSpecs): string {
  const rows = Object.entries(specs)
    .filter(([, spec]) => !spec.hidden)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, spec]) => {
      const kind = spec.type === "bool" ? "" : ` ${spec.type === "list" ? "stringArray" : spec.type}`;
      const value =
        spec.default !== undefined && spec.default !== false && spec.default !== ""
          ? ` (default ${JSON.stringify(spec.default)})`
          : "";
      return [`${spec.short ? `  -${spec.short}, ` : "      "}--${name}${kind}`, spec.help + value] as const;
    });
  const width = Math.max(0, ...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `${left.padEnd(width)}   ${right}\n`).join("");
}
