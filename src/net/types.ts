/**
 * What the network layer promises: bridges, sandboxes (network namespaces), endpoints (veth pairs), published
 * ports and names. It keeps no state of its own beside the kernel's: the engine persists what it asks for and
 * asks again after a restart; every call is idempotent.
 */

export interface BridgeSpec {
  /** Docker network id (64 hex). */
  networkId: string;
  /** Link name, at most 15 bytes: `gantry0`, `br-<12 hex>`. */
  bridge: string;
  /** IPv4 gateway with prefix, e.g. `172.17.0.1/16`; IPv6 when enabled. */
  gateways: string[];
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
  /** With prefix: `172.17.0.2/16`. */
  addresses: string[];
  /** Default route through these; absent for an internal network or a second endpoint. */
  gateways: string[];
  mtu?: number;
}

export interface PublishedPort {
  protocol: "tcp" | "udp" | "sctp";
  hostIp: string;
  hostPort: number;
  containerIp: string;
  containerPort: number;
}

/** A port that is published: where the host answers. */
export interface Publication {
  hostPort: number;
  /** One; or all IPv4 ones, and all IPv6 ones where the host has IPv6, when none was asked for. */
  hostIps: string[];
}

/** Answers a query from a sandbox. */
export interface NameSource {
  /** Addresses of a container name, alias or id as seen from this sandbox; undefined: not ours, ask upstream. */
  lookup(name: string, family: 4 | 6): string[] | undefined;
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
  /** Withdraws all ports of an owner (an endpoint id). */
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
}
/** Exported by net/index.ts. Turns ip_forward on; opens netlink and libnftables once. */
export type OpenNetwork = (options: NetworkOptions) => Promise<Network>;
