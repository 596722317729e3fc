/** From the sources that COPY or ADD names to the files that they select. */
import { posix } from "node:path";
import { compileGlob, GlobError } from "../../lib/glob.ts";
import { IgnoreRules } from "../../lib/ignore.ts";
import type { SourceRange } from "../dockerfile/instructions.ts";
import { didYouMean } from "../dockerfile/nearest.ts";
import { stepError } from "../errors.ts";
import { resolveInside } from "./inside.ts";
import type { Selection, SourceTree } from "./tree.ts";

export interface SourceRequest {
  /** Substituted. */
  sources: string[];
  exclude: string[];
  keyword: "COPY" | "ADD";
  /** The context has a `.dockerignore` to blame and no way out by `..`. */
  fromContext: boolean;
  /** `--parents`: directories above a source are kept, from `/./` on when it has one. */
  parents?: boolean;
  range: SourceRange;
}

/** @throws DockerfileError nothing there, or a path outside the context */
export async function selectSources(
  tree: SourceTree,
  request: SourceRequest,
  signal?: AbortSignal,
): Promise<Selection[]> {
  const excluded = IgnoreRules.of(request.exclude);
  const selections: Selection[] = [];
  for (const source of request.sources) {
    const path = cleaned(source);
    if (request.fromContext && (path === ".." || path.startsWith("../"))) {
      throw stepError(
        request.range,
        `${request.keyword} failed: forbidden path outside the build context: ${source} ()`,
        "files come from below the context, the directory that the build is given",
      );
    }
    const inside = path.replace(/^(\.\.(\/|$))+/, "") || ".";
    if (request.parents) {
      selections.push(...(await selectWithParents(tree, source, inside, excluded, request, signal)));
      continue;
    }
    const literal = literalOf(inside, request.range);
    if (literal === undefined) {
      await checkPlace(tree, inside, request, signal);
      for (const match of expandWildcards(tree, inside)) {
        const selection = await tree.select(match, excluded, signal);
        if (selection) selections.push(selection);
      }
      continue;
    }
    const selection = await tree.select(literal, excluded, signal);
    if (!selection) throw notFound(tree, literal, request);
    selections.push(selection);
  }
  return selections;
}

/** Wildcards may match nothing, but only in a directory that is there. @throws DockerfileError */
async function checkPlace(
  tree: SourceTree,
  pattern: string,
  request: SourceRequest,
  signal?: AbortSignal,
): Promise<void> {
  const segments = pattern.split("/");
  const wild = segments.findIndex((part) => literalOf(part, request.range) === undefined);
  const directory = segments.slice(0, wild).join("/");
  if (directory === "" || (await tree.select(directory, undefined, signal))) return;
  throw notFound(tree, directory, request);
}

function cleaned(source: string): string {
  return posix.normalize(source.replace(/^\/+/, "") || ".").replace(/\/$/, "");
}

/** Each match as a directory that holds the ones above it and the match. */
async function selectWithParents(
  tree: SourceTree,
  source: string,
  path: string,
  excluded: IgnoreRules,
  request: SourceRequest,
  signal?: AbortSignal,
): Promise<Selection[]> {
  const pivot = source.indexOf("/./");
  const base = pivot < 0 ? "." : cleaned(source.slice(0, pivot));
  const dropped = base === "." ? 0 : base.split("/").length;
  if (base.split("/").includes("**")) throw stepError(request.range, `** can't stand before /./: ${source}`);
  const literal = literalOf(path, request.range);
  const matches = literal === undefined ? expandWildcards(tree, path, true) : [literal];
  const selections: Selection[] = [];
  for (const match of matches) {
    const parts = match.split("/").filter((part) => part !== ".");
    const target = parts.slice(dropped).join("/");
    const itself = tree.entry(match, target);
    const selection =
      itself?.link === undefined
        ? await tree.select(match, excluded, signal, target)
        : tree.ignore.excludes(match) || excluded.excludes(target)
          ? undefined
          : { name: "", directory: false, entries: [itself] };
    if (!selection) {
      if (literal !== undefined) throw notFound(tree, literal, request);
      continue;
    }
    const above = parts.slice(dropped, -1).flatMap((_, i) => {
      const depth = dropped + i + 1;
      const path = resolveInside(tree.root, parts.slice(0, depth).join("/"));
      return path === undefined ? [] : (tree.entry(path, parts.slice(dropped, depth).join("/")) ?? []);
    });
    selections.push({ name: "", directory: true, entries: [...above, ...selection.entries] });
  }
  return selections;
}

function literalOf(path: string, range: SourceRange): string | undefined {
  try {
    return compileGlob(path, { globstar: false }).literal;
  } catch (error) {
    if (error instanceof GlobError) throw stepError(range, `${error.message}: ${path}`);
    throw error;
  }
}

/** Paths that match, level by level; names in order. `**` is any number of directories, with `globstar`. */
export function expandWildcards(tree: SourceTree, pattern: string, globstar = false): string[] {
  let found = [""];
  const segments = pattern.split("/");
  for (const [i, segment] of segments.entries()) {
    if (globstar && segment === "**" && i < segments.length - 1) {
      // Directories that are found are walked on: the set grows meanwhile.
      const below = new Set(found);
      for (const at of below) for (const name of tree.directories(at)) below.add(posix.join(at, name));
      found = [...below];
      continue;
    }
    // At the end it is all that is below, which a directory brings along.
    if (globstar && segment === "**") continue;
    const glob = compileGlob(segment, { globstar: false });
    found = found.flatMap((directory) => {
      if (glob.literal !== undefined) return [posix.join(directory, glob.literal)];
      return tree
        .names(directory)
        .filter((name) => glob.matches(name))
        .map((name) => posix.join(directory, name));
    });
  }
  return found;
}

function notFound(tree: SourceTree, path: string, { keyword, fromContext, range }: SourceRequest): Error {
  const directory = posix.dirname(path);
  const visible = tree.names(directory).filter((name) => !tree.ignore.excludes(posix.join(directory, name)));
  const hint = tree.ignore.excludes(path)
    ? "the path matches a pattern of .dockerignore"
    : didYouMean(posix.basename(path), visible);
  const why = fromContext ? "file not found in build context or excluded by .dockerignore: " : "";
  return stepError(range, `${keyword} failed: ${why}stat ${path}: file does not exist`, hint);
}
