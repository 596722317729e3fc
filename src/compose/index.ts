/**
 * Compose: projects of several containers, described in a file. `composeCommand` is what `gantry compose` runs.
 *
 * `model/` makes a Project out of files and knows no engine; `plan/` compares it with what exists, purely; `run/`
 * carries plans out over the Engine API; `commands/` are the command line.
 */
import { Cancelled, messageOf, NotImplemented } from "../lib/errors.ts";
import type { ServiceBuild } from "../lib/service-build.ts";
import { aliases, commands, missing } from "./commands/table.ts";
import { describeFlags, type FlagSpecs, parseFlags, UsageError } from "./flags.ts";
import { didYouMean } from "./model/errors.ts";
import { serviceBuild } from "./run/build.ts";
import { type ComposeContext, type GlobalFlags, Session } from "./run/session.ts";

export { loadProject } from "./model/load.ts";
export type { Project } from "./model/types.ts";
export type { ComposeContext } from "./run/session.ts";

export const globalFlags = {
  ansi: {
    type: "string",
    help: 'Control when to print ANSI control characters ("never"|"always"|"auto")',
    default: "auto",
  },
  "all-resources": { type: "bool", help: "Include all resources, even those not used by services" },
  compatibility: { type: "bool", help: "Run compose in backward compatibility mode", hidden: true },
  "dry-run": { type: "bool", help: "Execute command in dry run mode" },
  "env-file": { type: "list", help: "Specify an alternate environment file" },
  file: { type: "list", short: "f", help: "Compose configuration files" },
  help: { type: "bool", short: "h", help: "Show this help" },
  "insecure-registry": { type: "list", help: "Of the daemon's configuration here", hidden: true },
  "no-ansi": { type: "bool", help: "Do not print ANSI control characters (DEPRECATED)", hidden: true },
  parallel: { type: "int", help: "Control max parallelism, -1 for unlimited" },
  profile: { type: "list", help: "Specify a profile to enable" },
  progress: { type: "string", help: "Set type of progress output (auto, tty, plain, json, quiet)" },
  "project-directory": {
    type: "string",
    help: "Specify an alternate working directory (default: the path of the first Compose file)",
  },
  "project-name": { type: "string", short: "p", help: "Project name" },
  verbose: { type: "bool", help: "Show more output", hidden: true },
  workdir: { type: "string", help: "Specify an alternate working directory (DEPRECATED)", hidden: true },
  version: { type: "bool", short: "v", help: "Show the Docker Compose version information" },
} satisfies FlagSpecs;

/** The exit status of a command that Ctrl-C has ended. */
const interrupted = 130;

/**
 * Runs `compose` with what follows that word on the command line. Errors are written to the error output.
 * @returns the exit code: 0, 1 for an error, 130 after Ctrl-C, or that of the container for `run` and `exec`
 */
export async function composeCommand(args: string[], context: ComposeContext): Promise<number> {
  const env = context.env ?? process.env;
  let session = new Session(context, flagsOf({}, env));
  try {
    const { flags, args: rest } = parseFlags(globalFlags, args, false);
    session = new Session(context, flagsOf(flags, env));
    const [word, ...words] = rest;
    if (flags.version) return await run(session, "version", []);
    if (flags.help || word === undefined || word === "help") {
      session.out.write(usage());
      return 0;
    }
    return await run(session, aliases[word] ?? word, words);
  } catch (error) {
    if (error instanceof Cancelled) return interrupted;
    session.err.write(`${messageOf(error)}\n`);
    return 1;
  }
}

/**
 * What the services of Compose files build, for programs that build them in their own way.
 * @param files absolute paths or `-`, each over those before
 * @throws ComposeError
 */
export function projectBuilds(context: ComposeContext, files: string[]): ServiceBuild[] {
  const session = new Session(context, flagsOf({ file: files }, context.env ?? process.env));
  const project = session.project([], { allProfiles: true });
  return Object.keys(project.services).flatMap((name) => serviceBuild(project, name) ?? []);
}

async function run(session: Session, name: string, words: string[]): Promise<number> {
  const entry = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (!entry) {
    if (Object.hasOwn(missing, name))
      throw new NotImplemented(`compose ${name} is not supported yet: ${missing[name]}`);
    const hint = didYouMean(name, Object.keys(commands));
    throw new UsageError(
      `unknown docker command: ${JSON.stringify(`compose ${name}`)}${hint ? ` (${hint})` : ""}`,
    );
  }
  const command = await entry.load();
  const specs = {
    ...command.flags,
    help: { type: "bool", help: "Show this help", ...(command.flags.help ?? {}) },
  } as FlagSpecs;
  const { flags, args } = parseFlags(specs, words, command.interspersed ?? true);
  if (flags.help === true) {
    session.out.write(
      `Usage:  gantry compose ${command.name} ${command.usage}\n\n${command.summary}\n\nOptions:\n${describeFlags(specs)}\nExamples:\n  gantry compose ${entry.example}\n`,
    );
    return 0;
  }
  return command.run(session, flags, args);
}

function flagsOf(
  flags: Partial<ReturnType<typeof parseFlags<typeof globalFlags>>["flags"]>,
  env: Record<string, string | undefined>,
): GlobalFlags {
  return {
    file: flags.file ?? [],
    projectName: flags["project-name"],
    projectDirectory: flags["project-directory"] ?? flags.workdir,
    allResources: flags["all-resources"] ?? false,
    envFile: flags["env-file"] ?? [],
    profile: flags.profile ?? [],
    ansi: ansiOf(flags, env),
    progress: flags.progress ?? "",
    parallel: flags.parallel ?? (Number(env.COMPOSE_PARALLEL_LIMIT ?? 0) || 0),
    dryRun: flags["dry-run"] ?? false,
  };
}

function ansiOf(
  flags: { ansi?: string; "no-ansi"?: boolean },
  env: Record<string, string | undefined>,
): string {
  if (flags["no-ansi"]) return "never";
  return flags.ansi === undefined || flags.ansi === "auto" ? (env.COMPOSE_ANSI ?? "auto") : flags.ansi;
}

function usage(): string {
  const width = Math.max(...Object.keys(commands).map((name) => name.length));
  const list = Object.entries(commands).map(
    ([name, { summary }]) => `  ${name.padEnd(width)}   ${summary}\n`,
  );
  return `Usage:  gantry compose [OPTIONS] COMMAND\n\nDefine and run applications of several containers\n\nOptions:\n${describeFlags(globalFlags)}\nCommands:\n${list.join("")}\nExamples:\n  gantry compose up -d\n  gantry compose -f compose.yaml -f compose.test.yaml run --rm tests\n`;
}
