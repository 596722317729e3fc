/**
 * Go's filepath.Match over slash-separated paths and, on top of it, Docker's `**` (moby/patternmatcher). A pattern
 * runs as an automaton over all its alternatives at once: no pattern can make it slow.
 */

export class GlobError extends Error {}

type Token =
  | { type: "char"; char: string }
  /** `?` and `[...]`: one character, never a slash. */
  | { type: "one"; accepts: (char: string) => boolean }
  /** `*` */
  | { type: "star" }
  /** `**` before more of the pattern: nothing, or directories up to and with a slash. Two states. */
  | { type: "directories" }
  | { type: "directories-rest" }
  /** `**` at the end: anything. */
  | { type: "rest" };

export interface Glob {
  /** Whether the pattern matches the whole path. */
  matches(path: string): boolean;
  /** Whether some path below this directory could match. */
  couldMatchBelow(directory: string): boolean;
  /** The one path it matches, when it has no wildcards. */
  readonly literal: string | undefined;
}

/** @throws GlobError malformed pattern (`[` without an end, an escape at the end) */
export function compileGlob(pattern: string, options: { globstar: boolean }): Glob {
  const tokens = tokenize([...pattern], options.globstar);
  const literal = tokens.every((token) => token.type === "char")
    ? tokens.map((token) => (token as { char: string }).char).join("")
    : undefined;
  if (literal !== undefined) {
    return {
      literal,
      matches: (path) => path === literal,
      couldMatchBelow: (directory) => literal.startsWith(`${directory}/`),
    };
  }
  const automaton = new Automaton(tokens);
  return {
    literal,
    matches: (path) => automaton.run(path).accepted,
    couldMatchBelow: (directory) => automaton.run(`${directory}/`).alive,
  };
}

class Automaton {
  /** The step in which a state was last entered; saves clearing a set. */
  readonly #entered: Float64Array;
  #step = 0;

  constructor(private readonly tokens: Token[]) {
    this.#entered = new Float64Array(tokens.length + 1);
  }

  run(text: string): { accepted: boolean; alive: boolean } {
    let states: number[] = [];
    this.#step++;
    this.#enter(0, states);
    for (const char of text) {
      const next: number[] = [];
      this.#step++;
      for (const state of states) this.#advance(state, char, next);
      states = next;
      if (states.length === 0) return { accepted: false, alive: false };
    }
    return {
      accepted: states.includes(this.tokens.length),
      alive: states.some((s) => s < this.tokens.length),
    };
  }

  /** Adds a state and those reached from it without a character. */
  #enter(state: number, states: number[]): void {
    if (this.#entered[state] === this.#step) return;
    this.#entered[state] = this.#step;
    states.push(state);
    const type = this.tokens[state]?.type;
    if (type === "star" || type === "rest") this.#enter(state + 1, states);
    if (type === "directories") {
      this.#enter(state + 1, states);
      this.#enter(state + 2, states);
    }
  }

  #advance(state: number, char: string, next: number[]): void {
    const token = this.tokens[state];
    switch (token?.type) {
      case "char":
        if (token.char === char) this.#enter(state + 1, next);
        break;
      case "one":
        if (char !== "/" && token.accepts(char)) this.#enter(state + 1, next);
        break;
      case "star":
        if (char !== "/") this.#enter(state, next);
        break;
      case "directories-rest":
        this.#enter(state, next);
        if (char === "/") this.#enter(state + 1, next);
        break;
      case "rest":
        this.#enter(state, next);
        break;
    }
  }
}

function tokenize(chars: string[], globstar: boolean): Token[] {
  const tokens: Token[] = [];
  for (let i = 0; i < chars.length; ) {
    const char = chars[i]!;
    if (globstar && char === "*" && chars[i + 1] === "*") {
      i += 2;
      // `**/` is `**`: the slash belongs to the directories that it stands for.
      if (chars[i] === "/") i++;
      if (i >= chars.length) tokens.push({ type: "rest" });
      else tokens.push({ type: "directories" }, { type: "directories-rest" });
    } else if (char === "*") {
      i++;
      tokens.push({ type: "star" });
    } else if (char === "?") {
      i++;
      tokens.push({ type: "one", accepts: () => true });
    } else if (char === "[") {
      const { accepts, next } = bracket(chars, i + 1);
      i = next;
      tokens.push({ type: "one", accepts });
    } else {
      const { char: literal, next } = character(chars, i);
      i = next;
      tokens.push({ type: "char", char: literal });
    }
  }
  return tokens;
}

function character(chars: string[], at: number): { char: string; next: number } {
  const i = chars[at] === "\\" ? at + 1 : at;
  const char = chars[i];
  if (char === undefined) throw new GlobError("syntax error in pattern");
  return { char, next: i + 1 };
}

/** A character class, from after its `[`. */
function bracket(chars: string[], at: number): { accepts: (char: string) => boolean; next: number } {
  const malformed = () => new GlobError("syntax error in pattern");
  let i = at;
  const negated = chars[i] === "^";
  if (negated) i++;
  const ranges: [string, string][] = [];
  while (chars[i] !== "]" || ranges.length === 0) {
    if (chars[i] === "-" || chars[i] === "]") throw malformed();
    const low = character(chars, i);
    i = low.next;
    let high = low.char;
    if (chars[i] === "-") {
      if (chars[i + 1] === "]") throw malformed();
      const end = character(chars, i + 1);
      high = end.char;
      i = end.next;
    }
    ranges.push([low.char, high]);
    if (i >= chars.length) throw malformed();
  }
  const accepts = (char: string) => ranges.some(([low, high]) => low <= char && char <= high) !== negated;
  return { accepts, next: i + 1 };
}
