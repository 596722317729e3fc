import { writeFileSync } from "node:fs";
import { contextOfBuilder } from "../builder/builders.ts";
import { defineCommand, exactly } from "../command.ts";
import type { CliContext } from "../context.ts";
import { removePlainFile } from "../output-file.ts";
import { isTerminal, stderrFd, stdoutFd, writeAll } from "../terminal.ts";
import type { Explanation } from "./explain.ts";
import { type BuildValues, buildFlags } from "./flags.ts";
import { checkProgress, openDisplay } from "./progress/index.ts";
import { isCheck, questionOf } from "./request.ts";
import { BuildFailed, type BuildOutcome, prepareBuild, runBuild } from "./run-build.ts";
import { shown } from "./shown.ts";

export const command = defineCommand({
  name: "image build",
  usage: "[OPTIONS] PATH | URL | -",
  summary: "Build an image from a Dockerfile",
  aliases: ["image build", "build", "builder build", "buildx build", "buildx b"],
  flags: buildFlags,
  arity: exactly(1),
  examples: [
    "build -t app:1.0 .",
    "build -t app --build-arg VERSION=1.0 --target test -f docker/Dockerfile .",
    "build --secret id=npmrc,src=.npmrc --build-context lib=../lib .",
    "build -t tools - < Dockerfile",
    "build https://github.com/team/app.git#main:server",
  ],
  async run(current, { flags, args: [path = "."], given }) {
    const context = await contextOfBuilder(current, flags.builder);
    const kind = checkProgress(
      given("progress") ? flags.progress : (context.env.BUILDKIT_PROGRESS ?? flags.progress),
    );
    if (flags.iidfile !== undefined) removePlainFile(flags.iidfile);
    if (flags["debug-shell"]) (await import("./debug-shell.ts")).checkDebugShell(flags, path);
    await using cleanup = new AsyncDisposableStack();
    const build = await prepareBuild(context, flags, path, cleanup);
    if (flags.debug) context.err(`POST ${build.path} ${JSON.stringify(build.query)}\n`);
    if (questionOf(flags) || isCheck(flags)) {
      const { answerOf } = await import("./answer.ts");
      const { text, ok } = await answerOf(context, flags, build);
      writeAll(stdoutFd, text);
      return ok ? 0 : 1;
    }
    const display = await openDisplay(flags.quiet ? "quiet" : kind, context.env);
    const explanations: Explanation[] = [];
    try {
      const outcome = await shown(context, display, (signal) =>
        runBuild(context, build, {
          show: (status) => display.show(status),
          onExplain: (told) => explanations.push(told),
          onText: (text) => context.err(text),
          signal,
        }),
      );
      report(context, flags, outcome);
    } catch (error) {
      if (error instanceof BuildFailed) await offerShell(context, flags, path, error);
      throw error;
    } finally {
      // Why a step was done again is of interest above all when it failed.
      if (flags.explain) await explain(context, explanations, flags.format);
    }
    return 0;
  },
});

/** Opens the shell that was asked for, or tells that one can be had. */
async function offerShell(
  context: CliContext,
  flags: BuildValues,
  path: string,
  { message, detail, stepStatus }: BuildFailed,
): Promise<void> {
  const { lineOf } = await import("./excerpt.ts");
  // Only a step that ran has a state before it.
  const line = stepStatus === undefined ? undefined : lineOf(detail);
  if (line === undefined) return;
  if (flags["debug-shell"]) {
    context.err(`${message}\n`);
    return (await import("./debug-shell.ts")).openDebugShell(context, flags, path, line);
  }
  if (isTerminal(stderrFd))
    context.err("Try --debug-shell: it opens a shell in the state before that step.\n");
}

async function explain(context: CliContext, told: Explanation[], format: string): Promise<void> {
  const { explainFormat, showExplanations } = await import("./explain.ts");
  context.out(showExplanations(told, explainFormat(format)));
}

function report(context: CliContext, flags: BuildValues, { imageId, metadata }: BuildOutcome): void {
  if (imageId !== undefined && flags.iidfile !== undefined) writeFileSync(flags.iidfile, imageId);
  if (imageId !== undefined && flags.quiet) context.line(imageId);
  const file = flags["metadata-file"];
  if (file !== undefined) writeFileSync(file, `${JSON.stringify(metadata, undefined, 2)}\n`);
}
