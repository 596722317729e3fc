/** Published ports: a listening socket reserves each on the host, and the firewall forwards it. */
import { closeSync, readFileSync } from "node:fs";
import { isIP } from "node:net";
import { Conflict, InvalidParameter, Unavailable } from "../lib/errors.ts";
import { Errno } from "../linux/libc.ts";
import { listenSocket } from "../linux/sockets.ts";
import type { Firewall } from "./firewall.ts";
import { type PortProxy, proxyTcp, proxyUdp } from "./proxy.ts";
import type { Publication, PublishedPort } from "./types.ts";

const ANY4 = "0.0.0.0";
const ANY6 = "::";

interface Held {
  port: PublishedPort;
  hostIps: string[];
  proxies: PortProxy[];
}

/** Addresses that a host IP stands for; the empty one means all of both families, as in Docker. */
function addressesOf(hostIp: string): string[] {
  return hostIp === "" ? [ANY4, ANY6] : [hostIp];
}

const isAny = (address: string) => address === ANY4 || address === ANY6;

/** Whether two host addresses claim the same port. */
function collide(a: string, b: string): boolean {
  return isIP(a) === isIP(b) && (a === b || isAny(a) || isAny(b));
}

const bracketed = (address: string) => (address.includes(":") ? `[${address}]` : address);

/** Docker's words for why bind(2) failed. */
const reasons: Record<string, string> = {
  EADDRINUSE: "address already in use",
  EADDRNOTAVAIL: "cannot assign requested address",
  EACCES: "permission denied",
};

export class Ports {
  readonly #published = new Map<string, Held[]>();
  #cursor = 0;

  constructor(private readonly firewall: Firewall) {}

  /**
   * Reserves and forwards a port of the host. Publishing the same port for the same owner again is no error.
   * @throws Conflict when the port is taken, InvalidParameter for addresses that make no sense
   */
  publish(owner: string, wanted: PublishedPort): Publication {
    validate(wanted);
    const own = this.#published.get(owner) ?? [];
    const present = own.find(({ port }) => isSame(port, wanted));
    if (present) return { hostPort: present.port.hostPort, hostIps: present.hostIps };
    const { port, reserved } = wanted.hostPort === 0 ? this.#reserveAny(wanted) : this.#reserveGiven(wanted);
    try {
      for (const forwarded of forwardedPorts(port)) this.firewall.addPort(forwarded);
    } catch (error) {
      for (const { fd } of reserved) closeSync(fd);
      throw error;
    }
    const target = { host: port.containerIp, port: port.containerPort };
    const proxies = reserved.map(({ fd, family }) =>
      port.protocol === "tcp" ? proxyTcp(fd, target) : proxyUdp(fd, family, target),
    );
    // What is only forwarded (SCTP) has no sockets, and no way for IPv6.
    const families = reserved.length > 0 ? reserved.map(({ family }) => family) : [4];
    const hostIps = addressesOf(port.hostIp).filter((address) => families.includes(isIP(address)));
    this.#published.set(owner, [...own, { port, hostIps, proxies }]);
    return { hostPort: port.hostPort, hostIps };
  }

  /** Withdraws all ports of an owner; none is no error. */
  unpublish(owner: string): void {
    const publications = this.#published.get(owner) ?? [];
    this.#published.delete(owner);
    const forwarded = publications.flatMap(({ port }) => forwardedPorts(port));
    if (forwarded.length > 0) this.firewall.removePorts(forwarded);
    for (const { proxies } of publications) for (const proxy of proxies) proxy.close();
  }

  /** What the firewall has to forward. */
  forwarded(): PublishedPort[] {
    return [...this.#published.values()].flat().flatMap(({ port }) => forwardedPorts(port));
  }

  owners(): string[] {
    return [...this.#published.keys()];
  }

  /** Closes the sockets; forwarding goes on without us. */
  close(): void {
    for (const publications of this.#published.values())
      for (const { proxies } of publications) for (const proxy of proxies) proxy.close();
    this.#published.clear();
  }

  #reserveGiven(wanted: PublishedPort) {
    const holder = this.#holderOf(wanted);
    if (holder !== undefined)
      throw new Conflict(`Bind for ${holder}:${wanted.hostPort} failed: port is already allocated`);
    return { port: wanted, reserved: reserve(wanted) };
  }

  /** The next free port of the host's ephemeral range, the same for both families. */
  #reserveAny(wanted: PublishedPort) {
    const [first, last] = ephemeralRange();
    const size = last - first + 1;
    for (let i = 0; i < size; i++) {
      const port = { ...wanted, hostPort: first + (this.#cursor++ % size) };
      if (this.#holderOf(port) !== undefined) continue;
      try {
        return { port, reserved: reserve(port) };
      } catch (error) {
        if (!(error instanceof Conflict)) throw error;
      }
    }
    throw new Unavailable("all ports are allocated");
  }

  /** The host address of `wanted` at which one of our own publications has its port. */
  #holderOf(wanted: PublishedPort): string | undefined {
    for (const { port } of [...this.#published.values()].flat()) {
      if (port.protocol !== wanted.protocol || port.hostPort !== wanted.hostPort) continue;
      for (const address of addressesOf(wanted.hostIp))
        if (addressesOf(port.hostIp).some((other) => collide(address, other))) return bracketed(address);
    }
    return undefined;
  }
}

function validate({ hostIp, hostPort, containerIp, containerPort }: PublishedPort): void {
  if (hostIp !== "" && isIP(hostIp) === 0) throw new InvalidParameter(`invalid IP address: ${hostIp}`);
  if (isIP(containerIp) !== 4) throw new InvalidParameter(`invalid container address: ${containerIp}`);
  for (const port of [hostPort, containerPort])
    if (!Number.isInteger(port) || port < 0 || port > 65535)
      throw new InvalidParameter(`invalid port number: ${port}`);
}

function isSame(port: PublishedPort, wanted: PublishedPort): boolean {
  return (
    port.protocol === wanted.protocol &&
    port.hostIp === wanted.hostIp &&
    port.hostPort === wanted.hostPort &&
    port.containerIp === wanted.containerIp &&
    port.containerPort === wanted.containerPort
  );
}

/** The IPv4 side of a port, as the firewall takes it; IPv6 is left to the proxy. */
function forwardedPorts(port: PublishedPort): PublishedPort[] {
  const addresses = addressesOf(port.hostIp).filter((address) => isIP(address) === 4);
  return addresses.map((hostIp) => ({ ...port, hostIp }));
}

/** Listening sockets for each address of a port: all or none. SCTP has no sockets here and is only forwarded. */
function reserve(port: PublishedPort): { fd: number; family: 4 | 6 }[] {
  const { protocol, hostPort } = port;
  if (protocol === "sctp") return [];
  const reserved: { fd: number; family: 4 | 6 }[] = [];
  try {
    for (const address of addressesOf(port.hostIp)) {
      const fd = tryListen(protocol, address, hostPort, port.hostIp === "");
      if (fd !== undefined) reserved.push({ fd, family: address.includes(":") ? 6 : 4 });
    }
    return reserved;
  } catch (error) {
    for (const { fd } of reserved) closeSync(fd);
    throw error;
  }
}

/** @returns undefined where "all addresses" are asked for and the host has no IPv6 */
function tryListen(protocol: "tcp" | "udp", address: string, port: number, all: boolean): number | undefined {
  try {
    return listenSocket(protocol, address, port);
  } catch (error) {
    if (!(error instanceof Errno)) throw error;
    if (all && address === ANY6 && ["EAFNOSUPPORT", "EADDRNOTAVAIL"].includes(error.code)) return undefined;
    const where = `${bracketed(address)}:${port}/${protocol}`;
    throw new Conflict(`failed to bind host port ${where}: ${reasons[error.code] ?? error.code}`, {
      cause: error,
    });
  }
}

function ephemeralRange(): [number, number] {
  const [first = 32768, last = 60999] = readFileSync("/proc/sys/net/ipv4/ip_local_port_range", "utf8")
    .trim()
    .split(/\s+/)
    .map(Number);
  return [first, last];
}
