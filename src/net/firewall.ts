/**
 * The rules of one daemon: a table of its own for each family (ruleset.ts). Bridges and published ports are elements
 * of its sets and maps, so that adding one is a single small transaction and the rules go on working when the daemon
 * is gone.
 */
import { families as allFamilies, type Family, familyOf } from "../lib/ip.ts";
import { Nft } from "../linux/nft.ts";
import {
  type BridgeRules,
  type BridgeSet,
  bridgeSets,
  dialects,
  portSets,
  ruleset,
  setsOf,
} from "./ruleset.ts";

/** A port of a container that is let through to. */
export interface ForwardedPort {
  protocol: "tcp" | "udp" | "sctp";
  containerIp: string;
  containerPort: number;
  /** Where the host forwards it; `0.0.0.0` and `::` stand for every address. Missing: it's reached at its own address. */
  host?: { ip: string; port: number };
}

/** One of a set or map, and where that is. */
interface Element {
  family: Family;
  set: string;
  key: string;
  /** Of a map. */
  value?: string;
}

function bridgeElement(bridge: string, set: BridgeSet, family: Family): Element {
  return { family, set, key: set === "same" ? `"${bridge}" . "${bridge}"` : `"${bridge}"` };
}

function portElement({ host, protocol, containerIp, containerPort }: ForwardedPort): Element {
  const family = familyOf(containerIp);
  if (!host) return { family, set: portSets.own, key: `${containerIp} . ${protocol} . ${containerPort}` };
  const any = host.ip === "0.0.0.0" || host.ip === "::";
  return {
    family,
    set: any ? portSets.any : portSets.address,
    key: `${any ? "" : `${host.ip} . `}${protocol} . ${host.port}`,
    value: `${containerIp} . ${containerPort}`,
  };
}

export class Firewall implements Disposable {
  readonly #nft = new Nft();
  readonly #table: string;

  /**
   * Installs the chains, or renews them in one transaction that leaves the elements as they are.
   * @param families that rules are made for
   * @throws NftError
   */
  constructor(
    instance: string,
    private readonly families: readonly Family[],
  ) {
    this.#table = `gantry_${instance}`;
    this.#nft.run(families.map((family) => ruleset(this.#table, family)).join("\n"));
    // An earlier daemon may have been told otherwise.
    for (const family of allFamilies)
      if (!families.includes(family))
        this.#nft.attempt(`delete table ${dialects[family].table} ${this.#table}`);
  }

  [Symbol.dispose](): void {
    this.#nft[Symbol.dispose]();
  }

  /** Puts a bridge into exactly the sets it belongs to. */
  addBridge(spec: BridgeRules): void {
    this.#nft.run(this.#placeBridge(spec.bridge, (family) => setsOf(spec, family)));
    this.#letThroughDocker(spec.bridge);
  }

  removeBridge(bridge: string): void {
    this.#nft.run(this.#placeBridge(bridge, () => new Set()));
    this.#withdrawFromDocker((name) => name === bridge);
  }

  /** Forwards a port; what an earlier daemon left at the same host port is replaced. */
  addPort(port: ForwardedPort): void {
    for (const element of this.#ruled([portElement(port)])) {
      const add = this.#add(element);
      if (!this.#nft.attempt(add)) this.#nft.run(`${this.#delete(element)}\n${add}`);
    }
  }

  removePorts(ports: ForwardedPort[]): void {
    const deletions = this.#ruled(ports.map(portElement)).map((element) => this.#delete(element));
    // Somebody may have flushed a rule behind our back; the others still have to go.
    if (!this.#nft.attempt(deletions.join("\n")))
      for (const deletion of deletions) this.#nft.attempt(deletion);
  }

  /** Makes bridges and ports exactly these, in one transaction. */
  replace(bridges: BridgeRules[], ports: ForwardedPort[]): void {
    const { any, address, own } = portSets;
    const flushes = this.families.flatMap((family) => [
      ...[...bridgeSets, own].map((set) => `flush set ${this.#at(family, set)}`),
      ...[any, address].map((map) => `flush map ${this.#at(family, map)}`),
    ]);
    const elements = bridges.flatMap((spec) =>
      this.families.flatMap((family) =>
        [...setsOf(spec, family)].map((set) => bridgeElement(spec.bridge, set, family)),
      ),
    );
    const additions = [...elements, ...this.#ruled(ports.map(portElement))].map((element) =>
      this.#add(element),
    );
    this.#nft.run([...flushes, ...additions].join("\n"));
    const kept = new Set(bridges.map((spec) => spec.bridge));
    this.#withdrawFromDocker((name) => !kept.has(name));
    for (const bridge of kept) this.#letThroughDocker(bridge);
  }

  /** Takes the whole of the tables away. */
  remove(): void {
    this.#nft.run(
      this.families.map((family) => `delete table ${dialects[family].table} ${this.#table}`).join("\n"),
    );
    this.#withdrawFromDocker(() => true);
  }

  /** A set or map by its full name. */
  #at(family: Family, set: string): string {
    return `${dialects[family].table} ${this.#table} ${set}`;
  }

  #add({ family, set, key, value }: Element): string {
    return `add element ${this.#at(family, set)} { ${key}${value === undefined ? "" : ` : ${value}`} }`;
  }

  #delete({ family, set, key }: Element): string {
    return `delete element ${this.#at(family, set)} { ${key} }`;
  }

  #ruled(elements: Element[]): Element[] {
    return elements.filter(({ family }) => this.families.includes(family));
  }

  #placeBridge(bridge: string, wanted: (family: Family) => Set<BridgeSet>): string {
    return this.families
      .flatMap((family) =>
        bridgeSets.flatMap((set) => {
          const element = bridgeElement(bridge, set, family);
          // Adding first makes the deletion of what may not be there valid.
          return wanted(family).has(set) ? [this.#add(element)] : [this.#add(element), this.#delete(element)];
        }),
      )
      .join("\n");
  }

  /**
   * Docker's iptables rules give FORWARD the policy drop, which no other table can overrule; its chain DOCKER-USER
   * is the documented place for exceptions. Where it exists, our bridges pass there and our own table judges.
   */
  #letThroughDocker(bridge: string): void {
    for (const family of this.families) {
      const rules = this.#dockerUserRules(family);
      if (rules === undefined || rules.some((rule) => rule.bridge === bridge)) continue;
      const command = (match: string) =>
        `insert rule ${dockerUser(family)} ${match} "${bridge}" counter accept comment "${this.#table} ${bridge}"`;
      this.#nft.attempt(`${command("iifname")}\n${command("oifname")}`);
    }
  }

  #withdrawFromDocker(concerns: (bridge: string) => boolean): void {
    for (const family of this.families)
      for (const rule of this.#dockerUserRules(family) ?? [])
        if (concerns(rule.bridge))
          this.#nft.attempt(`delete rule ${dockerUser(family)} handle ${rule.handle}`);
  }

  /** Our exceptions in DOCKER-USER; undefined when there is no such chain. */
  #dockerUserRules(family: Family): { bridge: string; handle: number }[] | undefined {
    // "list chain" of a missing chain is an error, and listing it in full loads every rule of the host.
    let listing: string;
    try {
      listing = this.#nft.run(`list chain ${dockerUser(family)}`);
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

const dockerUser = (family: Family) => `${dialects[family].table} filter DOCKER-USER`;
