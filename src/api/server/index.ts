/** The Docker Engine API over HTTP/1.1: unix sockets, TCP and TLS. */
import { chmodSync, chownSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import {
  createServer as createHttp,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from "node:http";
import { createServer as createHttps } from "node:https";
import type { Socket } from "node:net";
import { dirname } from "node:path";
import type { Engine } from "../../engine/types.ts";
import { InvalidParameter, messageOf, NotFound, Unavailable } from "../../lib/errors.ts";
import { authorize } from "./access/index.ts";
import { commonHeaders, Exchange } from "./exchange.ts";
import { newest, Router, splitVersion } from "./router.ts";
import { missing, routes } from "./routes.ts";

/** An address to serve on. */
export type Listener =
  | { kind: "unix"; path: string /** Name or number. */; group?: string; requireToken?: boolean }
  | {
      kind: "tcp";
      host: string;
      port: number;
      /** Requests without a token are refused. */
      requireToken?: boolean;
      /** PEM texts; with `verify` clients need a certificate that `ca` has signed. */
      tls?: { cert: string; key: string; ca?: string; verify: boolean };
    };

/**
 * Serves `engine` until closed.
 * @throws Unavailable when an address can't be taken
 */
export async function serveApi(
  engine: Engine,
  listeners: readonly Listener[],
): Promise<{ close(): Promise<void> }> {
  const router = new Router(routes);
  const absent = new Router(missing);
  const servers: Server[] = [];
  const sockets = new Set<Socket>();

  const dispatch = (exchange: Exchange | undefined, run: () => void | Promise<void>) => {
    try {
      Promise.resolve(run()).catch((error: unknown) => exchange?.fail(error));
    } catch (error) {
      exchange?.fail(error);
    }
  };

  const receive = (
    listener: Listener,
    request: IncomingMessage,
    answer: ConstructorParameters<typeof Exchange>[2],
  ) => {
    const url = request.url ?? "/";
    const mark = url.indexOf("?");
    const query = new URLSearchParams(mark < 0 ? "" : url.slice(mark + 1));
    const full = mark < 0 ? url : url.slice(0, mark);
    const method = request.method ?? "GET";
    const exchangeFor = (params: Record<string, string>, version: number) =>
      new Exchange(engine, request, answer, query, params, version);
    try {
      const { version, path } = splitVersion(full);
      const found = router.find(method, path) ?? absent.find(method, path);
      if (!found) throw new NotFound("page not found");
      const exchange = exchangeFor(found.params, version);
      authorize(exchange, found.operation, listener.requireToken === true);
      dispatch(exchange, () => found.handle(exchange));
    } catch (error) {
      exchangeFor({}, newest).fail(error);
    }
  };

  for (const listener of listeners) {
    const tls = listener.kind === "tcp" ? listener.tls : undefined;
    const onRequest = (request: IncomingMessage, response: ServerResponse) => {
      for (const [name, value] of Object.entries(commonHeaders)) response.setHeader(name, value);
      receive(listener, request, { response });
    };
    const server = tls
      ? createHttps(
          { ...tls, requestCert: tls.verify, rejectUnauthorized: tls.verify, minVersion: "TLSv1.2" },
          onRequest,
        )
      : createHttp(onRequest);
    // Streams of logs and events may be silent for as long as they like.
    server.requestTimeout = 0;
    server.timeout = 0;
    server.on("upgrade", (request: IncomingMessage, socket: Socket, head: Buffer) =>
      receive(listener, request, { socket, head }),
    );
    server.on("connection", (socket: Socket) => {
      sockets.add(socket);
      socket.once("close", () => sockets.delete(socket));
    });
    await listen(server, listener);
    servers.push(server);
  }

  return {
    async close() {
      await Promise.all(
        servers.map((server, index) => {
          const closed = new Promise((resolve) => server.close(resolve));
          server.closeAllConnections();
          const listener = listeners[index]!;
          if (listener.kind === "unix") rmSync(listener.path, { force: true });
          return Promise.race([closed, Bun.sleep(200)]);
        }),
      );
      for (const socket of sockets) socket.destroy();
    },
  };
}

function listen(server: Server, listener: Listener): Promise<void> {
  return new Promise((resolve, reject) => {
    const address = listener.kind === "unix" ? listener.path : `${listener.host}:${listener.port}`;
    server.once("error", (error) =>
      reject(new Unavailable(`cannot listen on ${address}: ${messageOf(error)}`, { cause: error })),
    );
    if (listener.kind === "tcp") {
      server.listen(listener.port, listener.host, () => resolve());
      return;
    }
    const gid = listener.group === undefined ? 0 : groupId(listener.group);
    mkdirSync(dirname(listener.path), { recursive: true, mode: 0o755 });
    // Made under another name with nobody's rights, and moved when it has the right ones: never wider than meant,
    // and a socket left by a crash is replaced in the same step.
    const unfinished = `${listener.path}.${process.pid}`;
    if (existsSync(unfinished)) rmSync(unfinished);
    // Binding is done when `listen` returns, so nothing else of the daemon makes files under this mask.
    const before = process.umask(0o177);
    try {
      server.listen(unfinished);
    } finally {
      process.umask(before);
    }
    server.once("listening", () => {
      chownSync(unfinished, 0, gid);
      chmodSync(unfinished, 0o660);
      renameSync(unfinished, listener.path);
      resolve();
    });
  });
}

function groupId(group: string): number {
  if (/^\d+$/.test(group)) return Number(group);
  const line = readFileSync("/etc/group", "utf8")
    .split("\n")
    .find((entry) => entry.startsWith(`${group}:`));
  if (!line) throw new InvalidParameter(`group ${group} not found`);
  return Number(line.split(":")[2]);
}
