/**
 * `.dockerignore`: which paths of a build context stay at home. Pure. Patterns are Go's filepath.Match with `**`,
 * the last one that matches decides, and what lies below a matched directory is matched with it.
 */
import { InvalidParameter } from "./errors.ts";

interface Rule {
  /** Matches the path itself. */
  pattern: RegExp;
  negated: boolean;
  /** Components before the first with a wildcard: where a `!` rule may bring something back. */
  literal: string[];
}

export class IgnoreRules {
  readonly #rules: Rule[];
  readonly #negations: Rule[];

  constructor(rules: readonly Rule[]) {
    this.#rules = [...rules];
    this.#negations = this.#rules.filter(({ negated }) => negated);
  }

  /** Whether `path` (relative, `/` between components, no leading one) is left out. */
  ignores(path: string): boolean {
    const parts = path.split("/");
    const prefixes = parts.map((_, index) => parts.slice(0, index + 1).join("/"));
    let ignored = false;
    for (const { pattern, negated } of this.#rules)
      if (ignored === negated && prefixes.some((prefix) => pattern.test(prefix))) ignored = !negated;
    return ignored;
  }

  /** Whether something below the ignored directory may be kept because of a `!` rule. */
  mayKeepBelow(directory: string): boolean {
    const parts = directory.split("/");
    return this.#negations.some(({ literal }) => {
      const shared = Math.min(parts.length, literal.length);
      return parts.slice(0, shared).every((part, index) => part === literal[index]);
    });
  }
}

/** @throws InvalidParameter for a malformed pattern */
export function parseIgnore(text: string): IgnoreRules {
  const rules: Rule[] = [];
  for (const line of text.replace(/^\uFEFF/, "").split(/\r?\n/)) {
    if (line.startsWith("#")) continue;
    let pattern = line.trim();
    const negated = pattern.startsWith("!");
    if (negated) pattern = pattern.slice(1).trim();
    pattern = clean(pattern);
    if (pattern === "") {
      if (negated) throw new InvalidParameter('illegal exclusion pattern: "!"');
      continue;
    }
    const parts = pattern.split("/");
    const wild = parts.findIndex((part) => /[*?[\\]/.test(part));
    rules.push({ pattern: compile(pattern), negated, literal: wild < 0 ? parts : parts.slice(0, wild) });
  }
  return new IgnoreRules(rules);
}

/** Go's filepath.Clean without the leading slash: `./a//b/../c/` is `a/c`. */
function clean(pattern: string): string {
  const parts: string[] = [];
  for (const part of pattern.split("/")) {
    if (part === "" || part === ".") continue;
    if (part === ".." && parts.length > 0 && parts.at(-1) !== "..") parts.pop();
    else if (part !== "..") parts.push(part);
  }
  return parts.join("/");
}

function compile(pattern: string): RegExp {
  let source = "";
  for (let at = 0; at < pattern.length; at++) {
    const character = pattern[at]!;
    if (character === "*" && pattern[at + 1] === "*") {
      at++;
      if (pattern[at + 1] === "/") {
        at++;
        source += "(?:.*/)?";
      } else source += ".*";
    } else if (character === "*") source += "[^/]*";
    else if (character === "?") source += "[^/]";
    else if (character === "[") {
      const end = pattern.indexOf("]", at + 2);
      if (end < 0) throw new InvalidParameter(`syntax error in pattern: ${pattern}`);
      const body = pattern.slice(at + 1, end);
      source += `[${body.replace(/[\\[]/g, "\\$&")}]`;
      at = end;
    } else if (character === "\\") {
      const next = pattern[++at];
      if (next === undefined) throw new InvalidParameter(`syntax error in pattern: ${pattern}`);
      source += RegExp.escape(next);
    } else source += RegExp.escape(character);
  }
  try {
    return new RegExp(`^${source}$`, "s");
  } catch {
    throw new InvalidParameter(`syntax error in pattern: ${pattern}`);
  }
}
