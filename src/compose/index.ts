/**
 * Compose: projects of several containers, described in a file. `composeCommand` is what `gantry compose` runs.
 *
 * `model/` makes a Project out of files and knows no engine; `plan/` compares it with what exists, purely; `run/`
 * carries plans out over the Engine API; `commands/` are the command line.
 */
import { Cancelled, messageOf, NotImplemented } from "../lib/errors.ts";
import type { ServiceBuild } from "../lib/service-build.ts";
import type { Command } from "./commands/command.ts";
import { describeFlags, type FlagSpecs, parseFlags, UsageError } from "./flags.ts";
import { didYouMean } from "./model/errors.ts";
import { serviceBuild } from "./run/build.ts";
import { type ComposeContext, type GlobalFlags, Session } from "./run/session.ts";

export { loadProject } from "./model/load.ts";
export type { Project } from "./model/types.ts";
export type { ComposeContext } from "./run/session.ts";

interface Entry {
  summary: string;
  /** What follows `gantry compose` where help shows the command at work. */
  example: string;
  load: () => Promise<Command>;
}

/** Each command's module is loaded when it is called for: the others cost nothing. */
const commands: Record<string, Entry> = {
  build: {
    summary: "Build or rebuild services",
    example: "build --pull web",
    load: async () => (await import("./commands/images.ts")).build,
  },
  config: {
    summary: "Parse, resolve and render compose file in canonical format",
    example: "config --format json",
    load: async () => (await import("./commands/config.ts")).config,
  },
  create: {
    summary: "Creates containers for a service",
    example: "create",
    load: async () => (await import("./commands/up.ts")).create,
  },
  down: {
    summary: "Stop and remove containers, networks",
    example: "down --volumes",
    load: async () => (await import("./commands/down.ts")).down,
  },
  events: {
    summary: "Receive real time events from containers",
    example: "events --json",
    load: async () => (await import("./commands/info.ts")).events,
  },
  exec: {
    summary: "Execute a command in a running container",
    example: "exec web sh",
    load: async () => (await import("./commands/exec.ts")).exec,
  },
  images: {
    summary: "List images used by the created containers",
    example: "images",
    load: async () => (await import("./commands/info.ts")).images,
  },
  kill: {
    summary: "Force stop service containers",
    example: "kill -s HUP web",
    load: async () => (await import("./commands/lifecycle.ts")).kill,
  },
  logs: {
    summary: "View output from containers",
    example: "logs -f --tail 20 web",
    load: async () => (await import("./commands/logs.ts")).logs,
  },
  ls: {
    summary: "List running compose projects",
    example: "ls --all",
    load: async () => (await import("./commands/info.ts")).ls,
  },
  pause: {
    summary: "Pause services",
    example: "pause web",
    load: async () => (await import("./commands/lifecycle.ts")).pause,
  },
  port: {
    summary: "Print the public port for a port binding",
    example: "port web 80",
    load: async () => (await import("./commands/info.ts")).port,
  },
  ps: {
    summary: "List containers",
    example: "ps --all",
    load: async () => (await import("./commands/ps.ts")).ps,
  },
  pull: {
    summary: "Pull service images",
    example: "pull",
    load: async () => (await import("./commands/images.ts")).pull,
  },
  push: {
    summary: "Push service images",
    example: "push web",
    load: async () => (await import("./commands/images.ts")).push,
  },
  restart: {
    summary: "Restart service containers",
    example: "restart web",
    load: async () => (await import("./commands/lifecycle.ts")).restart,
  },
  rm: {
    summary: "Removes stopped service containers",
    example: "rm --force web",
    load: async () => (await import("./commands/lifecycle.ts")).rm,
  },
  run: {
    summary: "Run a one-off command on a service",
    example: "run --rm web env",
    load: async () => (await import("./commands/run.ts")).run,
  },
  start: {
    summary: "Start services",
    example: "start web",
    load: async () => (await import("./commands/lifecycle.ts")).start,
  },
  stop: {
    summary: "Stop services",
    example: "stop -t 30 web",
    load: async () => (await import("./commands/lifecycle.ts")).stop,
  },
  top: {
    summary: "Display the running processes",
    example: "top web",
    load: async () => (await import("./commands/info.ts")).top,
  },
  unpause: {
    summary: "Unpause services",
    example: "unpause web",
    load: async () => (await import("./commands/lifecycle.ts")).unpause,
  },
  up: {
    summary: "Create and start containers",
    example: "up -d --build --wait",
    load: async () => (await import("./commands/up.ts")).up,
  },
  version: {
    summary: "Show the Docker Compose version information",
    example: "version --short",
    load: async () => (await import("./commands/info.ts")).version,
  },
  volumes: {
    summary: "List volumes",
    example: "volumes",
    load: async () => (await import("./commands/info.ts")).volumes,
  },
  wait: {
    summary: "Block until containers of all (or specified) services stop.",
    example: "wait job",
    load: async () => (await import("./commands/lifecycle.ts")).wait,
  },
};

/** Commands of Docker Compose that are known here but not done. */
const missing: Record<string, string> = {
  alpha: "experimental commands are not supported",
  attach: "use logs -f, or gantry attach",
  bridge: "conversion to other platforms is not supported",
  commit: "use gantry commit",
  cp: "use gantry cp",
  export: "use gantry export",
  publish: "publishing projects is not supported",
  scale: "use up -d --scale SERVICE=NUM",
  stats: "use gantry stats",
  watch: "there is no watch mode",
};
const aliases: Record<string, string> = { convert: "config" };

const globalFlags = {
  ansi: {
    type: "string",
    help: 'Control when to print ANSI control characters ("never"|"always"|"auto")',
    default: "auto",
  },
  compatibility: { type: "bool", help: "Run compose in backward compatibility mode", hidden: true },
  "dry-run": { type: "bool", help: "Execute command in dry run mode" },
  "env-file": { type: "list", help: "Specify an alternate environment file" },
  file: { type: "list", short: "f", help: "Compose configuration files" },
  help: { type: "bool", short: "h", help: "Show this help" },
  parallel: { type: "int", help: "Control max parallelism, -1 for unlimited" },
  profile: { type: "list", help: "Specify a profile to enable" },
  progress: { type: "string", help: "Set type of progress output (auto, tty, plain, json, quiet)" },
  "project-directory": {
    type: "string",
    help: "Specify an alternate working directory (default: the path of the first Compose file)",
  },
  "project-name": { type: "string", short: "p", help: "Project name" },
  verbose: { type: "bool", help: "Show more output", hidden: true },
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
    projectDirectory: flags["project-directory"],
    envFile: flags["env-file"] ?? [],
    profile: flags.profile ?? [],
    ansi: flags.ansi === undefined || flags.ansi === "auto" ? (env.COMPOSE_ANSI ?? "auto") : flags.ansi,
    progress: flags.progress ?? "",
    parallel: flags.parallel ?? (Number(env.COMPOSE_PARALLEL_LIMIT ?? 0) || 0),
    dryRun: flags["dry-run"] ?? false,
  };
}

function usage(): string {
  const width = Math.max(...Object.keys(commands).map((name) => name.length));
  const list = Object.entries(commands).map(
    ([name, { summary }]) => `  ${name.padEnd(width)}   ${summary}\n`,
  );
  return `Usage:  gantry compose [OPTIONS] COMMAND\n\nDefine and run applications of several containers\n\nOptions:\n${describeFlags(globalFlags)}\nCommands:\n${list.join("")}\nExamples:\n  gantry compose up -d\n  gantry compose -f compose.yaml -f compose.test.yaml run --rm tests\n`;
}
