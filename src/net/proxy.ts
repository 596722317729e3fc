/**
 * The userland way to a published port, for what the kernel's forwarding does not catch: clients at ::1 and at
 * link-local addresses, and those over IPv6 of containers that have IPv4 only. It serves the very sockets that hold
 * the port's reservation.
 */
import { createSocket, type RemoteInfo, type Socket as UdpSocket } from "node:dgram";
import { connect, createServer, type Socket } from "node:net";
import { type Family, familyOf } from "../lib/ip.ts";

export interface Target {
  host: string;
  port: number;
}

export interface PortProxy {
  /** Stops listening and drops what is connected. */
  close(): void;
}

/** Serves a listening TCP socket; half-closed connections stay open in the other direction. */
export function proxyTcp(fd: number, target: Target): PortProxy {
  const open = new Set<Socket>();
  const track = (socket: Socket) => {
    open.add(socket);
    socket.on("close", () => open.delete(socket));
  };
  const server = createServer({ allowHalfOpen: true }, (client) => {
    const upstream = connect({ ...target, allowHalfOpen: true });
    const drop = () => {
      client.destroy();
      upstream.destroy();
    };
    for (const socket of [client, upstream]) {
      track(socket);
      socket.on("error", drop);
    }
    client.pipe(upstream);
    upstream.pipe(client);
  });
  server.on("error", () => server.close());
  server.listen({ fd });
  return {
    close() {
      server.close();
      for (const socket of open) socket.destroy();
    },
  };
}

/** Docker's userland proxy forgets a UDP client after as long. */
const UDP_IDLE_MS = 90_000;
/** Of one port; the client that has been here longest gives way. */
const UDP_CLIENTS = 512;

interface UdpClient {
  socket: UdpSocket;
  lastUse: number;
}

/** Serves a bound UDP socket: each client has a socket of its own towards the container, so replies find back. */
export function proxyUdp(fd: number, family: Family, target: Target): PortProxy {
  const clients = new Map<string, UdpClient>();
  const kindOf = (family: Family) => (family === 4 ? "udp4" : "udp6");
  const server = createSocket(kindOf(family));
  const forget = (key: string) => {
    clients.get(key)?.socket.close();
    clients.delete(key);
  };
  const admit = (key: string, from: RemoteInfo): UdpClient => {
    const [oldest] = clients.keys();
    if (clients.size >= UDP_CLIENTS && oldest !== undefined) forget(oldest);
    const socket = createSocket(kindOf(familyOf(target.host)));
    socket.on("message", (reply, sender) => {
      if (sender.address === target.host && sender.port === target.port)
        server.send(reply, from.port, from.address);
    });
    // An ICMP refusal concerns one datagram, and datagrams get lost.
    socket.on("error", () => {});
    const client = { socket, lastUse: 0 };
    clients.set(key, client);
    return client;
  };
  server.on("message", (data, from) => {
    const key = `${from.address} ${from.port}`;
    const client = clients.get(key) ?? admit(key, from);
    client.lastUse = Date.now();
    client.socket.send(data, target.port, target.host);
  });
  server.on("error", () => {});
  server.bind({ fd });
  const sweep = setInterval(() => {
    const limit = Date.now() - UDP_IDLE_MS;
    for (const [key, { lastUse }] of clients) if (lastUse < limit) forget(key);
  }, UDP_IDLE_MS / 3);
  sweep.unref();
  return {
    close() {
      clearInterval(sweep);
      for (const key of [...clients.keys()]) forget(key);
      server.close();
    },
  };
}
