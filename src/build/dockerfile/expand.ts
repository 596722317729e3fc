/** Variable substitution in arguments, with the quoting rules of Dockerfiles (a small part of a shell's). */
import type { Escape } from "./lex.ts";
import { replacePattern, trimPrefix, trimSuffix } from "./pattern.ts";

/** The value of a variable; undefined when it is not set. */
export type Lookup = (name: string) => string | undefined;

/** A substitution that can't be done; the caller adds the place. */
export class ExpandError extends Error {}

/** Removes quotes and escapes, substitutes variables: one word in, one word out. @throws ExpandError */
export function expandWord(text: string, lookup: Lookup, esc: Escape = "\\"): string {
  return new Expander(text, lookup, esc).run().join("");
}

/** The same, split at blanks outside quotes; a variable's unquoted value splits too. @throws ExpandError */
export function expandWords(text: string, lookup: Lookup, esc: Escape = "\\"): string[] {
  const words: string[] = [];
  let word: string | undefined;
  for (const piece of new Expander(text, lookup, esc, true).run()) {
    if (piece === blank) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else {
      word = (word ?? "") + piece;
    }
  }
  if (word !== undefined) words.push(word);
  return words;
}

/**
 * Substitutes variables and leaves quotes as they are: heredocs of COPY and ADD. A backslash, whatever the Dockerfile's
 * escape is, makes the next character literal. @throws ExpandError
 */
export function expandText(text: string, lookup: Lookup): string {
  return new Expander(text, lookup, "\\", false, true).run().join("");
}

/** Variables that a word uses without a default while they are not set. @throws ExpandError */
export function missingVariables(text: string, lookup: Lookup, esc: Escape = "\\"): Set<string> {
  return missingIn(new Expander(text, lookup, esc));
}

/** The same of a heredoc. @throws ExpandError */
export function missingInText(text: string, lookup: Lookup): Set<string> {
  return missingIn(new Expander(text, lookup, "\\", false, true));
}

function missingIn(expander: Expander): Set<string> {
  expander.run();
  return expander.missing;
}

/** Between words; no text can contain a lone surrogate that came from UTF-8. */
const blank = "\uD800";

class Expander {
  readonly missing = new Set<string>();
  #at = 0;
  constructor(
    private readonly text: string,
    private readonly lookup: Lookup,
    private readonly esc: Escape,
    private readonly split = false,
    private readonly keepQuotes = false,
  ) {}

  run(): string[] {
    return this.#until(undefined, false);
  }

  /** Up to `stop`, which is consumed. `raw` keeps escapes, for patterns. */
  #until(stop: string | undefined, raw: boolean): string[] {
    const out: string[] = [];
    while (this.#at < this.text.length) {
      const char = this.text[this.#at]!;
      if (char === stop) {
        this.#at++;
        return out;
      }
      if (char === "'" && !this.keepQuotes) out.push(this.#singleQuoted());
      else if (char === '"' && !this.keepQuotes) out.push(this.#doubleQuoted());
      else if (char === "$") out.push(...this.#blanksIn(this.#dollar()));
      else if (char === this.esc) {
        this.#at++;
        const next = this.text[this.#at];
        if (next === undefined) break;
        this.#at++;
        out.push(raw ? char + next : next);
      } else {
        this.#at++;
        out.push(...this.#blanksIn(char));
      }
    }
    if (stop !== undefined) throw new ExpandError(`syntax error: missing '${stop}'`);
    return out;
  }

  #blanksIn(text: string): string[] {
    if (text === "") return [];
    if (!this.split || !/\s/.test(text)) return [text];
    return text.split(/(\s+)/).flatMap((part) => (part === "" ? [] : [/^\s/.test(part) ? blank : part]));
  }

  #singleQuoted(): string {
    const end = this.text.indexOf("'", this.#at + 1);
    if (end < 0) {
      throw new ExpandError("unexpected end of statement while looking for matching single-quote");
    }
    const inner = this.text.slice(this.#at + 1, end);
    this.#at = end + 1;
    return inner;
  }

  #doubleQuoted(): string {
    let out = "";
    this.#at++;
    while (this.#at < this.text.length) {
      const char = this.text[this.#at]!;
      if (char === "$") {
        out += this.#dollar();
        continue;
      }
      this.#at++;
      if (char === '"') return out;
      if (char !== this.esc) {
        out += char;
        continue;
      }
      const next = this.text[this.#at];
      if (next === undefined) continue;
      this.#at++;
      out += next === '"' || next === "$" || next === this.esc ? next : char + next;
    }
    throw new ExpandError("unexpected end of statement while looking for matching double-quote");
  }

  #dollar(): string {
    this.#at++;
    if (this.text[this.#at] !== "{") {
      const name = this.#name();
      return name === "" ? "$" : this.#plain(name);
    }
    this.#at++;
    const name = this.#name();
    if (name === "") throw new ExpandError("syntax error: bad substitution");
    return this.#modified(name);
  }

  /** After `${name`. */
  #modified(name: string): string {
    const value = this.lookup(name);
    let operator = this.#next(name);
    if (operator === "}") return this.#plain(name);
    let present = value !== undefined;
    const emptyIsUnset = operator === ":";
    if (emptyIsUnset) {
      operator = this.#next(name);
      present = present && value !== "";
      if (!"+-?".includes(operator)) {
        throw new ExpandError(`unsupported modifier (${operator}) in substitution`);
      }
    }
    switch (operator) {
      case "-": {
        const word = this.#until("}", false).join("");
        return present ? value! : word;
      }
      case "+": {
        const word = this.#until("}", false).join("");
        return present ? word : "";
      }
      case "?": {
        const word = this.#until("}", false).join("");
        if (present) return value!;
        throw new ExpandError(
          `${name}: ${word || (emptyIsUnset ? "is not allowed to be empty" : "is not allowed to be unset")}`,
        );
      }
      case "#":
      case "%": {
        const longest = this.#take(operator);
        const pattern = this.#until("}", true).join("");
        const trim = operator === "#" ? trimPrefix : trimSuffix;
        return trim(value ?? "", pattern, this.esc, longest);
      }
      case "/": {
        const all = this.#take("/");
        const pattern = this.#until("/", true).join("");
        const replacement = this.#until("}", false).join("");
        return replacePattern(value ?? "", pattern, replacement, this.esc, all);
      }
      default:
        throw new ExpandError(`unsupported modifier (${operator}) in substitution`);
    }
  }

  #plain(name: string): string {
    const value = this.lookup(name);
    if (value === undefined) this.missing.add(name);
    return value ?? "";
  }

  #next(name: string): string {
    const char = this.text[this.#at++];
    if (char === undefined) throw new ExpandError(`syntax error: missing '}' after \${${name}`);
    return char;
  }

  #take(char: string): boolean {
    if (this.text[this.#at] !== char) return false;
    this.#at++;
    return true;
  }

  #name(): string {
    const match = /^(?:\d+|[@*#?$!-]|[\p{L}_][\p{L}\p{N}_]*)/u.exec(this.text.slice(this.#at));
    if (!match) return "";
    this.#at += match[0].length;
    return match[0];
  }
}
