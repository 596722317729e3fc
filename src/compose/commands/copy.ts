import { isAbsolute } from "node:path";
import { ComposeError } from "../model/errors.ts";
import { nameOf, numberOf } from "../run/engine.ts";
import { defineCommand } from "./command.ts";
import { selectContainers } from "./selection.ts";

export const cp = defineCommand({
  name: "cp",
  usage: "[OPTIONS] SERVICE:SRC_PATH DEST_PATH|-\n  gantry compose cp [OPTIONS] SRC_PATH|- SERVICE:DEST_PATH",
  summary: "Copy files/folders between a service container and the local filesystem",
  flags: {
    all: { type: "bool", help: "Include containers created by the run command" },
    archive: { type: "bool", short: "a", help: "Archive mode (copy all uid/gid information)" },
    "follow-link": { type: "bool", short: "L", help: "Always follow symbol link in SRC_PATH" },
    index: { type: "int", help: "Index of the container if service has multiple replicas" },
  },
  async run(session, flags, args) {
    const [from, to, ...more] = args;
    if (from === undefined || to === undefined || more.length > 0)
      throw ComposeError.at(undefined, `accepts 2 arg(s), received ${args.length}`);
    const source = placeOf(from);
    const target = placeOf(to);
    if (source.service !== undefined && target.service !== undefined)
      throw ComposeError.at(undefined, "copying between services is not supported");
    const service = source.service ?? target.service;
    if (service === undefined) throw ComposeError.at(undefined, "unknown copy direction");
    const { containers } = await selectContainers(session, [service], { all: true, oneOff: flags.all });
    const found = containers.filter((container) => !flags.index || numberOf(container) === flags.index);
    if (found.length === 0)
      throw ComposeError.at(undefined, `no container found for service ${JSON.stringify(service)}`);
    using progress = session.progress("Copying");
    // A file comes from one of them, and goes to all.
    for (const container of source.service === undefined ? found : found.slice(0, 1)) {
      const name = nameOf(container);
      const at = ({ service: own, path }: Place) => (own === undefined ? path : `${name}:${path}`);
      const id = `${name} copy ${at(source)} to ${at(target)}`;
      progress.event(id, "Copying");
      if (!session.flags.dryRun) {
        const options = [`--archive=${flags.archive}`, `--follow-link=${flags["follow-link"]}`, "--quiet"];
        const status = await session.runCommand(["cp", ...options, "--", at(source), at(target)]);
        if (status !== 0) {
          progress.event(id, "Error", "error");
          return status;
        }
      }
      progress.event(id, "Copied", "done");
    }
    return 0;
  },
});

interface Place {
  service?: string;
  path: string;
}

/** `SERVICE:PATH`; a path with a colon of its own begins with `/` or `.`. */
function placeOf(text: string): Place {
  const [, service, path] = /^([^:.][^:]*):(.*)$/s.exec(text) ?? [];
  return isAbsolute(text) || service === undefined ? { path: text } : { service, path: path! };
}
