/** Our server as a process of its own, to be killed. */
import { join } from "node:path";
import { onInterrupt } from "../../test/support/interrupt.ts";
import type { RegistrySettings } from "./types.ts";

export interface ChildRegistry extends AsyncDisposable {
  address: string;
  /** SIGKILL. */
  kill(): Promise<void>;
}

const program = `
import { serveRegistry } from ${JSON.stringify(join(import.meta.dir, "index.ts"))};
const server = await serveRegistry(JSON.parse(process.argv[1]));
console.log("listening on " + server.address);
`;

/** @param env what is added to the environment */
export async function childRegistry(
  settings: RegistrySettings,
  env: Record<string, string> = {},
): Promise<ChildRegistry> {
  const child = Bun.spawn([process.execPath, "-e", program, JSON.stringify(settings)], {
    stdout: "pipe",
    stderr: "inherit",
    env: { ...process.env, ...env },
  });
  const cleared = onInterrupt(() => child.kill("SIGKILL"));
  const kill = async () => {
    child.kill("SIGKILL");
    await child.exited;
    cleared();
  };
  const first = await child.stdout.getReader().read();
  const address = /listening on (\S+)/.exec(Buffer.from(first.value ?? []).toString())?.[1];
  if (address === undefined) {
    await kill();
    throw new Error("the registry did not start");
  }
  return { address, kill, [Symbol.asyncDispose]: kill };
}
