/**
 * A session for a build (`POST /session`): the connection is turned round, so that we are the gRPC server and the
 * engine asks us for secrets, for the SSH agent and for caches while it builds. Loaded only when a build has such.
 */
import { createServer } from "node:http2";
import { connect } from "node:net";
import { Duplex } from "node:stream";
import { Code, ConnectError, type ConnectRouter } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { Content } from "../server/buildkit/proto/content_pb.ts";
import { Secrets } from "../server/buildkit/proto/secrets_pb.ts";
import { SSH } from "../server/buildkit/proto/ssh_pb.ts";
import { contentService } from "./blob-directory.ts";
import type { ApiClient, RawStream } from "./types.ts";

export interface SessionOffer {
  /** A secret's bytes; undefined when there is no such. */
  secret(id: string): Promise<Uint8Array | undefined> | Uint8Array | undefined;
  /** The path of an agent's socket; undefined when there is no such. */
  agent(id: string): string | undefined;
  /** The path of a directory with blobs, by the engine's name for it; undefined when there is no such. */
  directory(name: string): string | undefined;
}

/** Opens a session. @returns its id, for `POST /build?session=`; disposing ends it @throws what the engine refuses */
export async function openBuildSession(
  client: ApiClient,
  offer: SessionOffer,
): Promise<{ id: string } & AsyncDisposable> {
  const id = crypto.randomUUID();
  const methods = [
    `/${Secrets.typeName}/GetSecret`,
    `/${SSH.typeName}/CheckAgent`,
    `/${SSH.typeName}/ForwardAgent`,
    ...Content.methods.map(({ name }) => `/${Content.typeName}/${name}`),
  ];
  const stream = await client.hijack("POST", "/session", {
    headers: {
      upgrade: "h2c",
      "x-docker-expose-session-uuid": id,
      "x-docker-expose-session-name": "gantry",
      "x-docker-expose-session-sharedkey": "",
      "x-docker-expose-session-grpc-method": methods,
    },
  });
  const server = createServer(connectNodeAdapter({ routes: (router) => serve(router, offer) }));
  // The engine hangs up when it has what it needs.
  server.on("sessionError", () => {});
  const socket = duplexOf(stream);
  server.emit("connection", socket);
  return {
    id,
    async [Symbol.asyncDispose]() {
      socket.destroy();
      stream.close();
    },
  };
}

function serve(router: ConnectRouter, offer: SessionOffer): void {
  router.service(
    Content,
    contentService((name) => offer.directory(name)),
  );
  router.service(Secrets, {
    async getSecret({ id }) {
      const data = await offer.secret(id);
      if (data === undefined) throw new ConnectError(`secret ${id} not found`, Code.NotFound);
      return { data };
    },
  });
  router.service(SSH, {
    checkAgent({ id }) {
      agentOf(offer, id);
      return {};
    },
    async *forwardAgent(messages, { requestHeader }) {
      const agent = connect(agentOf(offer, requestHeader.get("id") ?? "default"));
      const upwards = (async () => {
        for await (const { data } of messages) agent.write(data);
        agent.end();
      })();
      // Whoever breaks off, the other side ends with it.
      upwards.catch(() => agent.destroy());
      try {
        for await (const data of agent as AsyncIterable<Buffer>) yield { data: new Uint8Array(data) };
      } finally {
        agent.destroy();
      }
    },
  });
}

function agentOf(offer: SessionOffer, id: string): string {
  const path = offer.agent(id);
  if (path === undefined) throw new ConnectError(`unset ssh forward key ${id}`, Code.NotFound);
  return path;
}

/** The hijacked connection as node's HTTP/2 wants it. */
function duplexOf(stream: RawStream): Duplex {
  const socket = new Duplex({
    read() {},
    write(bytes: Uint8Array, _encoding, done) {
      stream.write(bytes).then(() => done(), done);
    },
    final(done) {
      stream.end();
      done();
    },
  });
  void (async () => {
    try {
      for await (const bytes of stream.output) socket.push(bytes);
      socket.push(null);
    } catch {
      socket.destroy();
    }
  })();
  return socket;
}
