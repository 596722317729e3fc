/**
 * `build --debug-shell`: a shell in the state before the step that failed. What the Dockerfile says before that step
 * is built as an image of its own, which the cache has already; the image goes when the shell ends.
 */
import { InvalidParameter } from "../../lib/errors.ts";
import { parseFlags } from "../args/parse.ts";
import { command as runCommand } from "../container/run.ts";
import type { CliContext } from "../context.ts";
import { isTerminal, stdinFd, stdoutFd } from "../terminal.ts";
import type { BuildValues } from "./flags.ts";
import { prepareBuild, runBuild } from "./run-build.ts";

/** Called before the build: a shell that can't be opened is told at once. @throws InvalidParameter */
export function checkDebugShell(flags: BuildValues, place: string): void {
  if (!isTerminal(stdinFd) || !isTerminal(stdoutFd))
    throw new InvalidParameter("--debug-shell needs a terminal");
  if (place === "-" || flags.file === "-")
    throw new InvalidParameter("--debug-shell needs context and Dockerfile from files, not from stdin");
}

/** @param line of the step that failed, from 1 */
export async function openDebugShell(
  context: CliContext,
  flags: BuildValues,
  place: string,
  line: number,
): Promise<void> {
  await using cleanup = new AsyncDisposableStack();
  const upTo = (text: string) =>
    text
      .split("\n")
      .slice(0, line - 1)
      .join("\n");
  // The stage that failed is the last one of what is left.
  const only = { target: undefined, tag: [], output: [], push: false, "cache-to": [], explain: false };
  const fromCache = { "no-cache": false, "no-cache-filter": [], pull: false };
  const build = await prepareBuild(context, { ...flags, ...only, ...fromCache }, place, cleanup, {
    edit: upTo,
  });
  const { imageId } = await runBuild(context, build, { show: () => {} });
  if (imageId === undefined) return;
  cleanup.defer(() => removeUnnamed(context, imageId));
  context.err("A shell in the state before that step; exit ends it.\n");
  const argv = ["--rm", "-it", "--entrypoint", "/bin/sh", imageId];
  await runCommand.run(context, parseFlags(runCommand.flags, argv, { interspersed: false }));
}

/** A Dockerfile that fails in its first step leaves its base image, which is somebody's. */
async function removeUnnamed({ client }: CliContext, imageId: string): Promise<void> {
  const { RepoTags } = await client.call<{ RepoTags: string[] | null }>("GET", `/images/${imageId}/json`);
  if (!RepoTags?.length) await client.call("DELETE", `/images/${imageId}`);
}
