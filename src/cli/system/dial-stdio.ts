import type { Socket } from "node:net";
import { describeEndpoint, type Endpoint } from "../../api/client/index.ts";
import { messageOf, Unavailable } from "../../lib/errors.ts";
import { builderFlag, contextOfBuilder } from "../builder/builders.ts";
import { defineCommand, none } from "../command.ts";

export const command = defineCommand({
  name: "system dial-stdio",
  usage: "",
  summary: "Carry a connection to the engine over stdin and stdout; clients call it for ssh:// endpoints",
  aliases: ["system dial-stdio", "buildx dial-stdio"],
  flags: {
    ...builderFlag,
    platform: { kind: "string", help: "Accepted for buildx's sake", hidden: true },
    progress: { kind: "string", help: "Accepted for buildx's sake", default: "none", hidden: true },
  },
  arity: none,
  examples: ["system dial-stdio"],
  async run(context, { flags }) {
    const { client } = await contextOfBuilder(context, flags.builder);
    const socket = await dial(client.endpoint);
    // Each side may be done before the other: only both ends end it.
    process.stdin.pipe(socket);
    socket.pipe(process.stdout, { end: false });
    await new Promise<void>((resolve, reject) => {
      socket.once("close", () => resolve()).once("error", reject);
    });
    return 0;
  },
});

async function dial(endpoint: Endpoint): Promise<Socket> {
  const socket = await open(endpoint);
  const ready = endpoint.kind === "tcp" && endpoint.tls ? "secureConnect" : "connect";
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once(ready, () => resolve()).once("error", reject);
    });
  } catch (error) {
    throw new Unavailable(`cannot connect to ${describeEndpoint(endpoint)}: ${messageOf(error)}`, {
      cause: error,
    });
  }
  return socket;
}

async function open(endpoint: Endpoint): Promise<Socket> {
  const { connect } = await import("node:net");
  if (endpoint.kind === "unix") return connect({ path: endpoint.path, allowHalfOpen: true });
  const { host, port, tls } = endpoint;
  if (!tls) return connect({ host, port, allowHalfOpen: true });
  const { ca, cert, key, verify } = tls;
  return (await import("node:tls")).connect({
    ...{ host, port, ca, cert, key },
    rejectUnauthorized: verify,
    servername: host,
  });
}
