/**
 * What the network layer promises: bridges, sandboxes (network namespaces), endpoints (veth pairs), published
 * ports and names. It keeps no state of its own beside the kernel's: the engine persists what it asks for and
 * asks again after a restart; every call is idempotent.
 */
import type { Family } from "../lib/ip.ts";

/**
 * How a bridge's containers are reached by a family, and how they get out (Docker's
 * `com.docker.network.bridge.gateway_mode_ipv4` and `…_ipv6`): behind the host's addresses; the same with all their ports open
 * to who has a route; at their own addresses; or not at all, with no address on the bridge either.
 */
export type GatewayMode = "nat" | "nat-unprotected" | "routed" | "isolated";

export interface BridgeSpec {
  /** Docker network id (64 hex). */
  networkId: string;
  /** Link name, at most 15 bytes: `gantry0`, `br-<12 hex>`. */
  bridge: string;
  /** The bridge's own addresses with prefix: `172.17.0.1/16`, `fd00::1/64`. */
  gateways: string[];
  /** Of the families that it carries; the other one passes no packets. */
  modes: Partial<Record<Family, GatewayMode>>;
  mtu?: number;
  /** No route to outside or other networks. */
  internal: boolean;
  masquerade: boolean;
  /** Containers on it reach each other. */
  icc: boolean;
}

export interface EndpointSpec {
  networkId: string;
  endpointId: string;
  bridge: string;
  /** Interface name in the sandbox: `eth0`, `eth1`. */
  interfaceName: string;
  macAddress: string;
  /** With prefix: `172.17.0.2/16`, `fd00::2/64`. */
  addresses: string[];
  /** Default routes through these, one of a family; absent for an internal network or a second endpoint. */
  gateways: string[];
  mtu?: number;
  /** Of the interface, below /proc/sys with its name in them: `net/ipv4/conf/eth0/log_martians`. */
  sysctls?: [path: string, value: string][];
}

export interface PublishedPort {
  protocol: "tcp" | "udp" | "sctp";
  hostIp: string;
  hostPort: number;
  /** The container's addresses. One that has none of IPv6 is reached by that family too, through a proxy. */
  targets: Partial<Record<Family, PortTarget>>;
  containerPort: number;
}

export interface PortTarget {
  address: string;
  /** The container's own port is opened to who has a route there, and the host has none for it. */
  routed: boolean;
}

/** A port that is published: where the host answers. */
export interface Publication {
  hostPort: number;
  /** One; or all IPv4 ones, and all IPv6 ones where the host has IPv6, when none was asked for. */
  hostIps: string[];
  /** `0.0.0.0` and `::` for the families that are routed. */
  routed: string[];
}

/** Answers a query from a sandbox. */
export interface NameSource {
  /** Addresses of a container name, alias or id as seen from this sandbox; undefined: not ours, ask upstream. */
  lookup(name: string, family: Family): string[] | undefined;
  /** Name for a reverse query. */
  reverse(address: string): string | undefined;
  /** Upstream servers of this sandbox (`--dns`), default: the host's. */
  upstream?: string[];
}

/** A network namespace, kept alive by a bind mount below exec-root. */
export interface Sandbox {
  readonly id: string;
  /** Path that setns(2) and the OCI spec take. */
  readonly path: string;
}

export interface Network extends AsyncDisposable {
  /** As the kernel has it now. */
  readonly forwarding: Forwarding;
  /** Makes the bridge, its addresses, forwarding and rules as told; what is there already is brought in line. */
  ensureBridge(spec: BridgeSpec): void;
  removeBridge(networkId: string, bridge: string): void;
  /**
   * A new namespace with `lo` up and `net.ipv4.ip_unprivileged_port_start`=0 as Docker's; idempotent.
   * @param source a new namespace's path under /proc, to be kept in place of making one
   */
  createSandbox(id: string, source?: string): Sandbox;
  /** Unmounts and frees; endpoints in it go with it. Nothing there is no error. */
  removeSandbox(id: string): void;
  /** Sandboxes that are on disk, for reconciliation. */
  listSandboxes(): string[];
  /** veth pair, addresses, routes. */
  connect(sandboxId: string, endpoint: EndpointSpec): void;
  disconnect(sandboxId: string, endpoint: Pick<EndpointSpec, "interfaceName" | "endpointId">): void;
  /**
   * Reserves a host port and forwards it; an empty hostIp stands for all addresses. hostPort 0 picks a free one from the ephemeral range; the chosen
   * one is told. Reaches it from outside, from the host's own addresses and 127.0.0.1, and from other
   * containers by the host's address. @throws Conflict "…port is already allocated" / address already in use
   */
  publish(owner: string, port: PublishedPort): Promise<Publication>;
  /** Withdraws all ports of an owner (a container's id). */
  unpublish(owner: string): Promise<void>;
  /** Serves DNS at 127.0.0.11:53 (UDP and TCP) inside the sandbox; idempotent. */
  serveNames(sandboxId: string, names: NameSource): Promise<void>;
  stopNames(sandboxId: string): void;
  /** Interface counters in a sandbox, by interface. */
  counters(sandboxId: string): Record<string, InterfaceCounters>;
  /** Links of ours (`prefix`) and endpoints whose id is not in `known` are removed; rules rebuilt. */
  reconcile(known: { bridges: string[]; endpoints: string[]; sandboxes: string[] }): void;
}

/** What the kernel does with packets that aren't for this machine. */
export interface Forwarding {
  ipv4: boolean;
  /** Packets within a bridge pass through the firewall too (br_netfilter). */
  bridgedIpv4: boolean;
  bridgedIpv6: boolean;
}

export interface InterfaceCounters {
  rxBytes: number;
  rxPackets: number;
  rxErrors: number;
  rxDropped: number;
  txBytes: number;
  txPackets: number;
  txErrors: number;
  txDropped: number;
}

export interface NetworkOptions {
  /** Namespace mounts go to `<execRoot>/netns/`. */
  execRoot: string;
  /** Distinguishes the rules and links of daemons side by side: at most 8 characters [a-z0-9]. */
  instance: string;
  /** Those that rules are made for; by default all that the host has. */
  filtered?: readonly Family[];
}
/**
 * Exported by net/index.ts. Turns forwarding of IPv4 on, and that of IPv6 with the first bridge that carries it; opens
 * netlink and libnftables once.
 */
export type OpenNetwork = (options: NetworkOptions) => Promise<Network>;
