/** Completion of programs that stand apart from the client: from what their own `--help` says. */
import { ownCommand } from "../../lib/own-command.ts";
import type { Completion, Suggestion } from "./complete.ts";

const call = async (args: string[]): Promise<string> => {
  const child = Bun.spawn([...ownCommand(Bun.main, process.execPath), ...args], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "ignore",
    timeout: 2000,
  });
  return new Response(child.stdout).text();
};

/** Commands and flags as a help text lists them. */
export function readHelp(text: string): { commands: Suggestion[]; flags: Suggestion[] } {
  const commands: Suggestion[] = [];
  const flags: Suggestion[] = [];
  let section = "";
  for (const line of text.split("\n")) {
    if (/^\S.*:$/.test(line)) section = line;
    const flag = /^\s{2,}(?:-\w, )?(--[\w-]+)(?: [^\s]+)?(?:\s{2,}(.*))?$/.exec(line);
    if (flag) flags.push({ value: flag[1]!, help: flag[2] });
    const command = /^ {2}([a-z][\w-]*)\s{2,}(\S.*)$/.exec(line);
    if (command && /Commands:$/.test(section)) commands.push({ value: command[1]!, help: command[2] });
  }
  return { commands, flags };
}

/** Compose's commands that take no services. */
const withoutServices = new Set(["config", "ls", "version", "down", "volumes"]);

/** Subcommands, flags, and for compose the services of the project here. */
export async function completeProgram(program: string, words: string[]): Promise<Completion> {
  const last = words.at(-1) ?? "";
  const before = words.slice(0, -1);
  const { commands } = readHelp(await call([program, "--help"]));
  const names = commands.map(({ value }) => value);
  const at = before.findIndex((word) => names.includes(word));
  const path = at < 0 ? [program] : [program, before[at]!];
  if (last.startsWith("-")) {
    const { flags } = readHelp(await call([...path, "--help"]));
    return { suggestions: flags, files: false };
  }
  if (at < 0) return { suggestions: commands, files: /^-|file$/.test(before.at(-1) ?? "") };
  if (program !== "compose" || withoutServices.has(before[at]!)) return { suggestions: [], files: true };
  const services = await call([program, ...before.slice(0, at), "config", "--services"]);
  const suggestions = services.split("\n").filter((name) => name !== "");
  return { suggestions: suggestions.map((value) => ({ value })), files: false };
}
