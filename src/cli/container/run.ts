import { Conflict, GantryError, InvalidParameter } from "../../lib/errors.ts";
import { atLeast, defineCommand, type Flags } from "../command.ts";
import { type CliContext, ExitStatus } from "../context.ts";
import { describe } from "../errors.ts";
import { isTerminal, stdinFd } from "../terminal.ts";
import { checkRestart } from "./create.ts";
import { type CreateBody, createBody } from "./create-body.ts";
import { createContainer } from "./create-container.ts";
import { createFlags } from "./create-flags.ts";
import { detachKeysOf } from "./detach-keys.ts";
import { exitCode } from "./exit-code.ts";
import { untilReady } from "./ready.ts";
import { proxySignals, runStreams } from "./streams.ts";

const flags = {
  ...createFlags,
  detach: { kind: "bool", short: "d", help: "Run in the background and print the container's ID" },
  "detach-keys": { kind: "string", help: "Keys that detach from the container" },
  wait: { kind: "bool", help: "With --detach: return when the container is healthy" },
  "wait-timeout": { kind: "int", help: "Seconds that --wait waits at most", default: "0" },
  "sig-proxy": { kind: "bool", help: "Pass signals on to the process", default: "true" },
} as const satisfies Flags;

export const command = defineCommand({
  name: "container run",
  usage: "[OPTIONS] IMAGE [COMMAND] [ARG...]",
  summary: "Create and run a new container from an image",
  aliases: ["container run", "run"],
  flags,
  arity: atLeast(1),
  interspersed: false,
  failure: 125,
  examples: [
    "run --rm -it busybox sh",
    "run -d --name web -p 8080:80 --restart unless-stopped nginx",
    "run -d --wait --health-cmd 'redis-cli ping' redis",
    'run --rm -v "$PWD":/src -w /src busybox ls -l',
  ],
  async run(context, parsed) {
    const { flags: values } = parsed;
    const { detach } = values;
    checkRestart(values);
    if (detach && values.attach.length > 0) {
      throw new ExitStatus(1, "conflicting options: cannot specify both --attach and --detach");
    }
    if (values.wait && !detach) throw new InvalidParameter("conflicting options: --wait goes with --detach");
    const body = createBody(parsed, detach, context.env, process.cwd());
    if (body.Tty && body.AttachStdin && !isTerminal(stdinFd))
      throw new ExitStatus(1, "the input device is not a TTY");
    const id = await createContainer(context, body, values);
    if (!body.AttachStdin && !body.AttachStdout && !body.AttachStderr) {
      await start(context, id);
      if (detach) context.line(id);
      if (values.wait) await untilReady(context, id, values["wait-timeout"]);
      return 0;
    }
    return attached(context, id, body, {
      detachKeys: detachKeysOf(context, values["detach-keys"]),
      autoRemove: values.rm,
      proxy: values["sig-proxy"] && !values.tty,
    });
  },
});

interface AttachedOptions {
  detachKeys?: string;
  autoRemove: boolean;
  proxy: boolean;
}

/** Attaches and waits at the same time, then starts: no output and no exit can be missed. */
async function attached(
  context: CliContext,
  id: string,
  body: CreateBody,
  options: AttachedOptions,
): Promise<number> {
  const { client } = context;
  const condition = options.autoRemove ? "removed" : "next-exit";
  const [stream, waiting] = await Promise.all([
    client.hijack("POST", `/containers/${id}/attach`, {
      query: {
        stream: 1,
        stdin: body.AttachStdin ? 1 : 0,
        stdout: body.AttachStdout ? 1 : 0,
        stderr: body.AttachStderr ? 1 : 0,
        detachKeys: options.detachKeys,
      },
    }),
    client.send("POST", `/containers/${id}/wait`, { query: { condition } }),
  ]);
  const unproxy = options.proxy ? proxySignals(context, id) : () => {};
  try {
    await start(context, id);
    const resize = ({ columns, rows }: { columns: number; rows: number }) =>
      client.call<void>("POST", `/containers/${id}/resize`, { query: { h: rows, w: columns } });
    const { detachKeys } = options;
    const result = await runStreams(stream, {
      tty: body.Tty,
      stdin: body.AttachStdin,
      detachKeys,
      resize,
    });
    if (result === "detached") return 0;
    return await exitCode(waiting.body);
  } finally {
    unproxy();
  }
}

/** @throws ExitStatus with the code that a shell would give: 127 not found, 126 not executable, else 125 */
async function start(context: CliContext, id: string): Promise<void> {
  try {
    await context.client.call("POST", `/containers/${id}/start`);
  } catch (error) {
    if (!(error instanceof GantryError)) throw error;
    throw new ExitStatus(startFailure(error), describe(error));
  }
}

/** The API has no field for what went wrong: the runtime's words are all there is. */
function startFailure(error: GantryError): number {
  const { message } = error;
  if (error instanceof Conflict) return 125;
  if (/executable file not found|no such file or directory|system cannot find the file/.test(message))
    return 127;
  return /permission denied|is a directory|not a directory/i.test(message) ? 126 : 125;
}
