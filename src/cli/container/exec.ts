import { InvalidParameter } from "../../lib/errors.ts";
import { atLeast, defineCommand } from "../command.ts";
import { isTerminal, stdinFd } from "../terminal.ts";
import { detachKeysOf } from "./detach-keys.ts";
import { readEnvironment } from "./environment.ts";
import { runStreams } from "./streams.ts";

export const command = defineCommand({
  name: "container exec",
  usage: "[OPTIONS] CONTAINER COMMAND [ARG...]",
  summary: "Execute a command in a running container",
  aliases: ["container exec", "exec"],
  flags: {
    detach: { kind: "bool", short: "d", help: "Run the command in the background" },
    "detach-keys": { kind: "string", help: "Keys that detach from the command" },
    env: { kind: "list", short: "e", help: "Set an environment variable" },
    "env-file": { kind: "list", help: "Read environment variables from a file" },
    interactive: { kind: "bool", short: "i", help: "Keep STDIN open even when not attached" },
    privileged: { kind: "bool", help: "Give the command all privileges" },
    tty: { kind: "bool", short: "t", help: "Allocate a pseudo-TTY" },
    user: { kind: "string", short: "u", help: "User name or UID (name|uid[:group|gid])" },
    workdir: { kind: "string", short: "w", help: "Working directory in the container" },
  },
  arity: atLeast(2),
  interspersed: false,
  examples: ["exec -it web sh", "exec -e DEBUG=1 web env"],
  async run(context, { flags, args: [name = "", ...command] }) {
    const { client } = context;
    const { tty, detach } = flags;
    const stdin = flags.interactive && !detach;
    const detachKeys = detachKeysOf(context, flags["detach-keys"]);
    if (tty && stdin && !isTerminal(stdinFd)) throw new InvalidParameter("the input device is not a TTY");
    const { Id } = await client.call<{ Id: string }>("POST", `/containers/${encodeURIComponent(name)}/exec`, {
      body: {
        User: flags.user,
        Privileged: flags.privileged,
        Tty: tty,
        AttachStdin: stdin,
        AttachStdout: !detach,
        AttachStderr: !detach,
        DetachKeys: detachKeys,
        Env: readEnvironment(flags["env-file"], flags.env, context.env),
        WorkingDir: flags.workdir,
        Cmd: command,
      },
    });
    if (detach) {
      await client.call("POST", `/exec/${Id}/start`, { body: { Detach: true, Tty: tty } });
      return 0;
    }
    const stream = await client.hijack("POST", `/exec/${Id}/start`, { body: { Detach: false, Tty: tty } });
    const result = await runStreams(stream, {
      tty,
      stdin,
      detachKeys,
      resize: ({ columns, rows }) =>
        client.call("POST", `/exec/${Id}/resize`, { query: { h: rows, w: columns } }),
    });
    if (result === "detached") return 0;
    const { ExitCode } = await client.call<{ ExitCode: number | null }>("GET", `/exec/${Id}/json`);
    return ExitCode ?? 0;
  },
});
