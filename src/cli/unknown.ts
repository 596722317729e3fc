/** Words that are no command: a call for help, a group alone, or a mistake. */
import { commandHelp } from "./args/help.ts";
import { nearest } from "./args/nearest.ts";
import { commands, findCommand, groups, programs, subgroups } from "./commands.ts";
import { groupHelp, overview } from "./overview.ts";
import { program } from "./program.ts";
import { stderrFd, stdoutFd, writeAll } from "./terminal.ts";

/** The words with a group inside a group as one of them. */
function inSubgroup(words: readonly string[]): readonly string[] {
  const name = words.slice(0, 2).join(" ");
  return Object.hasOwn(subgroups, name) ? [name, ...words.slice(2)] : words;
}

/** Help that was asked for in words, or what may have been meant. @returns the exit status */
export async function notACommand(words: readonly string[]): Promise<number> {
  const [first, second] = inSubgroup(words);
  if (first === undefined || first === "help") {
    const found = findCommand(words.slice(1));
    if (!found) {
      writeAll(stdoutFd, await overview());
      return 0;
    }
    writeAll(stdoutFd, commandHelp(await found.entry.load(), found.spelling));
    return 0;
  }
  const isGroup = Object.hasOwn(groups, first) || Object.hasOwn(subgroups, first);
  if (isGroup && (second === undefined || second === "--help" || second === "-h" || second === "help")) {
    // What nobody asked for goes to stderr, as with Docker.
    writeAll(second === undefined ? stderrFd : stdoutFd, await groupHelp(first));
    return 0;
  }
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
