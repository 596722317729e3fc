import { InvalidParameter } from "../../lib/errors.ts";
import { atLeast, defineCommand } from "../command.ts";
import { findAny, finders, inspectEach, type Kind } from "../inspect.ts";

export const command = defineCommand({
  name: "inspect",
  usage: "[OPTIONS] NAME|ID [NAME|ID...]",
  summary: "Return low-level information on containers, images, networks and volumes",
  flags: {
    format: { kind: "string", short: "f", help: "Format with a Go template, or `json`" },
    size: { kind: "bool", short: "s", help: "Show sizes of containers" },
    type: { kind: "string", help: "Only objects of this kind: container, image, network or volume" },
  },
  arity: atLeast(1),
  examples: ["inspect -f '{{.NetworkSettings.IPAddress}}' web", "inspect --type volume data"],
  async run(context, { flags, args }) {
    const { type, size } = flags;
    if (type !== undefined && !Object.hasOwn(finders, type))
      throw new InvalidParameter(
        `unknown type: ${JSON.stringify(type)}: must be one of ${Object.keys(finders)
          .map((kind) => JSON.stringify(kind))
          .join(", ")}`,
      );
    if (size && type !== undefined && type !== "container")
      context.err(`WARNING: --size ignored for ${type}\n`);
    const find = type === undefined ? findAny : finders[type as Kind];
    return inspectEach(context, args, flags.format, (name) => find(context, name, size));
  },
});
