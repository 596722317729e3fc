import { ComposeError } from "../model/errors.ts";
import { startServices } from "../run/start.ts";
import { defineCommand } from "./command.ts";
import { createProject } from "./up.ts";

export const scale = defineCommand({
  name: "scale",
  usage: "[SERVICE=REPLICAS...]",
  summary: "Scale services",
  flags: { "no-deps": { type: "bool", help: "Don't start linked services" } },
  async run(session, flags, args) {
    if (args.length === 0) throw ComposeError.at(undefined, "requires at least 1 arg(s), only received 0");
    const services = args.map(serviceOf);
    const project = session.project(services);
    const live = await createProject(session, project, services, {
      build: false,
      "no-build": false,
      "force-recreate": false,
      "no-recreate": false,
      pull: undefined,
      "quiet-pull": false,
      "remove-orphans": false,
      scale: args,
      "no-deps": flags["no-deps"],
    });
    using progress = session.progress("Running");
    await startServices(session, project, live, progress);
    return 0;
  },
});

/** @throws ComposeError for anything but `SERVICE=NUM` */
function serviceOf(text: string): string {
  const [, name, count] = /^([^=]+)=(.+)$/s.exec(text) ?? [];
  if (name === undefined || count === undefined)
    throw ComposeError.at(undefined, `invalid scale specifier: ${text}`);
  if (!/^\d+$/.test(count))
    throw ComposeError.at(undefined, `invalid scale specifier: can't parse replica value as int: ${text}`);
  return name;
}
