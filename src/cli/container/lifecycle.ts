/** Commands that change the state of containers that exist. */
import { NotModified } from "../../lib/errors.ts";
import { atLeast, defineCommand, exactly, type Flags } from "../command.ts";
import { type CliContext, ExitStatus } from "../context.ts";
import { evenIfMissing, forEach } from "../each.ts";
import { describe } from "../errors.ts";

const path = (name: string, verb: string) => `/containers/${encodeURIComponent(name)}/${verb}`;

/** Posts a verb; a state that is reached already is as good. */
export async function post(
  context: CliContext,
  name: string,
  verb: string,
  query?: Record<string, string | number | undefined>,
) {
  try {
    await context.client.call("POST", path(name, verb), { query });
  } catch (error) {
    if (!(error instanceof NotModified)) throw error;
  }
  return name;
}

const stopFlags = {
  signal: { kind: "string", short: "s", help: "Signal to send" },
  timeout: { kind: "int", short: "t", help: "Seconds to wait before the container is killed" },
  time: { kind: "int", help: "Seconds to wait before the container is killed", hidden: true },
} as const satisfies Flags;

export const stop = defineCommand({
  name: "container stop",
  usage: "[OPTIONS] CONTAINER [CONTAINER...]",
  summary: "Stop one or more running containers",
  aliases: ["container stop", "stop"],
  flags: stopFlags,
  arity: atLeast(1),
  examples: ["stop -t 30 web"],
  run: (context, { flags, args }) =>
    forEach(context, args, (name) =>
      post(context, name, "stop", { signal: flags.signal, t: flags.timeout ?? flags.time }),
    ),
});

export const restart = defineCommand({
  name: "container restart",
  usage: "[OPTIONS] CONTAINER [CONTAINER...]",
  summary: "Restart one or more containers",
  aliases: ["container restart", "restart"],
  flags: stopFlags,
  arity: atLeast(1),
  examples: ["restart web"],
  run: (context, { flags, args }) =>
    forEach(context, args, (name) =>
      post(context, name, "restart", { signal: flags.signal, t: flags.timeout ?? flags.time }),
    ),
});

export const kill = defineCommand({
  name: "container kill",
  usage: "[OPTIONS] CONTAINER [CONTAINER...]",
  summary: "Kill one or more running containers",
  aliases: ["container kill", "kill"],
  flags: { signal: { kind: "string", short: "s", help: "Signal to send" } },
  arity: atLeast(1),
  examples: ["kill -s HUP web"],
  run: (context, { flags, args }) =>
    forEach(context, args, (name) => post(context, name, "kill", { signal: flags.signal })),
});

export const pause = defineCommand({
  name: "container pause",
  usage: "CONTAINER [CONTAINER...]",
  summary: "Pause all processes within one or more containers",
  aliases: ["container pause", "pause"],
  flags: {},
  arity: atLeast(1),
  examples: ["pause web"],
  run: (context, { args }) => forEach(context, args, (name) => post(context, name, "pause")),
});

export const unpause = defineCommand({
  name: "container unpause",
  usage: "CONTAINER [CONTAINER...]",
  summary: "Unpause all processes within one or more containers",
  aliases: ["container unpause", "unpause"],
  flags: {},
  arity: atLeast(1),
  examples: ["unpause web"],
  run: (context, { args }) => forEach(context, args, (name) => post(context, name, "unpause")),
});

export const wait = defineCommand({
  name: "container wait",
  usage: "CONTAINER [CONTAINER...]",
  summary: "Block until one or more containers stop, then print their exit codes",
  aliases: ["container wait", "wait"],
  flags: {},
  arity: atLeast(1),
  examples: ["wait job"],
  run: (context, { args }) =>
    forEach(context, args, async (name) => {
      const { StatusCode } = await context.client.call<{ StatusCode: number }>("POST", path(name, "wait"));
      return String(StatusCode);
    }),
});

export const rm = defineCommand({
  name: "container rm",
  usage: "[OPTIONS] CONTAINER [CONTAINER...]",
  summary: "Remove one or more containers",
  aliases: ["container rm", "container remove", "rm"],
  flags: {
    force: { kind: "bool", short: "f", help: "Remove a running container too; it is killed" },
    link: { kind: "bool", short: "l", help: "Remove the link of this name" },
    volumes: { kind: "bool", short: "v", help: "Remove its anonymous volumes too" },
  },
  arity: atLeast(1),
  examples: ["rm -f web", "rm -v $(gantry ps -aq)"],
  run: (context, { flags, args }) =>
    forEach(context, args, (name) =>
      evenIfMissing(context, flags.force, async () => {
        await context.client.call("DELETE", `/containers/${encodeURIComponent(name)}`, {
          query: {
            force: flags.force ? 1 : undefined,
            v: flags.volumes ? 1 : undefined,
            link: flags.link ? 1 : undefined,
          },
        });
        return name;
      }),
    ),
});

export const rename = defineCommand({
  name: "container rename",
  usage: "CONTAINER NEW_NAME",
  summary: "Rename a container",
  aliases: ["container rename", "rename"],
  flags: {},
  arity: exactly(2),
  examples: ["rename web web-old"],
  async run(context, { args: [name = "", next] }) {
    try {
      await context.client.call("POST", path(name, "rename"), { query: { name: next } });
    } catch (error) {
      throw new ExitStatus(1, `${describe(error)}\nError: failed to rename container named ${name}`);
    }
    return 0;
  },
});
