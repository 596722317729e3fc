/** `--name=value` words between an instruction's keyword and its arguments. */
import { parseError } from "../errors.ts";
import type { Keyword, SourceRange } from "./instructions.ts";
import type { Escape } from "./lex.ts";
import { didYouMean } from "./nearest.ts";

type FlagType = "string" | "list" | "boolean";

const copyFlags = {
  chown: "string",
  chmod: "string",
  link: "boolean",
  exclude: "list",
} satisfies Record<string, FlagType>;

const flagsOf: Partial<Record<Keyword, Record<string, FlagType>>> = {
  FROM: { platform: "string" },
  RUN: { mount: "list", network: "string", security: "string", device: "list" },
  COPY: { ...copyFlags, from: "string", parents: "boolean" },
  ADD: { ...copyFlags, checksum: "string", unpack: "boolean", "keep-git-dir": "boolean" },
  HEALTHCHECK: {
    interval: "string",
    timeout: "string",
    "start-period": "string",
    "start-interval": "string",
    retries: "string",
  },
};

export interface Flags {
  string(name: string): string | undefined;
  list(name: string): string[];
  boolean(name: string): boolean | undefined;
}

/** Takes the flags off the front of `text`. @throws DockerfileError unknown, repeated or valueless flag */
export function takeFlags(
  keyword: Keyword,
  text: string,
  esc: Escape,
  range: SourceRange,
): { flags: Flags; rest: string } {
  const known = flagsOf[keyword] ?? {};
  const values = new Map<string, string[]>();
  let rest = text;
  while (rest.startsWith("--")) {
    const { word, after } = takeWord(rest, esc);
    rest = after;
    if (word === "--") break;
    const at = word.indexOf("=");
    const name = at < 0 ? word.slice(2) : word.slice(2, at);
    const type = known[name];
    if (!type) throw parseError(range, `unknown flag: --${name}`, didYouMean(name, Object.keys(known)));
    if (at < 0 && type !== "boolean") throw parseError(range, `missing a value on flag: --${name}`);
    const value = at < 0 ? "true" : word.slice(at + 1);
    if (type === "boolean" && value !== "true" && value !== "false") {
      throw parseError(range, `expecting boolean value for flag ${name}, not: ${value}`);
    }
    const earlier = values.get(name);
    if (earlier && type !== "list") throw parseError(range, `duplicate flag specified: --${name}`);
    values.set(name, [...(earlier ?? []), value]);
  }
  return {
    rest,
    flags: {
      string: (name) => values.get(name)?.[0],
      list: (name) => values.get(name) ?? [],
      boolean: (name) => {
        const value = values.get(name)?.[0];
        return value === undefined ? undefined : value === "true";
      },
    },
  };
}

/** The first word with its quotes and escapes taken away, and what follows it. */
function takeWord(text: string, esc: Escape): { word: string; after: string } {
  let word = "";
  let quote = "";
  let i = 0;
  for (; i < text.length; i++) {
    const char = text[i]!;
    if (quote) {
      if (char === quote) quote = "";
      else if (char === esc && quote === '"' && i + 1 < text.length) word += text[++i]!;
      else word += char;
    } else if (/\s/.test(char)) break;
    else if (char === '"' || char === "'") quote = char;
    else if (char === esc && i + 1 < text.length) word += text[++i]!;
    else word += char;
  }
  return { word, after: text.slice(i).trimStart() };
}
