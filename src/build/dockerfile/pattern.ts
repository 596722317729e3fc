/**
 * Shell patterns (`*`, `?`, escapes) for the `#`, `%` and `/` substitutions. Matching simulates all alternatives
 * at once, so that no pattern makes it slow.
 */

type Token = { type: "star" } | { type: "any" } | { type: "literal"; char: string };

function tokenize(pattern: string, esc: string): Token[] {
  const tokens: Token[] = [];
  for (let i = 0; i < pattern.length; i++) {
    const char = pattern[i]!;
    if (char === "*") {
      if (tokens.at(-1)?.type !== "star") tokens.push({ type: "star" });
    } else if (char === "?") tokens.push({ type: "any" });
    else if (char === esc && i + 1 < pattern.length) tokens.push({ type: "literal", char: pattern[++i]! });
    else tokens.push({ type: "literal", char });
  }
  return tokens;
}

/** Every end of a match that begins at `start`, ascending. */
function* matchEnds(tokens: Token[], text: string, start: number): Generator<number> {
  let states = closure(tokens, new Set([0]));
  for (let at = start; ; at++) {
    if (states.has(tokens.length)) yield at;
    if (at >= text.length || states.size === 0) return;
    const next = new Set<number>();
    for (const state of states) {
      const token = tokens[state];
      if (token?.type === "star") next.add(state);
      else if (token && (token.type === "any" || token.char === text[at])) next.add(state + 1);
    }
    states = closure(tokens, next);
  }
}

/** A star may also match nothing. Sets iterate over what is added meanwhile. */
function closure(tokens: Token[], states: Set<number>): Set<number> {
  for (const state of states) if (tokens[state]?.type === "star") states.add(state + 1);
  return states;
}

function lastOf(values: Iterable<number>): number | undefined {
  let last: number | undefined;
  for (const value of values) last = value;
  return last;
}

/** `${name#pattern}` and, longest, `${name##pattern}`. */
export function trimPrefix(value: string, pattern: string, esc: string, longest: boolean): string {
  const ends = matchEnds(tokenize(pattern, esc), value, 0);
  const end = longest ? lastOf(ends) : ends.next().value;
  return end === undefined ? value : value.slice(end);
}

/** `${name%pattern}` and, longest, `${name%%pattern}`: the prefix of the reversed text. */
export function trimSuffix(value: string, pattern: string, esc: string, longest: boolean): string {
  const reversed = value.split("").reverse().join("");
  const ends = matchEnds(tokenize(pattern, esc).reverse(), reversed, 0);
  const end = longest ? lastOf(ends) : ends.next().value;
  return end === undefined ? value : value.slice(0, value.length - end);
}

/** `${name/pattern/replacement}` and, for all, `${name//pattern/replacement}`; longest matches, as in a shell. */
export function replacePattern(
  value: string,
  pattern: string,
  replacement: string,
  esc: string,
  all: boolean,
): string {
  if (pattern === "") return value;
  const tokens = tokenize(pattern, esc);
  let out = "";
  for (let at = 0; at < value.length; ) {
    const end = lastOf(matchEnds(tokens, value, at));
    if (end === undefined || end === at) {
      out += value[at++];
      continue;
    }
    out += replacement;
    at = end;
    if (!all) return out + value.slice(at);
  }
  return out;
}
