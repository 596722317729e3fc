import { ComposeError } from "../model/errors.ts";
import { hasTerminal, join } from "../run/terminal.ts";
import { defineCommand } from "./command.ts";
import { oneContainer } from "./selection.ts";

export const exec = defineCommand({
  name: "exec",
  usage: "[OPTIONS] SERVICE COMMAND [ARGS...]",
  summary: "Execute a command in a running container",
  interspersed: false,
  flags: {
    detach: { type: "bool", short: "d", help: "Detached mode: Run command in the background" },
    env: { type: "list", short: "e", help: "Set environment variables" },
    index: { type: "int", help: "Index of the container if service has multiple replicas" },
    interactive: {
      type: "bool",
      short: "i",
      help: "Keep STDIN open even if not attached",
      default: true,
      hidden: true,
    },
    "no-tty": {
      type: "bool",
      short: "T",
      help: "Disable pseudo-TTY allocation. By default `gantry compose exec` allocates a TTY.",
    },
    privileged: { type: "bool", help: "Give extended privileges to the process" },
    tty: { type: "bool", short: "t", help: "Allocate a pseudo-TTY", hidden: true },
    user: { type: "string", short: "u", help: "Run the command as this user" },
    workdir: { type: "string", short: "w", help: "Path to workdir directory for this command" },
  },
  async run(session, flags, args) {
    const [service, ...command] = args;
    if (!service || command.length === 0)
      throw ComposeError.at(undefined, `requires at least 2 arg(s), only received ${args.length}`);
    const container = await oneContainer(session, service, flags.index);
    const tty = !flags["no-tty"] && hasTerminal();
    const input = flags.interactive && !flags.detach;
    const { Id } = await session.client.call<{ Id: string }>("POST", `/containers/${container.Id}/exec`, {
      body: {
        AttachStdin: input,
        AttachStdout: !flags.detach,
        AttachStderr: !flags.detach,
        Tty: tty,
        Env: flags.env.map((entry) => (entry.includes("=") ? entry : `${entry}=${session.env[entry] ?? ""}`)),
        Cmd: command,
        Privileged: flags.privileged,
        User: flags.user,
        WorkingDir: flags.workdir,
      },
    });
    if (flags.detach) {
      await session.client.call("POST", `/exec/${Id}/start`, { body: { Detach: true, Tty: tty } });
      return 0;
    }
    const stream = await session.client.hijack("POST", `/exec/${Id}/start`, {
      body: { Detach: false, Tty: tty },
    });
    await join(session, stream, {
      tty,
      input,
      resize: ({ rows, columns }) =>
        session.client.call("POST", `/exec/${Id}/resize`, { query: { h: rows, w: columns } }),
    });
    const { ExitCode } = await session.client.call<{ ExitCode: number | null }>("GET", `/exec/${Id}/json`);
    return ExitCode ?? 0;
  },
});
