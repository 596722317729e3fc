/** Secrets and SSH agents of a session, for the steps that mount them. */
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { join } from "node:path";
import { Code, ConnectError } from "@connectrpc/connect";
import type { BuildRequest } from "../../../build/types.ts";
import { Secrets } from "./proto/secrets_pb.ts";
import { SSH } from "./proto/ssh_pb.ts";
import type { Session } from "./session.ts";

export function sessionSecret(session: Session): BuildRequest["secret"] {
  if (!session.offers(Secrets, "GetSecret")) return undefined;
  return async (id, signal) => {
    try {
      return (await session.client(Secrets).getSecret({ id }, { signal })).data;
    } catch (error) {
      if (error instanceof ConnectError && error.code === Code.NotFound) return undefined;
      throw error;
    }
  };
}

/** @param directory where sockets may be; its path is short, as theirs must be */
export function sessionSsh(session: Session, directory: string): BuildRequest["ssh"] {
  if (!session.offers(SSH, "ForwardAgent")) return undefined;
  return async (id, signal) => {
    const client = session.client(SSH);
    try {
      await client.checkAgent({ id }, { signal });
    } catch (error) {
      // Clients say so by an error of no particular code.
      if (error instanceof ConnectError && !signal.aborted) return undefined;
      throw error;
    }
    const home = mkdtempSync(join(directory, "ssh-"));
    const socket = join(home, "agent");
    const connections = new Set<Socket>();
    const server = createServer((connection) => {
      connections.add(connection);
      connection.once("close", () => connections.delete(connection));
      connection.on("error", () => connection.destroy());
      forward(connection, session, id, signal).catch(() => connection.destroy());
    });
    const release = async () => {
      for (const connection of connections) connection.destroy();
      await new Promise((resolve) => server.close(resolve));
      rmSync(home, { recursive: true, force: true });
    };
    try {
      await new Promise<void>((resolve, reject) => server.once("error", reject).listen(socket, resolve));
      // The step's own mount decides who may use it; nobody else reaches into the directory.
      chmodSync(socket, 0o666);
    } catch (error) {
      await release();
      throw error;
    }
    return { socket, [Symbol.asyncDispose]: release };
  };
}

/** One connection of a step, carried to the client's agent and back. */
async function forward(connection: Socket, session: Session, id: string, signal: AbortSignal): Promise<void> {
  const upwards = (async function* () {
    for await (const data of connection as AsyncIterable<Buffer>) yield { data: new Uint8Array(data) };
  })();
  const ended = new AbortController();
  connection.once("close", () => ended.abort());
  const answers = session.client(SSH).forwardAgent(upwards, {
    signal: AbortSignal.any([signal, session.closed, ended.signal]),
    headers: { id },
  });
  for await (const { data } of answers) {
    if (!connection.write(data))
      await new Promise((resolve) => connection.once("drain", resolve).once("close", resolve));
  }
  connection.end();
}
