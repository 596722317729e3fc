/** The help of the program itself and of groups of commands. */
import { flagsHelp } from "./args/help.ts";
import { commands, type Entry, groups, programs, subgroups } from "./commands.ts";
import { globalFlags } from "./global-flags.ts";
import { program } from "./program.ts";

const common = ["run", "exec", "ps", "build", "pull", "push", "images", "login", "logout", "version", "info"];

/** `gantry --help`. */
export async function overview(): Promise<string> {
  const visible = commands.filter(({ hidden }) => !hidden);
  const short = visible.flatMap((entry) =>
    entry.names.filter((name) => !name.includes(" ")).map((name) => ({ entry, name })),
  );
  const isCommon = ({ name }: { name: string }) => common.includes(name);
  const rest = short.filter((item) => !isCommon(item)).sort((a, b) => (a.name < b.name ? -1 : 1));
  const first = common.flatMap((name) => short.filter((item) => item.name === name));
  return [
    `Usage:  ${program} [OPTIONS] COMMAND`,
    "Docker, rebuilt: containers, images, networks and volumes",
    `Common Commands:\n${await rows(first)}`,
    `Management Commands:\n${pairs(Object.entries(groups))}`,
    `Programs:\n${pairs(Object.entries(programs))}`,
    `Commands:\n${await rows(rest)}`,
    `Global Options:\n${flagsHelp(globalFlags)}`,
    `Run '${program} COMMAND --help' for more information on a command.\n`,
  ].join("\n\n");
}

/** `gantry container --help`. */
export async function groupHelp(group: string): Promise<string> {
  const members = commands
    .flatMap((entry) => {
      const name = entry.names.find((spelling) => spelling.startsWith(`${group} `));
      return name === undefined ? [] : [{ entry, name: name.slice(group.length + 1) }];
    })
    // A group inside is a word of its own.
    .filter(({ name }) => !name.includes(" "))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
  const inside = pairs(
    Object.entries(subgroups)
      .filter(([name]) => name.startsWith(`${group} `))
      .map(([name, text]) => [name.slice(group.length + 1), text]),
  );
  return [
    `Usage:  ${program} ${group} COMMAND`,
    groups[group] ?? subgroups[group],
    `Commands:\n${[await rows(members), inside].filter(Boolean).join("\n")}`,
    `Run '${program} ${group} COMMAND --help' for more information on a command.\n`,
  ].join("\n\n");
}

async function rows(items: { entry: Entry; name: string }[]): Promise<string> {
  return pairs(
    await Promise.all(items.map(async ({ entry, name }) => [name, (await entry.load()).summary] as const)),
  );
}

function pairs(items: readonly (readonly [string, string])[]): string {
  const width = Math.max(11, ...items.map(([name]) => name.length + 2));
  return items.map(([name, text]) => `  ${name.padEnd(width)} ${text}`).join("\n");
}
