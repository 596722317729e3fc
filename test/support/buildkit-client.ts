/** A client of BuildKit's protocol, call by call: what no program that is installed would ask for. */
import { once } from "node:events";
import { createServer as createH2Server } from "node:http2";
import { connect, type Socket } from "node:net";
import { duplexPair } from "node:stream";
import { type Client, Code, ConnectError, type ConnectRouter, createClient } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { Content } from "../../src/api/server/buildkit/proto/content_pb.ts";
import { Control } from "../../src/api/server/buildkit/proto/control_pb.ts";
import { FileSync } from "../../src/api/server/buildkit/proto/filesync_pb.ts";
import { LLBBridge } from "../../src/api/server/buildkit/proto/gateway_pb.ts";
import { Secrets } from "../../src/api/server/buildkit/proto/secrets_pb.ts";
import { TreeSender } from "../../src/api/server/buildkit/send-tree.ts";
import { transportOver } from "../../src/api/server/buildkit/transport.ts";
import { AsyncQueue } from "../../src/lib/queue.ts";
import type { TestDaemon } from "./daemon.ts";

/** What the client's session offers. */
export interface Offered {
  secrets?: Record<string, string>;
  /** Directories by name. */
  locals?: Record<string, string>;
}

export class BuildKitClient implements Disposable {
  readonly #ended = new AbortController();
  readonly #sockets: Socket[] = [];
  control!: Client<typeof Control>;
  gateway!: Client<typeof LLBBridge>;
  content!: Client<typeof Content>;

  private constructor(private readonly daemon: TestDaemon) {}

  static async connect(daemon: TestDaemon): Promise<BuildKitClient> {
    const client = new BuildKitClient(daemon);
    const transport = transportOver(await client.#upgraded("/grpc"), client.#ended.signal);
    client.control = createClient(Control, transport);
    client.gateway = createClient(LLBBridge, transport);
    client.content = createClient(Content, transport);
    return client;
  }

  /** Opens a session of its own connection. @returns its id */
  async session(offered: Offered = {}): Promise<string> {
    const id = crypto.randomUUID();
    const socket = await this.#upgraded("/session", [
      `X-Docker-Expose-Session-Uuid: ${id}`,
      "X-Docker-Expose-Session-Name: test",
      ...methodsOf(offered).map((method) => `X-Docker-Expose-Session-Grpc-Method: ${method}`),
    ]);
    serve(socket, offered);
    return id;
  }

  /** The same inside of a call, as buildctl and bake have it. @returns its id */
  async sessionInCall(offered: Offered = {}): Promise<string> {
    const id = crypto.randomUUID();
    const [inner, outer] = duplexPair();
    serve(inner, offered);
    const outgoing = new AsyncQueue<{ data: Uint8Array }>();
    outer.on("data", (data: Buffer) => outgoing.push({ data: new Uint8Array(data) }));
    const headers = new Headers({
      "x-docker-expose-session-uuid": id,
      "x-docker-expose-session-name": "test",
    });
    for (const method of methodsOf(offered)) headers.append("x-docker-expose-session-grpc-method", method);
    const answers = this.control.session(outgoing, { headers, signal: this.#ended.signal });
    void (async () => {
      for await (const { data } of answers) outer.write(data);
    })().catch(() => outer.destroy());
    return id;
  }

  /** A connection that speaks h2c from here on. */
  async #upgraded(path: string, headers: string[] = []): Promise<Socket> {
    const socket = connect(this.daemon.socket);
    this.#sockets.push(socket);
    const lines = [`POST ${path} HTTP/1.1`, "Host: x", "Connection: Upgrade", "Upgrade: h2c", ...headers];
    socket.write(`${lines.join("\r\n")}\r\n\r\n`);
    let head = "";
    while (!head.endsWith("\r\n\r\n")) {
      const byte = socket.read(1) as Buffer | null;
      if (byte) head += byte.toString("latin1");
      else await once(socket, "readable");
    }
    if (!head.startsWith("HTTP/1.1 101")) throw new Error(`no upgrade: ${head}`);
    return socket;
  }

  [Symbol.dispose](): void {
    this.#ended.abort();
    for (const socket of this.#sockets) socket.destroy();
  }
}

function methodsOf({ secrets, locals }: Offered): string[] {
  return [
    ...(secrets ? [`/${Secrets.typeName}/GetSecret`] : []),
    ...(locals ? [`/${FileSync.typeName}/DiffCopy`] : []),
  ];
}

/** Answers the engine's calls over a connection of the client's. */
function serve(connection: unknown, { secrets = {}, locals = {} }: Offered): void {
  const routes = (router: ConnectRouter) => {
    router.service(Secrets, {
      getSecret({ id }) {
        if (secrets[id] === undefined) throw new ConnectError(`no secret ${id}`, Code.NotFound);
        return { data: Buffer.from(secrets[id]) };
      },
    });
    router.service(FileSync, {
      async *diffCopy(packets, { requestHeader }) {
        const root = locals[requestHeader.get("dir-name") ?? ""];
        if (root === undefined) throw new Error("no such directory");
        const sender = new TreeSender([{ path: "", root }]);
        void (async () => {
          for await (const packet of packets) sender.receive(packet);
        })().catch(() => {});
        yield* sender.packets();
      },
    });
  };
  createH2Server(connectNodeAdapter({ routes })).emit("connection", connection);
}
