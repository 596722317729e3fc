/** attach, commit, export, stats: what the client does with a container, done with a service's. */
import { ComposeError } from "../model/errors.ts";
import { nameOf } from "../run/engine.ts";
import { defineCommand } from "./command.ts";
import { oneContainer, selectContainers } from "./selection.ts";

const index = { type: "int", help: "Index of the container if service has multiple replicas" } as const;

/** @throws ComposeError in cobra's words */
function service(args: string[], max: number): string {
  const [name] = args;
  const range = max === 1 ? "1 arg(s)" : `between 1 and ${max} arg(s)`;
  if (name === undefined || args.length > max)
    throw ComposeError.at(undefined, `accepts ${range}, received ${args.length}`);
  return name;
}

export const attach = defineCommand({
  name: "attach",
  usage: "[OPTIONS] SERVICE",
  summary: "Attach local standard input, output, and error streams to a service's running container",
  flags: {
    "detach-keys": { type: "string", help: "Override the key sequence for detaching from a container." },
    index,
    "no-stdin": { type: "bool", help: "Do not attach STDIN" },
    "sig-proxy": { type: "bool", help: "Proxy all received signals to the process", default: true },
  },
  async run(session, flags, args) {
    const container = await oneContainer(session, service(args, 1), flags.index);
    const keys = flags["detach-keys"];
    return session.runCommand([
      "attach",
      ...(keys === undefined ? [] : [`--detach-keys=${keys}`]),
      `--no-stdin=${flags["no-stdin"]}`,
      `--sig-proxy=${flags["sig-proxy"]}`,
      container.Id,
    ]);
  },
});

export const commit = defineCommand({
  name: "commit",
  usage: "[OPTIONS] SERVICE [REPOSITORY[:TAG]]",
  summary: "Create a new image from a service container's changes",
  flags: {
    author: {
      type: "string",
      short: "a",
      help: 'Author (e.g., "John Hannibal Smith <hannibal@a-team.com>")',
    },
    change: { type: "list", short: "c", help: "Apply Dockerfile instruction to the created image" },
    index,
    message: { type: "string", short: "m", help: "Commit message" },
    pause: { type: "bool", short: "p", help: "Pause container during commit", default: true },
  },
  async run(session, flags, args) {
    const container = await oneContainer(session, service(args, 2), flags.index);
    const [, reference = ""] = args;
    const cut = reference.lastIndexOf(":");
    const hasTag = cut > reference.lastIndexOf("/");
    using progress = session.progress("Running");
    const id = `${nameOf(container)} Commit ${nameOf(container)}`;
    progress.event(id, "Committing");
    if (session.flags.dryRun) return 0;
    const { Id } = await session.client.call<{ Id: string }>("POST", "/commit", {
      query: {
        container: container.Id,
        repo: (hasTag ? reference.slice(0, cut) : reference) || undefined,
        tag: hasTag ? reference.slice(cut + 1) : undefined,
        author: flags.author,
        comment: flags.message,
        changes: flags.change.join("\n") || undefined,
        pause: flags.pause,
      },
      body: {},
    });
    progress.event(id, `Committed as ${Id}`, "done");
    return 0;
  },
});

export const exportCommand = defineCommand({
  name: "export",
  usage: "[OPTIONS] SERVICE",
  summary: "Export a service container's filesystem as a tar archive",
  flags: { index, output: { type: "string", short: "o", help: "Write to a file, instead of STDOUT" } },
  async run(session, flags, args) {
    const container = await oneContainer(session, service(args, 1), flags.index);
    const { output } = flags;
    return session.runCommand([
      "export",
      ...(output === undefined ? [] : [`--output=${output}`]),
      container.Id,
    ]);
  },
});

export const stats = defineCommand({
  name: "stats",
  usage: "[OPTIONS] [SERVICE]",
  summary: "Display a live stream of container(s) resource usage statistics",
  flags: {
    all: { type: "bool", short: "a", help: "Show all containers (default shows just running)" },
    format: {
      type: "string",
      help: "Format output using a custom template: 'table', 'table TEMPLATE', 'json' or 'TEMPLATE'",
    },
    "no-stream": { type: "bool", help: "Disable streaming stats and only pull the first result" },
    "no-trunc": { type: "bool", help: "Do not truncate output" },
  },
  async run(session, flags, args) {
    const { containers } = await selectContainers(session, args, { all: flags.all, oneOff: true });
    if (containers.length === 0) {
      session.warn("no container to show");
      return 0;
    }
    return session.runCommand([
      "stats",
      ...(flags.format === undefined ? [] : [`--format=${flags.format}`]),
      `--no-stream=${flags["no-stream"]}`,
      `--no-trunc=${flags["no-trunc"]}`,
      ...containers.map(nameOf),
    ]);
  },
});
