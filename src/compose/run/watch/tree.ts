/** What a watched path looks like at one moment, and what differs between two moments. */
import { lstatSync, readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { IgnoreRules } from "../../../lib/ignore.ts";
import type { WatchRule } from "../../model/types.ts";

/** Paths below the watched one, `""` for itself, each with what changes when it does. */
export type Tree = ReadonlyMap<string, string>;

export interface Changes {
  /** New or different; directories before what is in them. */
  changed: string[];
  removed: string[];
}

/** What editors and Git write beside the files that matter. */
const ephemeral = [".git", "**/*.swp", "**/*.swx", "**/4913", "**/*~", "**/.#*", "**/#*#", "**/.DS_Store"];

/** Which paths a rule is about, those of the build context's `.dockerignore` left out. */
export class Watched {
  readonly #ignore: IgnoreRules;
  readonly #include: IgnoreRules | undefined;
  readonly #context: { directory: string; rules: IgnoreRules } | undefined;

  /** @param context directory of the service's build */
  constructor(
    readonly rule: WatchRule,
    context: string | undefined,
  ) {
    this.#ignore = IgnoreRules.parse([...ephemeral, ...(rule.ignore ?? [])].map(escaped).join("\n"));
    this.#include = rule.include?.length ? IgnoreRules.parse(rule.include.join("\n")) : undefined;
    const text = context && textIfAny(join(context, ".dockerignore"));
    if (context && text !== undefined) this.#context = { directory: context, rules: IgnoreRules.parse(text) };
  }

  /** @throws an errno error for what can't be read */
  read(): Tree {
    const tree = new Map<string, string>();
    const visit = (path: string): void => {
      const absolute = path === "" ? this.rule.path : join(this.rule.path, path);
      const stat = lstatSync(absolute, { throwIfNoEntry: false });
      if (!stat) return;
      const isDirectory = stat.isDirectory();
      if (path !== "" && this.#leavesOut(path, absolute, isDirectory)) return;
      // A directory differs by its rights only: what is in it has entries of its own.
      tree.set(
        path,
        isDirectory ? `d ${stat.mode}` : `${stat.mode} ${stat.size} ${stat.mtimeMs} ${stat.ino}`,
      );
      if (!isDirectory) return;
      for (const name of namesIn(absolute)) visit(path === "" ? name : `${path}/${name}`);
    };
    visit("");
    return tree;
  }

  #leavesOut(path: string, absolute: string, isDirectory: boolean): boolean {
    const by = (rules: IgnoreRules, name: string) =>
      rules.excludes(name) && !(isDirectory && rules.mayIncludeBelow(name));
    if (by(this.#ignore, path)) return true;
    if (this.#include && !isDirectory && !this.#include.excludes(path)) return true;
    if (!this.#context) return false;
    const inContext = relative(this.#context.directory, absolute);
    return !inContext.startsWith("..") && by(this.#context.rules, inContext);
  }
}

/** `#` begins a comment in `.dockerignore` only. */
const escaped = (pattern: string) => pattern.replace(/^#/, "[#]");

export function changesBetween(before: Tree, after: Tree): Changes {
  const changed = [...after].filter(([path, stamp]) => before.get(path) !== stamp).map(([path]) => path);
  const gone = [...before.keys()].filter((path) => !after.has(path));
  // What was in a directory goes with it.
  const removed = gone.filter(
    (path) => !gone.some((other) => (other === "" ? path !== "" : path.startsWith(`${other}/`))),
  );
  return { changed, removed };
}

/** Nothing for a directory that has just gone. */
function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory).sort();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}

function textIfAny(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}
