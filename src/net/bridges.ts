/** Bridges of the host: the links behind Docker's bridge networks. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { Conflict, InvalidParameter, Unavailable } from "../lib/errors.ts";
import { familyOf, parseAddressWithPrefix } from "../lib/ip.ts";
import { Errno } from "../linux/libc.ts";
import {
  addAddress,
  addBridge,
  deleteAddress,
  deleteLink,
  getLink,
  type Link,
  listAddresses,
  listLinks,
  type NetlinkSocket,
  type PortFlags,
  setLink,
  setPortFlags,
} from "../linux/netlink/index.ts";
import { macFor } from "./ipam.ts";
import type { Labels } from "./labels.ts";
import type { BridgeSpec } from "./types.ts";

/** IFNAMSIZ less the NUL; what else the kernel would take is of no use in a rule or a path. */
const bridgeName = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,14}$/;

function validate(spec: BridgeSpec): void {
  if (!bridgeName.test(spec.bridge)) throw new InvalidParameter(`invalid bridge name: ${spec.bridge}`);
  for (const gateway of spec.gateways) parseAddressWithPrefix(gateway);
  if (spec.modes[6] !== undefined && !existsSync(ipv6Sysctls))
    throw new Unavailable(`bridge ${spec.bridge}: the host's kernel has no IPv6, or it is switched off`);
}

const ipv6Sysctls = "/proc/sys/net/ipv6/conf";

/**
 * What a router asks its neighbours with for packets that are not its own. The kernel would make one itself, but look
 * for a second whether somebody else has it, and resolve nothing until then.
 */
const linkLocal = "fe80::1/64";

/** Forwarding of IPv6, and what a bridge needs so that it carries it. */
function enableIpv6(bridge: string): void {
  for (const scope of ["default", "all"]) {
    const path = `${ipv6Sysctls}/${scope}/forwarding`;
    if (readFileSync(path, "utf8").trim() !== "1") writeFileSync(path, "1");
  }
  writeFileSync(`${ipv6Sysctls}/${bridge}/disable_ipv6`, "0");
  // Nobody on it tells the host where its routers are.
  writeFileSync(`${ipv6Sysctls}/${bridge}/accept_ra`, "0");
}

/**
 * How the ports of a bridge are set. Where br_netfilter is loaded, a container's packet to its own published port
 * never leaves the bridge's layer, so it has to go back through the port it came from.
 */
export function portFlags(icc: boolean): PortFlags {
  return { isolated: !icc, hairpin: existsSync("/proc/sys/net/bridge") };
}

export class Bridges {
  /** @param host socket of the host's namespace, owned by the caller */
  constructor(
    private readonly host: NetlinkSocket,
    private readonly labels: Labels,
  ) {}

  /** Makes the bridge as told, or brings in line the one that is there. @throws Conflict when the name is taken */
  ensure(spec: BridgeSpec): void {
    validate(spec);
    const own = spec.gateways.map((gateway) => parseAddressWithPrefix(gateway).address);
    const mac = macFor(own.find((address) => familyOf(address) === 4));
    const found = getLink(this.host, spec.bridge);
    if (found) this.#checkOwner(found);
    // A given address stays; without one a bridge takes that of whichever port has the lowest.
    else this.host.execute(addBridge(spec.bridge, { macAddress: mac, mtu: spec.mtu }));
    const link = found ?? getLink(this.host, spec.bridge)!;
    if (spec.modes[6] !== undefined) enableIpv6(spec.bridge);
    const routesIpv6 = own.some((address) => familyOf(address) === 6);
    const wanted = new Set([...spec.gateways, ...(routesIpv6 ? [linkLocal] : [])]);
    const present = listAddresses(this.host).filter(({ index }) => index === link.index);
    // Another link-local address is the kernel's, on a bridge that somebody else has made.
    const surplus = present.filter(
      ({ cidr }) => !wanted.has(cidr) && (cidr === linkLocal || !cidr.startsWith("fe80:")),
    );
    const missing = [...wanted].filter((address) => !present.some(({ cidr }) => cidr === address));
    this.host.execute(
      setLink(spec.bridge, {
        alias: this.labels.of(spec.networkId),
        mtu: spec.mtu !== undefined && spec.mtu !== link.mtu ? spec.mtu : undefined,
        withoutLinkLocal: true,
        up: true,
      }),
      ...surplus.map(({ cidr }) => deleteAddress(link.index, cidr)),
      ...missing.map((address) => addAddress(link.index, address)),
    );
    // Lets 127.0.0.1:<published port> be forwarded out of the bridge; the rules keep the way back closed.
    writeFileSync(`/proc/sys/net/ipv4/conf/${spec.bridge}/route_localnet`, "1");
    if (found) this.#setPorts(link.index, portFlags(spec.icc));
  }

  #checkOwner(link: Link): void {
    if (link.kind !== "bridge") throw new Conflict(`link ${link.name} exists and is no bridge`);
    if (link.alias !== "" && this.labels.idOf(link.alias) === undefined)
      throw new Conflict(`bridge ${link.name} belongs to somebody else (${link.alias})`);
  }

  #setPorts(bridge: number, flags: PortFlags): void {
    const ports = listLinks(this.host).filter(({ master }) => master === bridge);
    for (const { index } of ports) {
      try {
        this.host.execute(setPortFlags(index, flags));
      } catch (error) {
        // The kernel takes the ports of dead sandboxes away in its own time, also just now.
        if (!(error instanceof Errno && error.code === "ENODEV")) throw error;
      }
    }
  }

  /** Removes a bridge of this daemon; nothing there is no error. @throws Conflict when it is another's */
  remove(name: string): void {
    const link = getLink(this.host, name);
    if (!link) return;
    this.#checkOwner(link);
    this.host.execute(deleteLink(name));
  }

  /** Bridges of this daemon. */
  list(): { name: string; networkId: string }[] {
    return listLinks(this.host).flatMap(({ kind, name, alias }) => {
      const networkId = this.labels.idOf(alias);
      return kind === "bridge" && networkId !== undefined ? [{ name, networkId }] : [];
    });
  }
}
