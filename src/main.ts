/** The executable's entry: one program, of which each part loads only what it needs. */
import { main } from "./cli/index.ts";

const args = process.argv.slice(2);

async function dispatch(): Promise<number | undefined> {
  switch (args[0]) {
    case "daemon":
      return (await import("./cli/daemon/index.ts")).daemonCommand(args.slice(1));
    case "registry":
      return (await import("./cli/registry.ts")).registryCommand(args.slice(1));
    default:
      return main(args, process.env);
  }
}

const status = await dispatch();
if (status !== undefined) process.exit(status);
