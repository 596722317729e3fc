/** A shell's commands, as far as practices look at them: not a shell's parser, and wrong only towards silence. */
import type { Instruction, Run } from "../dockerfile/instructions.ts";

export const runsOf = (instructions: readonly Instruction[]): Run[] =>
  instructions.filter((instruction): instruction is Run => instruction.kind === "RUN");

/** What the shell gets. */
export function scriptOf({ command, heredocs }: Run): string {
  const text = command.form === "exec" ? command.args.join(" ") : command.text;
  return [text, ...heredocs.map(({ content }) => content)].join("\n");
}

/** The words of each command, without the variables that are set before it. */
export function commandsOf(run: Run): string[][] {
  return scriptOf(run)
    .replace(/\\\r?\n/g, " ")
    .split(/&&|\|\|?|;|\n|&/)
    .map((text) =>
      text
        .trim()
        .replace(/^(?:(?:sudo|exec|time|then|do|else)\s+|[A-Za-z_]\w*=\S*\s+)*/, "")
        .split(/\s+/)
        .filter((word) => word !== ""),
    )
    .filter((words) => words.length > 0);
}

/** Whether a command is a program's with one of its subcommands, flags between them or not. */
export function isCall(words: readonly string[], program: RegExp, subcommands: readonly string[]): boolean {
  const [name = "", ...rest] = words;
  if (!program.test(name)) return false;
  const first = rest.find((word) => !word.startsWith("-"));
  return first !== undefined && subcommands.includes(first);
}

export const apt = /^(?:\/usr\/bin\/)?apt(?:-get)?$/;
export const isAptInstall = (words: readonly string[]) => isCall(words, apt, ["install"]);
export const isAptUpdate = (words: readonly string[]) => isCall(words, apt, ["update"]);

/** Whether a cache is mounted over a path or above it: what is left there is in no layer. */
export function hasMountOver({ mounts }: Run, path: string): boolean {
  return mounts.some((mount) => {
    const target = /(?:^|,)(?:target|dst|destination)=([^,]+)/.exec(mount)?.[1]?.replace(/\/+$/, "");
    return target !== undefined && (path === target || path.startsWith(`${target}/`));
  });
}
