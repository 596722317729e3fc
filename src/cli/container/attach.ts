import { Conflict, InvalidParameter } from "../../lib/errors.ts";
import type { ContainerDetails } from "../api.ts";
import { defineCommand, exactly } from "../command.ts";
import { isTerminal, stdinFd } from "../terminal.ts";
import { attachTo } from "./attach-to.ts";
import { detachKeysOf } from "./detach-keys.ts";

export const command = defineCommand({
  name: "container attach",
  usage: "[OPTIONS] CONTAINER",
  summary: "Attach local standard input, output, and error streams to a running container",
  aliases: ["container attach", "attach"],
  flags: {
    "detach-keys": { kind: "string", help: "Keys that detach from the container" },
    "no-stdin": { kind: "bool", help: "Don't attach STDIN" },
    "sig-proxy": { kind: "bool", help: "Pass signals on to the process", default: "true" },
  },
  arity: exactly(1),
  examples: ["attach web"],
  async run(context, { flags, args: [name = ""] }) {
    const details = await context.client.call<ContainerDetails>(
      "GET",
      `/containers/${encodeURIComponent(name)}/json`,
    );
    const { State, Config } = details;
    if (!State.Running) throw new Conflict("You cannot attach to a stopped container, start it first");
    if (State.Paused) throw new Conflict("You cannot attach to a paused container, unpause it first");
    if (State.Restarting)
      throw new Conflict("You cannot attach to a restarting container, wait until it is running");
    const stdin = !flags["no-stdin"] && Config.OpenStdin;
    if (stdin && Config.Tty && !isTerminal(stdinFd))
      throw new InvalidParameter("the input device is not a TTY");
    return attachTo(context, details, {
      stdin,
      detachKeys: detachKeysOf(context, flags["detach-keys"]),
      proxy: flags["sig-proxy"] && !Config.Tty,
      start: false,
    });
  },
});
