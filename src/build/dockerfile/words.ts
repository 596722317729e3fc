/** How an instruction's arguments split into words; quotes stay, for the expansion to remove. */
import type { Escape } from "./lex.ts";

/** Splits on blanks outside quotes; quotes and escapes stay in the words. */
export function splitQuoted(text: string, esc: Escape): string[] {
  const words: string[] = [];
  let word = "";
  let quote = "";
  for (let i = 0; i < text.length; i++) {
    const char = text[i]!;
    if (quote) {
      word += char;
      if (char === quote) quote = "";
      else if (char === esc && quote === '"' && i + 1 < text.length) word += text[++i]!;
    } else if (/\s/.test(char)) {
      if (word) words.push(word);
      word = "";
    } else {
      word += char;
      if (char === esc && i + 1 < text.length) word += text[++i]!;
      else if (char === '"' || char === "'") quote = char;
    }
  }
  if (word) words.push(word);
  return words;
}

export function splitBlanks(text: string): string[] {
  return text.split(/\s+/).filter((word) => word !== "");
}

/** A JSON array of strings; undefined: no JSON array, so it is shell form; `mixed`: one of other values too. */
export function jsonArray(text: string): string[] | "mixed" | undefined {
  if (!text.startsWith("[")) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // Docker falls back to the shell form too.
    return undefined;
  }
  if (!Array.isArray(value)) return undefined;
  return value.every((item) => typeof item === "string") ? value : "mixed";
}

/**
 * `key=value` words, or the legacy `key the rest is the value`. `legacy` tells which one it was.
 * @returns a message when a word has no `=`
 */
export function keyValues(
  text: string,
  esc: Escape,
): { pairs: [string, string][]; legacy: boolean } | { problem: string } {
  const words = splitQuoted(text, esc);
  const first = words[0];
  if (first === undefined) return { pairs: [], legacy: false };
  if (!first.includes("=")) {
    const match = /^(\S+)\s+([\s\S]*)$/.exec(text);
    if (!match) return { problem: "must have two arguments" };
    return { pairs: [[match[1]!, match[2]!]], legacy: true };
  }
  const pairs: [string, string][] = [];
  for (const word of words) {
    const at = word.indexOf("=");
    if (at < 0) {
      const problem = `Syntax error - can't find = in ${JSON.stringify(word)}. Must be of the form: name=value`;
      return { problem };
    }
    pairs.push([word.slice(0, at), word.slice(at + 1)]);
  }
  return { pairs, legacy: false };
}
