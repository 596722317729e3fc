/** What defines a build: the Dockerfile, the ignore file that goes with it, and what the request makes of them. */
import { lstatSync, readFileSync } from "node:fs";
import { join, posix } from "node:path";
import { InvalidParameter } from "../lib/errors.ts";
import { IgnoreRules } from "../lib/ignore.ts";
import { type CheckSettings, checkSettings } from "./checks/index.ts";
import { didYouMean } from "./dockerfile/nearest.ts";
import type { ParsedDockerfile } from "./dockerfile/parse.ts";
import { resolveInside } from "./files/inside.ts";
import { SourceTree } from "./files/tree.ts";
import { hostPlatform, platformArgs } from "./graph/scope.ts";
import { buildGraph, type Graph } from "./graph/stages.ts";
import type { BuildRequest } from "./types.ts";

export interface DockerfileText {
  /** For messages. */
  name: string;
  text: string;
}

/** @throws InvalidParameter when the file is not in the context */
export function readDockerfile({ contextDir, dockerfile }: BuildRequest): DockerfileText {
  if ("text" in dockerfile) return { name: dockerfile.name ?? "Dockerfile", text: dockerfile.text };
  const name = posix.join(".", dockerfile.path || "Dockerfile");
  const text = readInside(contextDir, name);
  if (text === undefined) {
    const names = new SourceTree(contextDir).names(posix.dirname(name));
    const hint = didYouMean(posix.basename(name), names);
    throw new InvalidParameter(
      `failed to read dockerfile: open ${name}: no such file or directory${hint ? ` (${hint})` : ""}`,
    );
  }
  if (text.trim() === "") throw new InvalidParameter(`the Dockerfile (${name}) cannot be empty`);
  return { name, text };
}

/** `<Dockerfile>.dockerignore` goes before `.dockerignore`. @throws InvalidParameter malformed pattern */
export function readIgnoreRules({ contextDir, dockerfile }: BuildRequest): IgnoreRules {
  if ("text" in dockerfile && dockerfile.ignore !== undefined) return IgnoreRules.parse(dockerfile.ignore);
  const own = "path" in dockerfile ? [`${dockerfile.path || "Dockerfile"}.dockerignore`] : [];
  for (const name of [...own, ".dockerignore"]) {
    const text = readInside(contextDir, name);
    if (text !== undefined) return IgnoreRules.parse(text);
  }
  return IgnoreRules.none;
}

/** A named context has a `.dockerignore` of its own. @throws InvalidParameter malformed pattern */
export function namedContext(directory: string): SourceTree {
  const text = readInside(directory, ".dockerignore");
  return new SourceTree(directory, text === undefined ? IgnoreRules.none : IgnoreRules.parse(text));
}

/** A regular file's text; links are followed inside the context only. */
export function readInside(contextDir: string, path: string): string | undefined {
  const real = resolveInside(contextDir, path);
  if (!real) return undefined;
  const file = join(contextDir, real);
  return lstatSync(file, { throwIfNoEntry: false })?.isFile() ? readFileSync(file, "utf8") : undefined;
}

/** The directories that come with a request, to be released when nothing reads them any more. */
export function filesOf(request: BuildRequest): AsyncDisposableStack {
  const files = new AsyncDisposableStack();
  files.defer(async () => request.release?.());
  return files;
}

/** How the file is checked: by what the request says, else by what the file itself does. */
export function settingsOf({ buildArgs }: BuildRequest, { directives }: ParsedDockerfile): CheckSettings {
  return checkSettings(buildArgs.BUILDKIT_DOCKERFILE_CHECK ?? directives.get("check"));
}

/** The file's stages for the request's platform and target. @throws DockerfileError */
export function graphOf(
  { platform, target, buildArgs, contexts }: BuildRequest,
  dockerfile: ParsedDockerfile,
): Graph {
  const args = platformArgs(hostPlatform(), platform ?? hostPlatform(), target);
  return buildGraph(dockerfile, { buildArgs, contexts, platform: args, target });
}
