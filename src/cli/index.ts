/** The client's command line: global flags, the command, its arguments, and how failures end. */
import { Cancelled, messageOf } from "../lib/errors.ts";
import { HelpRequested, parseFlags, UsageError } from "./args/parse.ts";
import type { ReadComposeBuilds } from "./bake/compose.ts";
import type { Command } from "./command.ts";
import { commands, findCommand, groups, programs, subgroups } from "./commands.ts";
import { CliContext, ExitStatus } from "./context.ts";
import { describe } from "./errors.ts";
import { endpointOverrides, globalFlags } from "./global-flags.ts";
import { program, version } from "./program.ts";
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
    const found = findCommand(args);
    if (!found) return await notACommand(args);
    return await runCommand(context, await found.entry.load(), found.spelling, found.rest);
  } catch (error) {
    if (flags.debug && error instanceof Error) say(error.stack ?? "");
    say(describe(error));
    return 1;
  }
}

const sigpipe = 13;

async function runCommand(
  context: CliContext,
  command: Command,
  spelling: string,
  argv: string[],
): Promise<number> {
  const failure = command.failure ?? 1;
  try {
    const parsed = parseFlags(command.flags, argv, { interspersed: command.interspersed });
    const wrong = arityError(command, spelling, parsed.args.length);
    if (wrong !== undefined) {
      const { usageLine } = await import("./args/help.ts");
      // Docker's words for the two.
      const look = command.arity.max === 0 ? "Run" : "See";
      context.err(
        `${wrong}\n\n${usageLine(command, spelling)}\n\n${look} '${program} ${spelling} --help' for more information\n`,
      );
      return 1;
    }
    return (await command.run(context, parsed)) ?? 0;
  } catch (error) {
    if (error instanceof HelpRequested) {
      const { commandHelp } = await import("./args/help.ts");
      context.out(commandHelp(command, spelling));
      return 0;
    }
    if (error instanceof UsageError) {
      const { usageLine } = await import("./args/help.ts");
      context.err(
        `${error.message}\n\n${usageLine(command, spelling)}\n\nRun '${program} ${spelling} --help' for more information\n`,
      );
      return 125;
    }
    if (error instanceof Cancelled) return 130;
    // Whoever read our output has enough of it.
    if ((error as { code?: unknown }).code === "EPIPE") return 128 + sigpipe;
    const isExit = error instanceof ExitStatus;
    const text = isExit ? error.message : describe(error);
    const status = isExit ? error.code : failure;
    // Commands with a status of their own can be mistaken for the container's output: they say who speaks.
    if (text !== "" && command.failure)
      context.err(`${program}: ${text}\n\nRun '${program} ${spelling} --help' for more information\n`);
    else if (text !== "") context.err(`${text}\n`);
    return status;
  }
}

function arityError(command: Command, spelling: string, count: number): string | undefined {
  const { min, max } = command.arity;
  if (count >= min && count <= max) return undefined;
  const name = `${program}: '${program} ${spelling}'`;
  const arguments_ = (n: number) => `${n} argument${n === 1 ? "" : "s"}`;
  if (max === 0) return `${name} accepts no arguments`;
  if (min === max) return `${name} requires ${arguments_(min)}`;
  if (count < min) return `${name} requires at least ${arguments_(min)}`;
  return `${name} requires at most ${arguments_(max)}`;
}

/** The words with a group inside a group as one of them. */
function inSubgroup(words: readonly string[]): readonly string[] {
  const name = words.slice(0, 2).join(" ");
  return Object.hasOwn(subgroups, name) ? [name, ...words.slice(2)] : words;
}

async function notACommand(words: string[]): Promise<number> {
  const [first, second] = inSubgroup(words);
  if (first === undefined || first === "help") {
    const found = findCommand(words.slice(1));
    if (!found) return showOverview();
    const { commandHelp } = await import("./args/help.ts");
    writeAll(1, commandHelp(await found.entry.load(), found.spelling));
    return 0;
  }
  const isGroup = Object.hasOwn(groups, first) || Object.hasOwn(subgroups, first);
  if (isGroup && (second === undefined || second === "--help" || second === "-h" || second === "help")) {
    const { groupHelp } = await import("./overview.ts");
    writeAll(1, await groupHelp(first));
    return 0;
  }
  const { nearest } = await import("./args/nearest.ts");
  const wrong = isGroup ? `${first} ${second}` : first;
  const candidates = [
    ...commands.flatMap(({ names, hidden }) => (hidden ? [] : names)),
    ...Object.keys(groups),
    ...Object.keys(programs),
  ];
  const meant = nearest(wrong, candidates);
  writeAll(
    stderrFd,
    [
      `${program}: unknown command: ${program} ${wrong}`,
      ...(meant ? [`Did you mean '${program} ${meant}'?`] : []),
      ...(isGroup ? ["", `Usage:  ${program} ${first}`] : []),
      "",
      `Run '${program} ${isGroup ? `${first} ` : ""}--help' for more information\n`,
    ].join("\n"),
  );
  return 1;
}

async function showOverview(): Promise<number> {
  const { overview } = await import("./overview.ts");
  writeAll(1, await overview());
  return 0;
}
