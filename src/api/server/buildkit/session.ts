/**
 * A build client's session (`POST /session`, Control.Session): the connection is turned round, so that the client is
 * the gRPC server and the engine calls it for files, secrets, agents and credentials while a build runs.
 */

import type { IncomingMessage } from "node:http";
import { type Duplex, duplexPair } from "node:stream";
import type { DescService } from "@bufbuild/protobuf";
import { type Client, createClient } from "@connectrpc/connect";
import { Conflict, InvalidParameter } from "../../../lib/errors.ts";
import { Rendezvous } from "./rendezvous.ts";
import { transportOver } from "./transport.ts";

const headerPrefix = "x-docker-expose-session-";
const methodHeader = `${headerPrefix}grpc-method`;

export interface Session {
  readonly id: string;
  /** The same for all builds of one directory on one client. */
  readonly sharedKey: string;
  /** Whether the client serves the method: `/moby.filesync.v1.FileSync/DiffCopy`. */
  offers(service: DescService, method: string): boolean;
  client<S extends DescService>(service: S): Client<S>;
  /** Aborted when the connection has ended. */
  readonly closed: AbortSignal;
}

/** Sessions that are open, by id. */
export class Sessions extends Rendezvous<Session> {
  constructor() {
    super("session");
  }

  /**
   * Takes a session in; it ends with its connection.
   * @param upgrade answers the request, called when its headers are in order
   * @throws InvalidParameter, Conflict
   */
  accept(request: IncomingMessage, upgrade: () => Duplex): void {
    const methods = request.rawHeaders.filter(
      (_, i, all) => i % 2 === 1 && all[i - 1]!.toLowerCase() === methodHeader,
    );
    const header = (name: string) => {
      const value = request.headers[name];
      return typeof value === "string" ? value : "";
    };
    this.#open(header, methods, upgrade);
  }

  /**
   * The same inside of a call: its messages are the bytes of the connection.
   * @returns what goes to the client @throws as `accept`
   */
  async *carry(
    messages: AsyncIterable<{ data: Uint8Array }>,
    headers: Headers,
  ): AsyncGenerator<{ data: Uint8Array }> {
    const [inner, outer] = duplexPair();
    const methods = (headers.get(methodHeader) ?? "").split(",").map((method) => method.trim());
    this.#open(
      (name) => headers.get(name) ?? "",
      methods,
      () => inner,
    );
    const arriving = (async () => {
      for await (const { data } of messages)
        if (!outer.write(data))
          await new Promise((resolve) => outer.once("drain", resolve).once("close", resolve));
    })();
    // However the call ends, the session does.
    arriving.catch(() => {}).then(() => outer.destroy());
    try {
      for await (const data of outer as AsyncIterable<Uint8Array>) yield { data: new Uint8Array(data) };
    } catch (error) {
      if (!outer.destroyed) throw error;
    } finally {
      outer.destroy();
      inner.destroy();
    }
  }

  #open(header: (name: string) => string, exposed: readonly string[], connect: () => Duplex): void {
    const id = header(`${headerPrefix}uuid`);
    if (id === "") throw new InvalidParameter("session id is required");
    if (this.get(id)) throw new Conflict(`session ${id} exists already`);
    const methods = new Set(exposed);
    const connection = connect();
    const closed = new AbortController();
    const transport = transportOver(connection, closed.signal);
    const session: Session = {
      id,
      sharedKey: header(`${headerPrefix}sharedkey`),
      offers: ({ typeName }, method) => methods.has(`/${typeName}/${method}`),
      client: (service) => createClient(service, transport),
      closed: closed.signal,
    };
    this.set(id, session);
    connection.once("close", () => {
      this.delete(id, session);
      closed.abort();
    });
  }
}
