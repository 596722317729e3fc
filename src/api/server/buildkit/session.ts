/**
 * A build client's session (`POST /session`): the connection is turned round, so that the client is the gRPC server
 * and the engine calls it for files, secrets, agents and credentials while a build runs.
 */

import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import type { DescService } from "@bufbuild/protobuf";
import { type Client, createClient } from "@connectrpc/connect";
import { Conflict, InvalidParameter } from "../../../lib/errors.ts";
import { Rendezvous } from "./rendezvous.ts";
import { transportOver } from "./transport.ts";

const methodHeader = /^x-docker-expose-session-grpc-method$/i;

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
  accept(request: IncomingMessage, upgrade: () => Socket): void {
    const header = (name: string) => request.headers[`x-docker-expose-session-${name}`];
    const id = header("uuid");
    if (typeof id !== "string" || id === "") throw new InvalidParameter("session id is required");
    if (this.get(id)) throw new Conflict(`session ${id} exists already`);
    const methods = new Set(
      request.rawHeaders.filter((_, i, all) => i % 2 === 1 && methodHeader.test(all[i - 1]!)),
    );
    const sharedKey = header("sharedkey");
    const socket = upgrade();
    const closed = new AbortController();
    const transport = transportOver(socket, closed.signal);
    const session: Session = {
      id,
      sharedKey: typeof sharedKey === "string" ? sharedKey : "",
      offers: ({ typeName }, method) => methods.has(`/${typeName}/${method}`),
      client: (service) => createClient(service, transport),
      closed: closed.signal,
    };
    this.set(id, session);
    socket.once("close", () => {
      this.delete(id, session);
      closed.abort();
    });
  }
}
