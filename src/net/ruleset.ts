/**
 * The rules of one family: a table whose chains never change. Bridges and published ports are elements of its sets
 * and maps. Both families' are made here, and differ only in what `dialects` says.
 */
import type { Family } from "../lib/ip.ts";
import type { BridgeSpec } from "./types.ts";

interface Dialect {
  /** nftables' family, and the keyword of its addresses. */
  table: "ip" | "ip6";
  address: string;
  loopback: string;
  icmp: string;
  /** What never reaches a container by rules alone: a proxy serves it. */
  kept: string[];
}

export const dialects: Record<Family, Dialect> = {
  4: { table: "ip", address: "ipv4_addr", loopback: "127.0.0.0/8", icmp: "icmp", kept: [] },
  6: {
    table: "ip6",
    address: "ipv6_addr",
    loopback: "::1",
    icmp: "ipv6-icmp",
    // The kernel sends nothing of these scopes out of another link.
    kept: ["ip6 saddr fe80::/10 return", "ip6 daddr { ::1, fe80::/10 } return"],
  },
};

export const bridgeSets = ["bridges", "same", "outbound", "internal", "isolated", "open", "routed"] as const;
export type BridgeSet = (typeof bridgeSets)[number];
export const portSets = {
  /** At all addresses of the host. */
  any: "any_ports",
  /** At one of them. */
  address: "address_ports",
  /** At the container's own address. */
  own: "own_ports",
} as const;

/** The part of a bridge that rules depend on. */
export type BridgeRules = Pick<BridgeSpec, "bridge" | "modes" | "internal" | "masquerade" | "icc">;

/** The sets of a family that a bridge belongs to. */
export function setsOf({ modes, internal, masquerade, icc }: BridgeRules, family: Family): Set<BridgeSet> {
  const mode = modes[family];
  const sets = new Set<BridgeSet>(["bridges", "same"]);
  // What it doesn't carry, goes nowhere.
  if (internal || mode === undefined) sets.add("internal");
  else if (mode === "routed") sets.add("routed");
  else if (masquerade) sets.add("outbound");
  if (mode === "nat-unprotected") sets.add("open");
  if (!icc) sets.add("isolated");
  return sets;
}

/**
 * Chains by hook. `same` holds each bridge paired with itself: both sides of a packet that comes back to the
 * bridge it came from, which happens to published ports and, where br_netfilter is loaded, to all bridged frames.
 */
export function ruleset(name: string, family: Family): string {
  const { table, address, loopback, icmp, kept } = dialects[family];
  const place = "inet_proto . inet_service";
  return `
table ${table} ${name} {
  set bridges { type ifname; }
  set same { type ifname . ifname; }
  set outbound { type ifname; }
  set internal { type ifname; }
  set isolated { type ifname; }
  set open { type ifname; }
  set routed { type ifname; }
  map ${portSets.any} { type ${place} : ${address} . inet_service; }
  map ${portSets.address} { type ${address} . ${place} : ${address} . inet_service; }
  set ${portSets.own} { type ${address} . ${place}; }
  chain raw { type filter hook prerouting priority -300; policy accept; }
  chain published { }
  chain prerouting { type nat hook prerouting priority -100; policy accept; }
  chain output { type nat hook output priority -100; policy accept; }
  chain postrouting { type nat hook postrouting priority 100; policy accept; }
  chain ours { }
  chain forward { type filter hook forward priority 0; policy accept; }
}
flush table ${table} ${name}
table ${table} ${name} {
  chain raw {
    # route_localnet on a bridge must not open the host's loopback to containers.
    iifname @bridges ${table} daddr ${loopback} drop
    iifname @bridges ${table} saddr ${loopback} drop
  }
  chain published {
    ${kept.join("\n    ")}
    dnat ${table} to ${table} daddr . meta l4proto . th dport map @${portSets.address}
    dnat ${table} to meta l4proto . th dport map @${portSets.any}
  }
  chain prerouting { fib daddr type local jump published; }
  chain output { fib daddr type local jump published; }
  chain postrouting {
    # From this host, or bridged under br_netfilter: neither has an input interface here.
    iif 0 oifname @bridges ct status dnat masquerade
    iifname . oifname @same ct status dnat masquerade
    iifname . oifname @same return
    iifname @outbound masquerade
  }
  chain ours {
    ct state established,related accept
    iifname . oifname @same iifname != @isolated accept
    iifname @internal drop
    oifname @internal drop
    ct status dnat accept
    oifname @open accept
    oifname @routed meta l4proto ${icmp} accept
    ${table} daddr . meta l4proto . th dport @${portSets.own} accept
    oifname @bridges drop
  }
  chain forward {
    iifname @bridges goto ours
    oifname @bridges goto ours
  }
}`;
}
