/** From the sources that COPY or ADD names to the files that they select. */
import { posix } from "node:path";
import type { SourceRange } from "../dockerfile/instructions.ts";
import { didYouMean } from "../dockerfile/nearest.ts";
import { stepError } from "../errors.ts";
import { compileGlob, GlobError } from "./glob.ts";
import { IgnoreRules } from "./ignore.ts";
import type { Selection, SourceTree } from "./tree.ts";

export interface SourceRequest {
  /** Substituted. */
  sources: string[];
  exclude: string[];
  keyword: "COPY" | "ADD";
  /** The context has a `.dockerignore` to blame and no way out by `..`. */
  fromContext: boolean;
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
    const path = posix.normalize(source.replace(/^\/+/, "") || ".").replace(/\/$/, "");
    if (request.fromContext && (path === ".." || path.startsWith("../"))) {
      throw stepError(
        request.range,
        `${request.keyword} failed: forbidden path outside the build context: ${source} ()`,
      );
    }
    const inside = path.replace(/^(\.\.(\/|$))+/, "") || ".";
    const literal = literalOf(inside, request.range);
    if (literal === undefined) {
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
  if (selections.length === 0) {
    throw stepError(request.range, `${request.keyword} failed: no source files were specified`);
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

/** Paths that match, level by level; names in order. */
function expandWildcards(tree: SourceTree, pattern: string): string[] {
  let found = [""];
  for (const segment of pattern.split("/")) {
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
