/** One command, from the words behind it to its exit status. */
import { Cancelled } from "../lib/errors.ts";
import { HelpRequested, parseFlags, UsageError } from "./args/parse.ts";
import type { Command } from "./command.ts";
import { type CliContext, ExitStatus } from "./context.ts";
import { describe } from "./errors.ts";
import { program } from "./program.ts";

const sigpipe = 13;

/** Parses the words behind a command, runs it, and says what went wrong. @returns the exit status */
export async function runCommand(
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
      // Docker's words: only where there may be any number it is another one.
      const look = Number.isFinite(command.arity.max) ? "Run" : "See";
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
    if (text !== "" && command.failure && status !== 1)
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
  if (!Number.isFinite(max)) return `${name} requires at least ${arguments_(min)}`;
  return min === 0
    ? `${name} requires at most ${arguments_(max)}`
    : `${name} requires at least ${min} and at most ${arguments_(max)}`;
}
