/**
 * Flags as pflag reads them: `-it`, `-p80:80`, `--flag=value`, `--flag value`, `--rm=false`, `--`, flags after
 * arguments unless the command forbids it.
 */
import type { Flag, FlagKind, Flags, Parsed } from "../command.ts";
import { nearest } from "./nearest.ts";
import { parseBool, parseBytes, parseGoDuration, parseInteger, parseNanoCpus, splitCsv } from "./values.ts";

/** The command line is wrong; the message is followed by the command's usage. */
export class UsageError extends Error {}

/** `--help` was asked for. */
export class HelpRequested extends Error {}

type Value = boolean | string | number | string[];

const parsers: Record<Exclude<FlagKind, "list" | "strings">, (text: string) => Value> = {
  bool: parseBool,
  string: (text) => text,
  int: parseInteger,
  bytes: parseBytes,
  duration: parseGoDuration,
  decimal: parseNanoCpus,
};

export interface ParseOptions {
  /** False: the first argument ends the flags. */
  interspersed?: boolean;
}

/** @throws UsageError, HelpRequested */
export function parseFlags<F extends Flags>(
  specs: F,
  argv: readonly string[],
  options: ParseOptions = {},
): Parsed<F> {
  const reader = new Reader(specs);
  const args: string[] = [];
  for (let i = 0; i < argv.length; i++) {
    const word = argv[i]!;
    if (word === "--") {
      args.push(...argv.slice(i + 1));
      break;
    }
    if (!word.startsWith("-") || word === "-") {
      if (options.interspersed === false) {
        args.push(...argv.slice(i));
        break;
      }
      args.push(word);
      continue;
    }
    i += word.startsWith("--") ? reader.long(word, argv[i + 1]) : reader.short(word, argv[i + 1]);
  }
  return {
    flags: reader.values() as Parsed<F>["flags"],
    args,
    given: (name) => reader.given.has(name as string),
  };
}

class Reader {
  readonly given = new Map<string, Value>();
  #shorts = new Map<string, string>();

  constructor(private readonly specs: Flags) {
    for (const [name, { short }] of Object.entries(specs)) if (short) this.#shorts.set(short, name);
  }

  /** @returns how many following words were taken */
  long(word: string, next: string | undefined): number {
    const equals = word.indexOf("=");
    const name = word.slice(2, equals < 0 ? undefined : equals);
    const spec = Object.hasOwn(this.specs, name) ? this.specs[name]! : undefined;
    if (!spec) {
      if (name === "help") throw new HelpRequested();
      const meant = nearest(name, Object.keys(this.specs));
      throw new UsageError(`unknown flag: --${name}${meant ? `\nDid you mean --${meant}?` : ""}`);
    }
    if (equals >= 0) return this.#set(name, spec, word.slice(equals + 1), 0);
    if (spec.kind === "bool") return this.#set(name, spec, "true", 0);
    if (next === undefined) throw new UsageError(`flag needs an argument: --${name}`);
    return this.#set(name, spec, next, 1);
  }

  /** A row of one-letter flags; the first that takes a value takes the rest of the word or the next one. */
  short(word: string, next: string | undefined): number {
    for (let at = 1; at < word.length; at++) {
      const letter = word[at]!;
      const name = this.#shorts.get(letter);
      if (name === undefined) {
        if (letter === "h") throw new HelpRequested();
        throw new UsageError(`unknown shorthand flag: '${letter}' in -${word.slice(at)}`);
      }
      const spec = this.specs[name]!;
      const rest = word.slice(at + 1);
      if (rest.startsWith("=")) return this.#set(name, spec, rest.slice(1), 0);
      if (spec.kind === "bool") this.#set(name, spec, "true", 0);
      else if (rest !== "") return this.#set(name, spec, rest, 0);
      else if (next === undefined)
        throw new UsageError(`flag needs an argument: '${letter}' in -${word.slice(at)}`);
      else return this.#set(name, spec, next, 1);
    }
    return 0;
  }

  values(): Record<string, Value | undefined> {
    const values: Record<string, Value | undefined> = {};
    for (const [name, spec] of Object.entries(this.specs))
      values[name] = this.given.get(name) ?? defaultOf(spec);
    return values;
  }

  #set(name: string, spec: Flag, text: string, taken: number): number {
    try {
      spec.check?.(text);
      if (spec.kind === "list" || spec.kind === "strings") {
        const before = (this.given.get(name) as string[] | undefined) ?? [];
        this.given.set(name, [...before, ...(spec.kind === "list" ? [text] : splitCsv(text))]);
      } else this.given.set(name, parsers[spec.kind](text));
    } catch (error) {
      const shown = spec.short ? `-${spec.short}, --${name}` : `--${name}`;
      throw new UsageError(
        `invalid argument ${JSON.stringify(text)} for "${shown}" flag: ${(error as Error).message}`,
        {
          cause: error,
        },
      );
    }
    return taken;
  }
}

function defaultOf(spec: Flag): Value | undefined {
  if (spec.kind === "list" || spec.kind === "strings") return [];
  if (spec.default !== undefined) return parsers[spec.kind](spec.default);
  return spec.kind === "bool" ? false : undefined;
}
