/** The embedded resolver at 127.0.0.11:53 of each sandbox, served by the daemon's own event loop. */
import { createSocket, type Socket as UdpSocket } from "node:dgram";
import { closeSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { bindInternetSocket, internetSocket } from "../../linux/sockets.ts";
import type { Sandboxes } from "../sandboxes.ts";
import type { NameSource } from "../types.ts";
import { Forwarder } from "./forwarder.ts";
import { errorReply, judge, SERVFAIL, type Transport } from "./message.ts";
import { hostNameservers } from "./resolvconf.ts";
import { Framing, framed } from "./stream.ts";

/** Docker's address of it, which stands in a container's resolv.conf. */
const ADDRESS = "127.0.0.11";
const PORT = 53;
const IDLE_MS = 10_000;
/** Of one sandbox; further connections are closed at once. */
const CONNECTIONS = 64;

interface NameServer {
  names: NameSource;
  udp: UdpSocket;
  tcp: Server;
  connections: Set<Socket>;
}

export class NameServers {
  readonly #servers = new Map<string, NameServer>();

  constructor(
    private readonly sandboxes: Sandboxes,
    private readonly forwarder = new Forwarder(),
  ) {}

  /** Starts serving, or serves from another source from now on. @throws NotFound, Errno */
  serve(sandboxId: string, names: NameSource): void {
    const running = this.#servers.get(sandboxId);
    if (running) {
      running.names = names;
      return;
    }
    const udp = this.#listen(sandboxId, "udp");
    let tcp: number;
    try {
      tcp = this.#listen(sandboxId, "tcp");
    } catch (error) {
      closeSync(udp);
      throw error;
    }
    const server: NameServer = {
      names,
      udp: createSocket("udp4"),
      tcp: createServer((socket) => this.#accept(server, socket)),
      connections: new Set(),
    };
    server.udp.on("message", async (query, from) => {
      const reply = await this.#answer(server, query, "udp");
      // The sandbox may have gone while an upstream server was thinking.
      if (reply && this.#servers.get(sandboxId) === server) server.udp.send(reply, from.port, from.address);
    });
    server.udp.on("error", () => {});
    server.tcp.on("error", () => {});
    server.udp.bind({ fd: udp });
    server.tcp.listen({ fd: tcp });
    this.#servers.set(sandboxId, server);
  }

  stop(sandboxId: string): void {
    const server = this.#servers.get(sandboxId);
    if (!server) return;
    this.#servers.delete(sandboxId);
    server.udp.close();
    server.tcp.close();
    for (const socket of server.connections) socket.destroy();
  }

  close(): void {
    for (const id of [...this.#servers.keys()]) this.stop(id);
    this.forwarder.close();
  }

  #listen(sandboxId: string, protocol: Transport): number {
    const fd = this.sandboxes.openSocket(sandboxId, internetSocket(protocol, 4));
    try {
      bindInternetSocket(fd, protocol, ADDRESS, PORT);
      return fd;
    } catch (error) {
      closeSync(fd);
      throw error;
    }
  }

  #accept(server: NameServer, socket: Socket): void {
    if (server.connections.size >= CONNECTIONS) {
      socket.destroy();
      return;
    }
    server.connections.add(socket);
    const framing = new Framing();
    socket.setTimeout(IDLE_MS, () => socket.destroy());
    socket.on("error", () => socket.destroy());
    socket.on("close", () => server.connections.delete(socket));
    socket.on("data", async (chunk: Buffer) => {
      for (const query of framing.push(chunk)) {
        // One at a time: a client that asks without reading the answers is not read any further.
        socket.pause();
        const reply = await this.#answer(server, query, "tcp");
        if (reply && !socket.destroyed && !socket.write(framed(reply)))
          await new Promise((resolve) => socket.once("drain", resolve).once("close", resolve));
      }
      socket.resume();
    });
  }

  async #answer(server: NameServer, query: Buffer, transport: Transport): Promise<Buffer | undefined> {
    const { names } = server;
    const verdict = judge(query, names, transport);
    if (verdict.action === "ignore") return undefined;
    if (verdict.action === "reply") return verdict.packet;
    const upstream = names.upstream ?? hostNameservers();
    return (await this.forwarder.ask(query, upstream, transport)) ?? errorReply(query, SERVFAIL);
  }
}
