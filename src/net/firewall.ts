/**
 * The rules of one daemon: a table of its own whose chains never change. Bridges and published ports are
 * elements of its sets and maps, so that adding one is a single small transaction and the rules go on working
 * when the daemon is gone.
 */
import { Nft } from "../linux/nft.ts";
import type { BridgeSpec, PublishedPort } from "./types.ts";

/** The part of a bridge that rules depend on. */
export type BridgeRules = Pick<BridgeSpec, "bridge" | "internal" | "masquerade" | "icc">;
/** An IPv4 port to forward; hostIp `0.0.0.0` stands for every address of the host. */
export type ForwardedPort = PublishedPort;

const bridgeSets = ["bridges", "same", "outbound", "internal", "isolated"] as const;
type BridgeSet = (typeof bridgeSets)[number];
const portMaps = ["any_ports", "address_ports"] as const;

/**
 * Chains by hook. `same` holds each bridge paired with itself: both sides of a packet that comes back to the
 * bridge it came from, which happens to published ports and, where br_netfilter is loaded, to all bridged frames.
 */
function ruleset(table: string): string {
  return `
table ip ${table} {
  set bridges { type ifname; }
  set same { type ifname . ifname; }
  set outbound { type ifname; }
  set internal { type ifname; }
  set isolated { type ifname; }
  map any_ports { type inet_proto . inet_service : ipv4_addr . inet_service; }
  map address_ports { type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service; }
  chain raw { type filter hook prerouting priority -300; policy accept; }
  chain published { }
  chain prerouting { type nat hook prerouting priority -100; policy accept; }
  chain output { type nat hook output priority -100; policy accept; }
  chain postrouting { type nat hook postrouting priority 100; policy accept; }
  chain ours { }
  chain forward { type filter hook forward priority 0; policy accept; }
}
flush table ip ${table}
table ip ${table} {
  chain raw {
    # route_localnet on a bridge must not open the host's loopback to containers.
    iifname @bridges ip daddr 127.0.0.0/8 drop
    iifname @bridges ip saddr 127.0.0.0/8 drop
  }
  chain published {
    dnat ip to ip daddr . meta l4proto . th dport map @address_ports
    dnat ip to meta l4proto . th dport map @any_ports
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
    oifname @bridges drop
  }
  chain forward {
    iifname @bridges goto ours
    oifname @bridges goto ours
  }
}`;
}

function setsOf(spec: BridgeRules): Set<BridgeSet> {
  const sets = new Set<BridgeSet>(["bridges", "same"]);
  if (spec.internal) sets.add("internal");
  else if (spec.masquerade) sets.add("outbound");
  if (!spec.icc) sets.add("isolated");
  return sets;
}

const bridgeKey = (set: BridgeSet, bridge: string) =>
  set === "same" ? `"${bridge}" . "${bridge}"` : `"${bridge}"`;

function portElement({ hostIp, hostPort, protocol, containerIp, containerPort }: ForwardedPort) {
  const any = hostIp === "0.0.0.0";
  return {
    map: any ? portMaps[0] : portMaps[1],
    key: `${any ? "" : `${hostIp} . `}${protocol} . ${hostPort}`,
    value: `${containerIp} . ${containerPort}`,
  };
}

export class Firewall implements Disposable {
  readonly #nft = new Nft();
  readonly #table: string;

  /** Installs the chains, or renews them in one transaction that leaves the elements as they are. @throws NftError */
  constructor(instance: string) {
    this.#table = `gantry_${instance}`;
    this.#nft.run(ruleset(this.#table));
  }

  [Symbol.dispose](): void {
    this.#nft[Symbol.dispose]();
  }

  /** Puts a bridge into exactly the sets it belongs to. */
  addBridge(spec: BridgeRules): void {
    this.#nft.run(this.#placeBridge(spec.bridge, setsOf(spec)));
    this.#letThroughDocker(spec.bridge);
  }

  removeBridge(bridge: string): void {
    this.#nft.run(this.#placeBridge(bridge, new Set()));
    this.#withdrawFromDocker((name) => name === bridge);
  }

  /** Forwards a port; what an earlier daemon left at the same host port is replaced. */
  addPort(port: ForwardedPort): void {
    const { map, key, value } = portElement(port);
    const add = `add element ip ${this.#table} ${map} { ${key} : ${value} }`;
    if (this.#nft.attempt(add)) return;
    this.#nft.run(`delete element ip ${this.#table} ${map} { ${key} }\n${add}`);
  }

  removePorts(ports: ForwardedPort[]): void {
    const deletions = ports.map(portElement).map(({ map, key }) => ({ map, key }));
    const command = ({ map, key }: { map: string; key: string }) =>
      `delete element ip ${this.#table} ${map} { ${key} }`;
    // Somebody may have flushed a rule behind our back; the others still have to go.
    if (!this.#nft.attempt(deletions.map(command).join("\n")))
      for (const deletion of deletions) this.#nft.attempt(command(deletion));
  }

  /** Makes bridges and ports exactly these, in one transaction. */
  replace(bridges: BridgeRules[], ports: ForwardedPort[]): void {
    const commands = [...bridgeSets.map((set) => `flush set ip ${this.#table} ${set}`)];
    commands.push(...portMaps.map((map) => `flush map ip ${this.#table} ${map}`));
    for (const spec of bridges)
      for (const set of setsOf(spec))
        commands.push(`add element ip ${this.#table} ${set} { ${bridgeKey(set, spec.bridge)} }`);
    for (const { map, key, value } of ports.map(portElement))
      commands.push(`add element ip ${this.#table} ${map} { ${key} : ${value} }`);
    this.#nft.run(commands.join("\n"));
    const kept = new Set(bridges.map((spec) => spec.bridge));
    this.#withdrawFromDocker((name) => !kept.has(name));
    for (const bridge of kept) this.#letThroughDocker(bridge);
  }

  /** Takes the whole table away. */
  remove(): void {
    this.#nft.run(`delete table ip ${this.#table}`);
    this.#withdrawFromDocker(() => true);
  }

  #placeBridge(bridge: string, wanted: Set<BridgeSet>): string {
    return bridgeSets
      .flatMap((set) => {
        const element = `element ip ${this.#table} ${set} { ${bridgeKey(set, bridge)} }`;
        // Adding first makes the deletion of what may not be there valid.
        return wanted.has(set) ? [`add ${element}`] : [`add ${element}`, `delete ${element}`];
      })
      .join("\n");
  }

  /**
   * Docker's iptables rules give FORWARD the policy drop, which no other table can overrule; its chain DOCKER-USER
   * is the documented place for exceptions. Where it exists, our bridges pass there and our own table judges.
   */
  #letThroughDocker(bridge: string): void {
    const rules = this.#dockerUserRules();
    if (rules === undefined || rules.some((rule) => rule.bridge === bridge)) return;
    const command = (match: string) =>
      `insert rule ip filter DOCKER-USER ${match} "${bridge}" counter accept comment "${this.#table} ${bridge}"`;
    this.#nft.attempt(`${command("iifname")}\n${command("oifname")}`);
  }

  #withdrawFromDocker(concerns: (bridge: string) => boolean): void {
    for (const rule of this.#dockerUserRules() ?? [])
      if (concerns(rule.bridge)) this.#nft.attempt(`delete rule ip filter DOCKER-USER handle ${rule.handle}`);
  }

  /** Our exceptions in DOCKER-USER; undefined when there is no such chain. */
  #dockerUserRules(): { bridge: string; handle: number }[] | undefined {
    // "list chain" of a missing chain is an error, and listing it in full loads every rule of the host.
    let listing: string;
    try {
      listing = this.#nft.run("list chain ip filter DOCKER-USER");
    } catch {
      return undefined;
    }
    const { nftables } = JSON.parse(listing) as {
      nftables: { rule?: { handle: number; comment?: string } }[];
    };
    return nftables.flatMap(({ rule }) => {
      const [table, bridge] = rule?.comment?.split(" ") ?? [];
      return rule && table === this.#table && bridge ? [{ bridge, handle: rule.handle }] : [];
    });
  }
}
