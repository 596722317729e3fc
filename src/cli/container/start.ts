import { InvalidParameter } from "../../lib/errors.ts";
import type { ContainerDetails } from "../api.ts";
import { atLeast, defineCommand } from "../command.ts";
import type { CliContext } from "../context.ts";
import { forEach } from "../each.ts";
import { attachTo } from "./attach-to.ts";
import { checkpointDirectory } from "./checkpoint.ts";
import { detachKeysOf } from "./detach-keys.ts";
import { post } from "./lifecycle.ts";

export const command = defineCommand({
  name: "container start",
  usage: "[OPTIONS] CONTAINER [CONTAINER...]",
  summary: "Start one or more stopped containers",
  aliases: ["container start", "start"],
  flags: {
    attach: { kind: "bool", short: "a", help: "Attach STDOUT and STDERR and forward signals" },
    checkpoint: { kind: "string", help: "Go on from this checkpoint" },
    "checkpoint-dir": {
      kind: "string",
      value: "directory",
      help: "Directory of the engine's machine that checkpoints are in",
    },
    "detach-keys": { kind: "string", help: "Keys that detach from the container" },
    interactive: { kind: "bool", short: "i", help: "Attach STDIN" },
  },
  arity: atLeast(1),
  examples: ["start web db", "start -ai shell"],
  async run(context, { flags, args }) {
    const [name = ""] = args;
    if (flags.checkpoint) {
      if (args.length > 1) throw new InvalidParameter("you cannot restore multiple containers at once");
      if (flags.attach || flags.interactive)
        throw new InvalidParameter("you cannot restore a container and attach to it at once");
      const query = {
        checkpoint: flags.checkpoint,
        "checkpoint-dir": checkpointDirectory(flags["checkpoint-dir"]),
      };
      await post(context, name, "start", query);
      return undefined;
    }
    if (!flags.attach && !flags.interactive) return startAll(context, args);
    if (args.length > 1)
      throw new InvalidParameter("you cannot start and attach multiple containers at once");
    const details = await context.client.call<ContainerDetails>(
      "GET",
      `/containers/${encodeURIComponent(name)}/json`,
    );
    return attachTo(context, details, {
      stdin: flags.interactive && details.Config.OpenStdin,
      detachKeys: detachKeysOf(context, flags["detach-keys"]),
      proxy: !details.Config.Tty,
      start: true,
    });
  },
});

/** One that doesn't start is named again at the end, where the last line is what is read. */
async function startAll(context: CliContext, names: string[]): Promise<undefined> {
  const failed = new Set<string>();
  try {
    return await forEach(context, names, async (name) => {
      failed.add(name);
      const started = await post(context, name, "start");
      failed.delete(name);
      return started;
    });
  } finally {
    if (failed.size > 0) context.err(`Error: failed to start containers: ${[...failed].join(", ")}\n`);
  }
}
