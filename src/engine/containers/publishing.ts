/** The ports that a container asks for, and those that it has. */
import { Conflict, InvalidParameter } from "../../lib/errors.ts";
import { canonicalAddress } from "../../lib/ip.ts";
import type { Network, Publication, PublishedPort } from "../../net/types.ts";
import type { PortMap } from "../config.ts";
import type { ContainerRecord } from "../types.ts";

/** `80/tcp` -> [80, "tcp"]. @throws InvalidParameter */
export function parsePort(key: string): [number, "tcp" | "udp" | "sctp"] {
  const match = /^(\d+)(?:\/(tcp|udp|sctp))?$/.exec(key);
  const port = Number(match?.[1]);
  if (!match || port < 1 || port > 65535)
    throw new InvalidParameter(`invalid port specification: ${JSON.stringify(key)}`);
  return [port, (match[2] ?? "tcp") as "tcp"];
}

/** Where a container's ports lead. */
export interface PortsLead {
  targets: PublishedPort["targets"];
  /** Of the host, for what is published at none in particular; empty: all. */
  hostIp: string;
}

type Binding = NonNullable<PortMap[string]>[number];

/**
 * Publishes what a container asks for.
 * @param present what it has, or had until now: ports that were chosen then are chosen again
 * @returns what it has now
 * @throws Conflict when a port is taken; those before it stay published
 */
export async function publishPorts(
  network: Network,
  record: ContainerRecord,
  { targets, hostIp }: PortsLead,
  present: PortMap = {},
): Promise<PortMap> {
  const ports: PortMap = {};
  for (const [key, bindings] of Object.entries(askedPorts(record))) {
    const [containerPort, protocol] = parsePort(key);
    ports[key] = bindings === null ? null : [];
    const left = [...(present[key] ?? [])];
    for (const binding of bindings ?? []) {
      const HostIp = binding.HostIp && canonicalAddress(binding.HostIp);
      const port = { protocol, containerPort, hostIp: HostIp || hostIp, hostPort: 0, targets };
      const asked = takeChosen({ HostIp, HostPort: binding.HostPort }, left);
      const published = await publishOne(network, record.id, port, asked);
      const HostPort = String(published.hostPort);
      ports[key]!.push(
        ...published.hostIps.map((HostIp) => ({ HostIp, HostPort })),
        ...published.routed.map((HostIp) => ({ HostIp, HostPort: "" })),
      );
    }
  }
  return ports;
}

/** A host port may be a range: the first free one is taken. */
async function publishOne(
  network: Network,
  owner: string,
  port: PublishedPort,
  asked: string,
): Promise<Publication> {
  const [first, last = first] = (asked === "" ? "0" : asked).split("-").map(Number) as [number, number?];
  for (let hostPort = first; ; hostPort++) {
    try {
      return await network.publish(owner, { ...port, hostPort });
    } catch (error) {
      if (!(error instanceof Conflict) || hostPort >= last) throw error;
    }
  }
}

/**
 * The host port of `left` that was chosen for a binding, or what the binding asks for.
 * @param left takes out what belongs to the binding: one port at one address, or at all of both families
 */
function takeChosen({ HostIp, HostPort }: Binding, left: Binding[]): string {
  const [first = 1, last = first] = HostPort === "" ? [1, 65535] : HostPort.split("-").map(Number);
  const fits = (other: Binding) =>
    (!HostIp || HostIp === other.HostIp) && Number(other.HostPort) >= first && Number(other.HostPort) <= last;
  const chosen = left.find(fits)?.HostPort;
  if (chosen === undefined) return HostPort;
  const rest = left.filter((other) => other.HostPort !== chosen || (HostIp && HostIp !== other.HostIp));
  left.splice(0, left.length, ...rest);
  return chosen;
}

function askedPorts(record: ContainerRecord): PortMap {
  const asked: PortMap = {};
  for (const key of Object.keys(record.config.ExposedPorts ?? {})) {
    asked[key] = record.hostConfig.PublishAllPorts ? [{ HostIp: "", HostPort: "" }] : null;
  }
  for (const [key, bindings] of Object.entries(record.hostConfig.PortBindings)) {
    if (bindings !== null && bindings.length > 0) asked[key] = bindings;
  }
  return asked;
}
