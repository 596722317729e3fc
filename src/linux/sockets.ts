/**
 * Raw sockets by descriptor. A socket belongs for life to the network namespace that its thread was in at
 * socket(2), so a descriptor that was opened inside a namespace can be handed to `node:net` or `node:dgram`.
 */
import { closeSync } from "node:fs";
import { ipToBytes } from "../lib/ip.ts";
import { check, libc } from "./libc.ts";

const { socket, socketpair, bind, listen, setsockopt } = libc({
  socket: { args: ["i32", "i32", "i32"], returns: "i32" },
  socketpair: { args: ["i32", "i32", "i32", "ptr"], returns: "i32" },
  bind: { args: ["i32", "ptr", "u32"], returns: "i32" },
  listen: { args: ["i32", "i32"], returns: "i32" },
  setsockopt: { args: ["i32", "i32", "i32", "ptr", "u32"], returns: "i32" },
});

const AF_UNIX = 1;
const AF_INET = 2;
const AF_INET6 = 10;
const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SO_REUSEADDR = 2;
const IPPROTO_IPV6 = 41;
const IPV6_V6ONLY = 26;
const BACKLOG = 511;

/** The arguments of socket(2), flags included. */
export interface SocketKind {
  family: number;
  type: number;
  protocol: number;
}

/** An internet socket, close-on-exec and non-blocking. */
export function internetSocket(protocol: "tcp" | "udp", family: 4 | 6): SocketKind {
  const type = protocol === "tcp" ? SOCK_STREAM : SOCK_DGRAM;
  return {
    family: family === 4 ? AF_INET : AF_INET6,
    type: type | SOCK_NONBLOCK | SOCK_CLOEXEC,
    protocol: 0,
  };
}

/** socket(2) in the thread's present network namespace. @throws Errno */
export function openSocket({ family, type, protocol }: SocketKind): number {
  return check(socket(family, type, protocol), "socket");
}

/** Two ends of a stream between processes, close-on-exec (socketpair(2)). @throws Errno */
export function socketPair(): [number, number] {
  const ends = new Int32Array(2);
  check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), "socketpair");
  return [ends[0]!, ends[1]!];
}

export function setSocketFlag(fd: number, level: number, option: number): void {
  check(setsockopt(fd, level, option, Buffer.from([1, 0, 0, 0]), 4), "setsockopt");
}

/** Encodes sockaddr_in or sockaddr_in6. */
function socketAddress(address: string, port: number): Buffer {
  const bytes = ipToBytes(address);
  const encoded = Buffer.alloc(bytes.length === 4 ? 16 : 28);
  encoded.writeUInt16LE(bytes.length === 4 ? AF_INET : AF_INET6, 0);
  encoded.writeUInt16BE(port, 2);
  bytes.copy(encoded, bytes.length === 4 ? 4 : 8);
  return encoded;
}

/**
 * Binds, and for TCP listens. IPv6 sockets take IPv6 only, so that both families of a port are told apart.
 * @throws Errno EADDRINUSE, EADDRNOTAVAIL, EACCES with `address:port`
 */
export function bindInternetSocket(fd: number, protocol: "tcp" | "udp", address: string, port: number): void {
  const where = address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
  if (address.includes(":")) setSocketFlag(fd, IPPROTO_IPV6, IPV6_V6ONLY);
  // For TCP this forgives TIME_WAIT only; for UDP it would let two processes share the port.
  if (protocol === "tcp") setSocketFlag(fd, SOL_SOCKET, SO_REUSEADDR);
  const encoded = socketAddress(address, port);
  check(bind(fd, encoded, encoded.length), "bind", where);
  if (protocol === "tcp") check(listen(fd, BACKLOG), "listen", where);
}

/** A bound socket of the present namespace; closed again when binding fails. @throws Errno */
export function listenSocket(protocol: "tcp" | "udp", address: string, port: number): number {
  const fd = openSocket(internetSocket(protocol, address.includes(":") ? 6 : 4));
  try {
    bindInternetSocket(fd, protocol, address, port);
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}
