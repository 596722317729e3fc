import { atLeast, defineCommand } from "../command.ts";
import { createBody } from "./create-body.ts";
import { createContainer } from "./create-container.ts";
import { createFlags } from "./create-flags.ts";

export const command = defineCommand({
  name: "container create",
  usage: "[OPTIONS] IMAGE [COMMAND] [ARG...]",
  summary: "Create a new container",
  aliases: ["container create", "create"],
  flags: createFlags,
  arity: atLeast(1),
  interspersed: false,
  examples: ["create --name web -p 8080:80 nginx", "start web"],
  async run(context, parsed) {
    const body = createBody(parsed, false, context.env, process.cwd());
    context.line(await createContainer(context, body, parsed.flags));
    return 0;
  },
});
