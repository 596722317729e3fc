/**
 * The executable's first module: the few commands that are called most, and the way to all others, main.ts.
 *
 * script/build bundles it apart, so that it has nothing of what only others use. What both use is in the executable
 * twice, and no object goes from one to the other. docs/performance.md has what that saves.
 */
import { parseFlags } from "./cli/args/parse.ts";
import { CliContext } from "./cli/context.ts";
import { frequent } from "./cli/frequent.ts";
import { endpointOverrides, globalFlags } from "./cli/global-flags.ts";
import { runCommand } from "./cli/run-command.ts";

/** @returns the exit status; nothing: it's another command, or main.ts has to say what is wrong */
async function runFrequent(argv: string[]): Promise<number | undefined> {
  const line = read(argv);
  if (!line) return undefined;
  const [word = "", ...rest] = line.args;
  if (!Object.hasOwn(frequent, word)) return undefined;
  return runCommand(line.context, await frequent[word]!(), word, rest);
}

function read(argv: string[]): { args: string[]; context: CliContext } | undefined {
  try {
    const { flags, args, given } = parseFlags(globalFlags, argv, { interspersed: false });
    if (flags.version) return undefined;
    return { args, context: new CliContext(process.env, endpointOverrides(flags, given)) };
  } catch {
    return undefined;
  }
}

void runFrequent(process.argv.slice(2)).then((status) => {
  if (status !== undefined) process.reallyExit(status);
  void import("#main");
});
