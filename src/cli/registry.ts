/** `gantry registry serve`: the registry alone, no daemon needed. */
import { parseArgs } from "node:util";
import { GantryError, messageOf } from "../lib/errors.ts";
import { serveRegistry } from "../registry/index.ts";

const usage = `Usage:  gantry registry serve [OPTIONS]

Serve an OCI registry

Options:
      --addr string   Address to listen on (default "127.0.0.1:5000")
      --root string   Directory of its data (default "/var/lib/gantry/registry")
`;

/**
 * Runs until SIGINT or SIGTERM.
 * @param args behind `gantry registry`
 * @returns the exit status
 */
export async function registryCommand(args: string[]): Promise<number> {
  try {
    const { values, positionals } = parseArgs({
      args,
      allowPositionals: true,
      options: {
        addr: { type: "string", default: "127.0.0.1:5000" },
        root: { type: "string", default: "/var/lib/gantry/registry" },
        help: { type: "boolean", short: "h", default: false },
      },
    });
    if (values.help || positionals.length === 0) {
      console.log(usage);
      return 0;
    }
    if (positionals.length > 1 || positionals[0] !== "serve") {
      console.error(`unknown command: gantry registry ${positionals.join(" ")}\n\n${usage}`);
      return 1;
    }
    await using server = await serveRegistry({ addr: values.addr, root: values.root });
    console.log(`registry listening on ${server.address}`);
    await stopSignal();
    return 0;
  } catch (error) {
    const isUsage = error instanceof TypeError;
    if (!isUsage && !(error instanceof GantryError)) throw error;
    console.error(isUsage ? `${messageOf(error)}\n\n${usage}` : messageOf(error));
    return isUsage ? 125 : 1;
  }
}

function stopSignal(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => resolve());
  });
}
