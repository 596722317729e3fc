import { InvalidParameter } from "../../lib/errors.ts";
import { atLeast, defineCommand } from "../command.ts";
import { ExitStatus } from "../context.ts";
import { program } from "../program.ts";
import { type CreateBody, createBody } from "./create-body.ts";
import { checkPull, createContainer } from "./create-container.ts";
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
    let body: CreateBody;
    try {
      checkPull(parsed.flags.pull);
      checkRestart(parsed.flags);
      body = createBody(parsed, false, context.env, process.cwd());
    } catch (error) {
      if (!(error instanceof InvalidParameter)) throw error;
      // As with `run`: a wrong command line is told apart from what an engine refuses.
      throw new ExitStatus(
        125,
        `${program}: ${error.message}\n\nRun '${program} create --help' for more information`,
      );
    }
    context.line(await createContainer(context, body, parsed.flags));
    return 0;
  },
});

/** @throws InvalidParameter */
export function checkRestart({ rm, restart }: { rm: boolean; restart: string }): void {
  if (rm && restart !== "no" && restart !== "")
    throw new InvalidParameter("conflicting options: cannot specify both --restart and --rm");
}
