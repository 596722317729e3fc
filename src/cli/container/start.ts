import { InvalidParameter } from "../../lib/errors.ts";
import type { ContainerDetails } from "../api.ts";
import { atLeast, defineCommand } from "../command.ts";
import { forEach } from "../each.ts";
import { attachTo } from "./attach-to.ts";
import { detachKeysOf } from "./detach-keys.ts";
import { post } from "./lifecycle.ts";

export const command = defineCommand({
  name: "container start",
  usage: "[OPTIONS] CONTAINER [CONTAINER...]",
  summary: "Start one or more stopped containers",
  aliases: ["container start", "start"],
  flags: {
    attach: { kind: "bool", short: "a", help: "Attach STDOUT and STDERR and forward signals" },
    "detach-keys": { kind: "string", help: "Keys that detach from the container" },
    interactive: { kind: "bool", short: "i", help: "Attach STDIN" },
  },
  arity: atLeast(1),
  examples: ["start web db", "start -ai shell"],
  async run(context, { flags, args }) {
    if (!flags.attach && !flags.interactive)
      return forEach(context, args, (name) => post(context, name, "start"));
    const [name = ""] = args;
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
