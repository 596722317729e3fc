/**
 * `.dockerignore`: which paths of a context a build sees. Rules of Docker's documentation and moby/patternmatcher:
 * one pattern a line, cleaned as a path, rooted at the context; the last pattern that matches a path or one of its
 * parents decides; `!` takes back in.
 */
import { posix } from "node:path";
import { InvalidParameter } from "./errors.ts";
import { compileGlob, type Glob } from "./glob.ts";

interface Rule {
  glob: Glob;
  /** False for `!`. */
  excludes: boolean;
}

/** The patterns of an ignore file, cleaned, in its order. */
export function ignorePatterns(text: string): string[] {
  const lines = text.replace(/^\uFEFF/, "").split("\n");
  return lines
    .filter((line) => !line.startsWith("#"))
    .map(cleanLine)
    .filter((line) => line !== "");
}

export class IgnoreRules {
  private constructor(private readonly rules: Rule[]) {}

  /** Excludes nothing. */
  static readonly none = new IgnoreRules([]);

  /** @throws InvalidParameter malformed pattern */
  static parse(text: string): IgnoreRules {
    return IgnoreRules.of(ignorePatterns(text));
  }

  /** From patterns as they are, for `--exclude`. @throws InvalidParameter */
  static of(patterns: string[]): IgnoreRules {
    const rules: Rule[] = [];
    for (const line of patterns) {
      let pattern = line.trim();
      if (pattern === "") continue;
      const excludes = !pattern.startsWith("!");
      if (!excludes) pattern = pattern.slice(1).trim();
      if (pattern === "") throw new InvalidParameter(`illegal exclusion pattern: "!"`);
      try {
        rules.push({ glob: compileGlob(clean(pattern), { globstar: true }), excludes });
      } catch (error) {
        throw new InvalidParameter(`error parsing .dockerignore: ${JSON.stringify(line)}: ${error}`, {
          cause: error,
        });
      }
    }
    return new IgnoreRules(rules);
  }

  get empty(): boolean {
    return this.rules.length === 0;
  }

  /** For an excluded directory: whether a `!` pattern could take something below it back in. */
  mayIncludeBelow(directory: string): boolean {
    return this.root().mayIncludeBelow(directory);
  }

  /** Begins a walk at the context's root. */
  root(): IgnoreState {
    return new IgnoreState(
      this.rules,
      this.rules.map(() => false),
    );
  }

  /** Whether one path (relative, clean) is excluded. */
  excludes(path: string): boolean {
    return this.at(path).excluded;
  }

  /** The state after a walk to `path` (relative, clean, `""` for the root). */
  at(path: string): IgnoreState {
    let state = this.root();
    let at = "";
    for (const part of path.split("/").filter(Boolean)) {
      at = at === "" ? part : `${at}/${part}`;
      state = state.enter(at);
    }
    return state;
  }
}

/** The rules seen from one path; a pattern that matched a parent goes on matching below. */
export class IgnoreState {
  constructor(
    private readonly rules: Rule[],
    private readonly matched: boolean[],
  ) {}

  /** The state of a child, by its whole path below the context. */
  enter(path: string): IgnoreState {
    if (this.rules.length === 0) return this;
    const matched = this.rules.map((rule, i) => this.matched[i]! || rule.glob.matches(path));
    return new IgnoreState(this.rules, matched);
  }

  get excluded(): boolean {
    const last = this.matched.lastIndexOf(true);
    return last >= 0 && this.rules[last]!.excludes;
  }

  /** For an excluded directory: whether a `!` pattern could take something below it back in. */
  mayIncludeBelow(directory: string): boolean {
    return this.rules.some((rule) => !rule.excludes && rule.glob.couldMatchBelow(directory));
  }
}

function cleanLine(line: string): string {
  const text = line.trim();
  if (!text.startsWith("!")) return text === "" ? "" : clean(text);
  const rest = text.slice(1).trim();
  return rest === "" ? "!" : `!${clean(rest)}`;
}

/** Go's filepath.Clean, without the leading slash. */
function clean(pattern: string): string {
  const path = posix.normalize(pattern).replace(/(.)\/$/, "$1");
  return path.length > 1 && path.startsWith("/") ? path.slice(1) : path;
}
