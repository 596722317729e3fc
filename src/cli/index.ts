/** The client's command line: global flags, the command, its arguments, and how failures end. */
import { messageOf } from "../lib/errors.ts";
import { fs } from "../lib/lazy-fs.ts";
import { HelpRequested, parseFlags } from "./args/parse.ts";
import type { ReadComposeBuilds } from "./bake/compose.ts";
import { CliContext } from "./context.ts";
import { describe } from "./errors.ts";
import { endpointOverrides, globalFlags } from "./global-flags.ts";
import { program, version } from "./program.ts";
import { runCommand } from "./run-command.ts";
import { stderrFd, writeAll } from "./terminal.ts";

/** A program behind a word of its own: gets what follows that word. @returns the exit status; nothing: it goes on */
export type ProgramRunner = (args: string[], context: CliContext) => Promise<number | undefined>;

/**
 * Runs one command line.
 * @param runners the programs of `programs`
 * @param composeBuilds reads Compose files for `bake`
 * @returns the exit status; everything to be said has been written
 */
export async function main(
  argv: readonly string[],
  env: Record<string, string | undefined>,
  runners: Readonly<Record<string, ProgramRunner>> = {},
  composeBuilds?: ReadComposeBuilds,
): Promise<number | undefined> {
  const say = (text: string) => writeAll(stderrFd, `${text}\n`);
  let parsed: ReturnType<typeof parseFlags<typeof globalFlags>>;
  try {
    parsed = parseFlags(globalFlags, argv, { interspersed: false });
  } catch (error) {
    if (error instanceof HelpRequested) return showOverview();
    say(
      `${messageOf(error)}\n\nUsage:  ${program} [OPTIONS] COMMAND\n\nRun '${program} --help' for more information`,
    );
    return 125;
  }
  const { flags, args } = parsed;
  try {
    if (flags.version) {
      writeAll(1, `Gantry version ${version}\n`);
      return 0;
    }
    const context = new CliContext(env, endpointOverrides(flags, parsed.given), composeBuilds);
    const [word = "", ...rest] = args;
    if (Object.hasOwn(runners, word)) return await runners[word]!(rest, context);
    // What these commands write is written by node:fs, which loads while they wait for the engine.
    context.whileWaiting = fs;
    const { findCommand } = await import("./commands.ts");
    const found = findCommand(args);
    if (!found) return await (await import("./unknown.ts")).notACommand(args);
    return await runCommand(context, await found.entry.load(), found.spelling, found.rest);
  } catch (error) {
    if (flags.debug && error instanceof Error) say(error.stack ?? "");
    say(describe(error));
    return 1;
  }
}

/** Runs one command for a program of another word. @returns as `main` */
export async function runWords(context: CliContext, words: string[]): Promise<number> {
  const { findCommand } = await import("./commands.ts");
  const { entry, spelling, rest } = findCommand(words)!;
  return runCommand(context, await entry.load(), spelling, rest);
}

async function showOverview(): Promise<number> {
  const { overview } = await import("./overview.ts");
  writeAll(1, await overview());
  return 0;
}
