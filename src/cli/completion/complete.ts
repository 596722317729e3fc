/** What fits at the cursor of an unfinished command line. The commands' own data says it; names come from outside. */
import type { Command, Flag, Flags } from "../command.ts";
import { commands, findCommand, groups, programs } from "../commands.ts";
import { globalFlags } from "../global-flags.ts";

/** Kinds of names that only the engine or the disk knows. */
export type NameKind =
  | "container"
  | "running"
  | "stopped"
  | "paused"
  | "image"
  | "network"
  | "volume"
  | "context"
  | "token"
  | "object";

export interface Suggestion {
  value: string;
  help?: string;
}

export interface Completion {
  suggestions: Suggestion[];
  /** Names of files fit too. */
  files: boolean;
}

/** Answers with what exists; with nothing when it can't be asked. */
export type NameSource = (kind: NameKind) => Promise<Suggestion[]>;

/** Completes the words of a program of its own, such as compose. */
export type ProgramSource = (program: string, words: string[]) => Promise<Completion>;

const nothing: Completion = { suggestions: [], files: false };
const files: Completion = { suggestions: [], files: true };

/**
 * @param words what follows the program's name; the last one is being written
 * @returns all that begins as that last word does
 */
export async function complete(
  words: readonly string[],
  names: NameSource,
  program: ProgramSource,
): Promise<Completion> {
  const started = words.at(-1) ?? "";
  const { suggestions, files } = await candidates(words, names, program);
  return { suggestions: suggestions.filter(({ value }) => value.startsWith(started)), files };
}

async function candidates(
  all: readonly string[],
  names: NameSource,
  program: ProgramSource,
): Promise<Completion> {
  const { rest: words, pending } = skipFlags(globalFlags, all.slice(0, -1));
  const last = all.at(-1) ?? "";
  if (pending) return flagValue(pending.name, pending.flag, names);
  const [first = ""] = words;
  if (Object.hasOwn(programs, first)) return program(first, [...words.slice(1), last]);
  const line = first === "help" ? words.slice(1) : words;
  const found = findCommand(line);
  if (found && first === "help") return nothing;
  if (found) return forCommand(await found.entry.load(), found.spelling, [...found.rest, last], names);
  if (line.length === 0) {
    if (last.startsWith("-")) return flagNames(globalFlags);
    return { suggestions: await topLevel(), files: false };
  }
  if (line.length === 1 && Object.hasOwn(groups, first))
    return { suggestions: await membersOf(first), files: false };
  return nothing;
}

async function topLevel(): Promise<Suggestion[]> {
  const short = commands
    .filter(({ hidden }) => !hidden)
    .flatMap((entry) => entry.names.filter((name) => !name.includes(" ")).map((value) => ({ value, entry })));
  const described = await Promise.all(
    short.map(async ({ value, entry }) => ({ value, help: (await entry.load()).summary })),
  );
  const others = Object.entries({ ...groups, ...programs }).map(([value, help]) => ({ value, help }));
  return [...described, ...others, { value: "help", help: "Help about a command" }].sort((a, b) =>
    a.value < b.value ? -1 : 1,
  );
}

async function membersOf(group: string): Promise<Suggestion[]> {
  const members = commands.flatMap((entry) => {
    const name = entry.names.find((spelling) => spelling.startsWith(`${group} `));
    return name === undefined ? [] : [{ entry, value: name.slice(group.length + 1) }];
  });
  return Promise.all(
    members.map(async ({ entry, value }) => ({ value, help: (await entry.load()).summary })),
  );
}

/** Arguments among the words, and the flag whose value comes next. Words that are no flags of these end it. */
function skipFlags(
  flags: Flags,
  words: readonly string[],
  interspersed = false,
): { rest: string[]; pending?: { name: string; flag: Flag } } {
  const rest: string[] = [];
  for (let i = 0; i < words.length; i++) {
    const word = words[i]!;
    if (word === "--") return { rest: [...rest, ...words.slice(i + 1)] };
    if (!word.startsWith("-") || word === "-") {
      if (!interspersed) return { rest: [...rest, ...words.slice(i)] };
      rest.push(word);
      continue;
    }
    const named = flagOf(flags, word);
    if (!named || named.flag.kind === "bool" || named.hasValue) continue;
    if (i + 1 === words.length) return { rest, pending: named };
    i++;
  }
  return { rest };
}

/** The flag of a word; of a row of short ones the last. */
function flagOf(flags: Flags, word: string): { name: string; flag: Flag; hasValue: boolean } | undefined {
  if (word.startsWith("--")) {
    const [name = ""] = word.slice(2).split("=", 1);
    const flag = Object.hasOwn(flags, name) ? flags[name] : undefined;
    return flag && { name, flag, hasValue: word.includes("=") };
  }
  for (let at = 1; at < word.length; at++) {
    const found = Object.entries(flags).find(([, { short }]) => short === word[at]);
    if (!found) return undefined;
    const [name, flag] = found;
    if (flag.kind !== "bool" || at === word.length - 1)
      return { name, flag, hasValue: flag.kind !== "bool" && at < word.length - 1 };
  }
  return undefined;
}

async function forCommand(
  command: Command,
  spelling: string,
  words: string[],
  names: NameSource,
): Promise<Completion> {
  const last = words.at(-1)!;
  const before = words.slice(0, -1);
  const { rest, pending } = skipFlags(command.flags, before, command.interspersed !== false);
  if (pending) return flagValue(pending.name, pending.flag, names);
  // What follows belongs to the container.
  const foreign = command.interspersed === false && rest.length > 0;
  if (last.startsWith("-") && last !== "-" && !foreign && !before.includes("--")) {
    const equals = last.indexOf("=");
    const named = flagOf(command.flags, last);
    if (equals < 0 || !named) return flagNames(command.flags);
    const completion = await flagValue(named.name, named.flag, names);
    const prefix = last.slice(0, equals + 1);
    return {
      ...completion,
      suggestions: completion.suggestions.map(({ value, help }) => ({ value: prefix + value, help })),
    };
  }
  return forArgument(command, spelling, rest.length, names);
}

function flagNames(flags: Flags): Completion {
  const shown = Object.entries(flags).filter(([, { hidden }]) => !hidden);
  const suggestions = shown.map(([name, { help }]) => ({ value: `--${name}`, help }));
  return { suggestions: [...suggestions, { value: "--help", help: "Show help" }], files: false };
}

/** Values that are a choice among words. */
const choices: Record<string, string[]> = {
  pull: ["always", "missing", "never"],
  restart: ["no", "on-failure", "always", "unless-stopped"],
  progress: ["auto", "plain"],
  cgroupns: ["host", "private"],
  type: ["container", "image", "network", "volume"],
  "log-level": ["debug", "info", "warn", "error", "fatal"],
  signal: ["HUP", "INT", "KILL", "QUIT", "TERM", "USR1", "USR2"],
  format: ["json", "table"],
  platform: ["linux/amd64", "linux/arm64"],
};

/** Values that are names of things. */
const named: Record<string, NameKind> = {
  network: "network",
  net: "network",
  volume: "volume",
  "volumes-from": "container",
  link: "container",
  context: "context",
  from: "context",
};

/** Values that are paths. */
const paths = new Set(
  "file env-file label-file cidfile iidfile output input volume config tlscacert tlscert tlskey".split(" "),
);

async function flagValue(name: string, flag: Flag, names: NameSource): Promise<Completion> {
  const kind = Object.hasOwn(named, name) ? named[name] : undefined;
  const words = Object.hasOwn(choices, name) && flag.kind !== "bool" ? choices[name]! : [];
  return {
    suggestions: kind ? await names(kind) : words.map((value) => ({ value })),
    files: paths.has(name),
  };
}

/** Commands that only do something with containers in some states. */
const states: Record<string, NameKind> = {
  "container attach": "running",
  "container exec": "running",
  "container kill": "running",
  "container pause": "running",
  "container port": "running",
  "container start": "stopped",
  "container stats": "running",
  "container stop": "running",
  "container top": "running",
  "container unpause": "paused",
};

/** What the usage line says of an argument: `CONTAINER`, `SOURCE_IMAGE[:TAG]`. */
const placeholders: [pattern: RegExp, kind: NameKind | "file" | "copy"][] = [
  [/^CONTAINER:SRC_PATH/, "copy"],
  [/^DEST_PATH|^(?:file|PATH)\b/, "file"],
  [/CONTAINER/, "container"],
  [/IMAGE|REPOSITORY|^NAME\[:TAG/, "image"],
  [/NETWORK/, "network"],
  [/VOLUME/, "volume"],
  [/CONTEXT/, "context"],
  [/TOKEN/, "token"],
  [/^NAME\|ID/, "object"],
];

/** Arguments that name something new. */
const fresh = new Set(["context create", "network create", "volume create"]);

async function forArgument(
  command: Command,
  spelling: string,
  index: number,
  names: NameSource,
): Promise<Completion> {
  if (index >= command.arity.max || fresh.has(command.name)) return nothing;
  const words = command.usage
    .split("\n", 1)[0]!
    .split(/\s+/)
    .filter((word) => word !== "" && word !== "[OPTIONS]");
  // `[CONTAINER...]` stands for all that follow.
  const word = (words[index] ?? words.findLast((each) => each.includes("...")))?.replace(/^\[/, "");
  if (word === undefined) return nothing;
  if (spelling === "completion")
    return { suggestions: ["bash", "fish", "zsh"].map((value) => ({ value })), files: false };
  const kind = placeholders.find(([pattern]) => pattern.test(word))?.[1];
  if (kind === undefined) return word.startsWith("COMMAND") || word.startsWith("ARG") ? files : nothing;
  if (kind === "file") return command.name === "container cp" ? copyArgument(names) : files;
  if (kind === "copy") return copyArgument(names);
  const narrowed = kind === "container" ? (states[command.name] ?? kind) : kind;
  return { suggestions: await names(narrowed), files: false };
}

/** `CONTAINER:` or a path. */
async function copyArgument(names: NameSource): Promise<Completion> {
  const suggestions = (await names("container")).map(({ value, help }) => ({ value: `${value}:`, help }));
  return { suggestions, files: true };
}
