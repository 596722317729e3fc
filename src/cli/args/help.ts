/** Help texts from the commands' data, laid out as Docker does. */
import type { Command, Flag, Flags } from "../command.ts";
import { program } from "../program.ts";

/** `gantry rm [OPTIONS] CONTAINER [CONTAINER...]`, under the spelling that was used. */
export function usageLine(command: Command, spelling: string): string {
  return `Usage:  ${program} ${spelling} ${command.usage}`.trimEnd();
}

/** The whole text of `--help`. */
export function commandHelp(command: Command, spelling: string): string {
  const parts = [usageLine(command, spelling), command.summary];
  if (command.aliases && command.aliases.length > 1) {
    parts.push(`Aliases:\n  ${command.aliases.map((alias) => `${program} ${alias}`).join(", ")}`);
  }
  const options = flagsHelp(command.flags);
  if (options !== "") parts.push(`Options:\n${options}`);
  if (command.examples)
    parts.push(`Examples:\n${command.examples.map((line) => `  ${program} ${line}`).join("\n")}`);
  return `${parts.join("\n\n")}\n`;
}

const width = 80;

/** A line or more for each flag, sorted by name, the help wrapped beside. */
export function flagsHelp(flags: Flags): string {
  const rows = Object.entries(flags)
    .filter(([, flag]) => !flag.hidden)
    .sort(([a], [b]) => (a.toLowerCase() < b.toLowerCase() ? -1 : 1))
    .map(([name, flag]) => ({ left: leftColumn(name, flag), text: flag.help + defaultText(flag) }));
  const indent = Math.max(0, ...rows.map(({ left }) => left.length)) + 3;
  return rows
    .map(({ left, text }) => {
      const lines = text.split("\n").flatMap((line) => wrap(line, Math.max(24, width - indent)));
      return left.padEnd(indent) + lines.join(`\n${" ".repeat(indent)}`);
    })
    .join("\n");
}

function leftColumn(name: string, flag: Flag): string {
  const short = flag.short ? `-${flag.short}, ` : "    ";
  const value = flag.kind === "bool" ? "" : ` ${flag.value ?? flag.kind}`;
  return `  ${short}--${name}${value}`;
}

function defaultText(flag: Flag): string {
  if (flag.default === undefined || flag.default === "") return "";
  return ` (default ${flag.kind === "string" ? JSON.stringify(flag.default) : flag.default})`;
}

function wrap(text: string, columns: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > columns) {
      lines.push(line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  lines.push(line);
  return lines;
}
