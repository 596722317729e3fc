/** Published ports: a listening socket reserves each on the host, and the firewall forwards it. */
import { closeSync, readFileSync } from "node:fs";
import { isIP } from "node:net";
import { Conflict, InvalidParameter, Unavailable } from "../lib/errors.ts";
import { type Family, familyOf } from "../lib/ip.ts";
import { Errno } from "../linux/libc.ts";
import { listenSocket } from "../linux/sockets.ts";
import type { Firewall, ForwardedPort } from "./firewall.ts";
import { type PortProxy, proxyTcp, proxyUdp } from "./proxy.ts";
import type { PortTarget, Publication, PublishedPort } from "./types.ts";

const ANY4 = "0.0.0.0";
const ANY6 = "::";
const anyOf = (family: Family) => (family === 4 ? ANY4 : ANY6);

/** Where a port is to be reached, and where that leads. */
interface Place {
  /** Of the host; of a routed target all of the family. */
  hostIp: string;
  family: Family;
  target: PortTarget;
}

/** A place that is taken. */
interface TakenPlace extends Place {
  /** Holds the port; missing for what is only forwarded. */
  fd?: number;
}

interface Held {
  asked: PublishedPort;
  hostPort: number;
  places: TakenPlace[];
  proxies: PortProxy[];
}

/** The empty host IP means all addresses of both families, as in Docker. */
function placesOf({ hostIp, targets, protocol }: PublishedPort): Place[] {
  return (hostIp === "" ? [ANY4, ANY6] : [hostIp]).flatMap((hostIp) => {
    const family = familyOf(hostIp);
    const own = targets[family];
    if (own) return { hostIp: own.routed ? anyOf(family) : hostIp, family, target: own };
    // SCTP is only forwarded, and so stays within its family.
    const other = family === 6 && protocol !== "sctp" ? targets[4] : undefined;
    return other ? { hostIp, family, target: { ...other, routed: false } } : [];
  });
}

const isAny = (address: string) => address === ANY4 || address === ANY6;

/** Whether two host addresses claim the same port. */
function collide(a: string, b: string): boolean {
  return familyOf(a) === familyOf(b) && (a === b || isAny(a) || isAny(b));
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
  publish(owner: string, asked: PublishedPort): Publication {
    validate(asked);
    const own = this.#published.get(owner) ?? [];
    const present = own.find((held) => isSame(held, asked));
    if (present) return publicationOf(present);
    const places = placesOf(asked);
    const routed = places.filter(({ target }) => target.routed);
    const onHost = places.filter(({ target }) => !target.routed);
    const reserved =
      asked.hostPort === 0 ? this.#reserveAny(asked, onHost) : this.#reserveGiven(asked, onHost);
    const held: Held = { asked, ...reserved, proxies: [] };
    held.places.push(...routed);
    try {
      for (const port of forwardedPorts(held)) this.firewall.addPort(port);
    } catch (error) {
      this.firewall.removePorts(forwardedPorts(held));
      release(held.places);
      throw error;
    }
    held.proxies = held.places.flatMap(({ fd, family, target: { address: host } }) => {
      if (fd === undefined) return [];
      const target = { host, port: asked.containerPort };
      return asked.protocol === "tcp" ? proxyTcp(fd, target) : proxyUdp(fd, family, target);
    });
    this.#published.set(owner, [...own, held]);
    return publicationOf(held);
  }

  /** Withdraws all ports of an owner; none is no error. */
  unpublish(owner: string): void {
    const publications = this.#published.get(owner) ?? [];
    this.#published.delete(owner);
    const forwarded = publications.flatMap(forwardedPorts);
    if (forwarded.length > 0) this.firewall.removePorts(forwarded);
    for (const { proxies } of publications) for (const proxy of proxies) proxy.close();
  }

  /** What the firewall has to forward. */
  forwarded(): ForwardedPort[] {
    return [...this.#published.values()].flat().flatMap(forwardedPorts);
  }

  /** Closes the sockets; forwarding goes on without us. */
  close(): void {
    for (const publications of this.#published.values())
      for (const { proxies } of publications) for (const proxy of proxies) proxy.close();
    this.#published.clear();
  }

  #reserveGiven({ protocol, hostPort, hostIp }: PublishedPort, places: Place[]) {
    const holder = this.#holderOf(protocol, hostPort, places);
    if (holder !== undefined)
      throw new Conflict(`Bind for ${holder}:${hostPort} failed: port is already allocated`);
    return { hostPort, places: reserve(protocol, hostPort, places, hostIp === "") };
  }

  /** The next free port of the host's ephemeral range, the same for both families. */
  #reserveAny({ protocol, hostIp }: PublishedPort, places: Place[]) {
    if (places.length === 0) return { hostPort: 0, places: [] };
    const [first, last] = ephemeralRange();
    const size = last - first + 1;
    for (let i = 0; i < size; i++) {
      const hostPort = first + (this.#cursor++ % size);
      if (this.#holderOf(protocol, hostPort, places) !== undefined) continue;
      try {
        return { hostPort, places: reserve(protocol, hostPort, places, hostIp === "") };
      } catch (error) {
        if (!(error instanceof Conflict)) throw error;
      }
    }
    throw new Unavailable("all ports are allocated");
  }

  /** The first host address at which one of our own publications has the port. */
  #holderOf(protocol: Protocol, hostPort: number, places: Place[]): string | undefined {
    const taken = [...this.#published.values()]
      .flat()
      .filter((held) => held.asked.protocol === protocol && held.hostPort === hostPort)
      .flatMap((held) => held.places.filter(({ target }) => !target.routed));
    const found = places.find(({ hostIp }) => taken.some((other) => collide(hostIp, other.hostIp)));
    return found && bracketed(found.hostIp);
  }
}

type Protocol = PublishedPort["protocol"];

function publicationOf({ hostPort, places }: Held): Publication {
  const ips = (routed: boolean) =>
    places.filter(({ target }) => target.routed === routed).map(({ hostIp }) => hostIp);
  return { hostPort, hostIps: ips(false), routed: ips(true) };
}

function validate({ hostIp, hostPort, targets, containerPort }: PublishedPort): void {
  if (hostIp !== "" && isIP(hostIp) === 0) throw new InvalidParameter(`invalid IP address: ${hostIp}`);
  for (const [family, { address }] of Object.entries(targets))
    if (isIP(address) !== Number(family)) throw new InvalidParameter(`invalid container address: ${address}`);
  for (const port of [hostPort, containerPort])
    if (!Number.isInteger(port) || port < 0 || port > 65535)
      throw new InvalidParameter(`invalid port number: ${port}`);
}

function isSame({ asked, hostPort }: Held, wanted: PublishedPort): boolean {
  return (
    asked.protocol === wanted.protocol &&
    asked.hostIp === wanted.hostIp &&
    hostPort === wanted.hostPort &&
    asked.containerPort === wanted.containerPort &&
    Bun.deepEquals(asked.targets, wanted.targets)
  );
}

/** What rules do; a place that leads into the other family is left to the proxy. */
function forwardedPorts({ asked: { protocol, containerPort }, hostPort, places }: Held): ForwardedPort[] {
  return places.flatMap(({ hostIp, family, target: { address, routed } }) => {
    if (familyOf(address) !== family) return [];
    const host = routed ? undefined : { ip: hostIp, port: hostPort };
    return { protocol, containerIp: address, containerPort, host };
  });
}

/**
 * Listening sockets for each place of a port: all or none. SCTP has no sockets here and is only forwarded.
 * @param all nobody asked for these addresses: those of a family that the host lacks are left out
 */
function reserve(protocol: Protocol, hostPort: number, places: Place[], all: boolean): TakenPlace[] {
  if (protocol === "sctp") return [...places];
  const taken: TakenPlace[] = [];
  try {
    for (const place of places) {
      const fd = tryListen(protocol, place.hostIp, hostPort, all);
      if (fd !== undefined) taken.push({ ...place, fd });
    }
    return taken;
  } catch (error) {
    release(taken);
    throw error;
  }
}

function release(places: TakenPlace[]): void {
  for (const { fd } of places) if (fd !== undefined) closeSync(fd);
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
