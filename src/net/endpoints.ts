/** Endpoints: veth pairs between a bridge and a sandbox. */
import { InvalidParameter, NotFound } from "../lib/errors.ts";
import { parseAddress, parseAddressWithPrefix } from "../lib/ip.ts";
import { advertiseNeighbour } from "../linux/neighbours.ts";
import {
  addAddress,
  addVeth,
  deleteLink,
  forgetNeighbour,
  getLink,
  type Link,
  listLinks,
  type NetlinkSocket,
  type PortFlags,
  setDefaultRoute,
  setLink,
  setPortFlags,
} from "../linux/netlink/index.ts";
import type { Labels } from "./labels.ts";
import type { Sandboxes } from "./sandboxes.ts";
import type { EndpointSpec } from "./types.ts";

/** Name of the host's end, from the endpoint's id: `veth` and eleven hex digits fill the 15 bytes a name has. */
function hostName(endpointId: string): string {
  if (!/^[0-9a-f]{11,}$/.test(endpointId)) throw new InvalidParameter(`invalid endpoint id: ${endpointId}`);
  return `veth${endpointId.slice(0, 11)}`;
}

function validate(endpoint: EndpointSpec): void {
  if (!/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/i.test(endpoint.macAddress))
    throw new InvalidParameter(`invalid MAC address: ${endpoint.macAddress}`);
  if (!/^[A-Za-z0-9_.-]{1,15}$/.test(endpoint.interfaceName))
    throw new InvalidParameter(`invalid interface name: ${endpoint.interfaceName}`);
  for (const address of endpoint.addresses) parseAddressWithPrefix(address);
  for (const gateway of endpoint.gateways) parseAddress(gateway);
}

/** Those of IPv6, without prefix. */
const ipv6Of = (addresses: string[]) =>
  addresses.map(parseAddressWithPrefix).flatMap(({ family, address }) => (family === 6 ? address : []));

/** Of a new interface: those of IPv6 when it is to have it, and its own. */
function sysctlsOf({ interfaceName, addresses, sysctls = [] }: EndpointSpec): [string, string][] {
  const ipv6 = (name: string, value: string): [string, string] => [
    `net/ipv6/conf/${interfaceName}/${name}`,
    value,
  ];
  return [
    ...(ipv6Of(addresses).length > 0
      ? [
          ipv6("disable_ipv6", "0"),
          // Addresses are given out once: nobody has to wait until the neighbours have not objected.
          ipv6("accept_dad", "0"),
        ]
      : []),
    ...sysctls,
  ];
}

export class Endpoints {
  /** @param host socket of the host's namespace, owned by the caller */
  constructor(
    private readonly host: NetlinkSocket,
    private readonly sandboxes: Sandboxes,
    private readonly labels: Labels,
  ) {}

  /**
   * Connects a sandbox to a bridge; an endpoint that is there already is brought in line without a pause.
   * @throws NotFound without sandbox or bridge, Errno
   */
  connect(sandboxId: string, endpoint: EndpointSpec, flags: PortFlags): void {
    validate(endpoint);
    const name = hostName(endpoint.endpointId);
    const bridge = getLink(this.host, endpoint.bridge);
    if (!bridge) throw new NotFound(`bridge ${endpoint.bridge} not found`);
    this.sandboxes.withNamespace(sandboxId, (namespace) => {
      using inside = this.sandboxes.openNetlink(sandboxId);
      const present = this.#presentPair(name, getLink(inside, endpoint.interfaceName));
      if (!present) this.#addPair(name, endpoint, namespace);
      try {
        if (!present) {
          this.#announce(bridge.index, endpoint);
          this.sandboxes.writeSysctls(namespace, sysctlsOf(endpoint));
        }
        this.host.execute(
          setLink(name, {
            alias: this.labels.of(endpoint.endpointId),
            withoutLinkLocal: true,
            master: bridge.index,
            up: true,
          }),
        );
        if (flags.isolated || flags.hairpin)
          this.host.execute(setPortFlags(getLink(this.host, name)!.index, flags));
        configure(inside, endpoint);
      } catch (error) {
        this.host.execute(deleteLink(name));
        throw error;
      }
    });
  }

  /**
   * Nobody goes on sending to the MAC address of who had an address before. For IPv4 the kernel does that (arp_notify);
   * for IPv6 it would only once it had made sure that nobody objects.
   */
  #announce(bridge: number, { addresses, macAddress }: EndpointSpec): void {
    for (const address of ipv6Of(addresses)) {
      this.host.execute(forgetNeighbour(bridge, address));
      advertiseNeighbour(bridge, address, macAddress);
    }
  }

  /** Whether the host's end exists and its peer is that very link of the sandbox; remains of others are removed. */
  #presentPair(name: string, inner: Link | undefined): boolean {
    if (!inner) return false;
    const outer = getLink(this.host, name);
    return outer !== undefined && outer.peer === inner.index && inner.peer === outer.index;
  }

  #addPair(name: string, { mtu, interfaceName, macAddress }: EndpointSpec, namespace: number): void {
    const request = addVeth(name, { mtu, peer: { name: interfaceName, namespace, mtu, macAddress } });
    // The same endpoint of a sandbox that the kernel has not quite taken down may still hold the name.
    if (getLink(this.host, name)) this.host.execute(deleteLink(name));
    this.host.execute(request);
  }

  /**
   * Takes an interface out of a sandbox; one that is not there is no error. It waits for the kernel some 20 ms:
   * when the whole sandbox goes, `Sandboxes.remove` alone is the faster way.
   */
  disconnect(endpointId: string): void {
    this.host.execute(deleteLink(hostName(endpointId)));
  }

  /** Host's ends of this daemon's endpoints. */
  list(): { name: string; endpointId: string }[] {
    return listLinks(this.host).flatMap(({ kind, name, alias }) => {
      const endpointId = this.labels.idOf(alias);
      return kind === "veth" && endpointId !== undefined ? [{ name, endpointId }] : [];
    });
  }
}

/** Addresses before the link is up: then it announces them to the neighbours. */
function configure(inside: NetlinkSocket, endpoint: EndpointSpec): void {
  const link = getLink(inside, endpoint.interfaceName);
  if (!link) throw new NotFound(`interface ${endpoint.interfaceName} not found in the sandbox`);
  inside.execute(
    ...endpoint.addresses.map((address) => addAddress(link.index, address)),
    setLink(endpoint.interfaceName, { up: true }),
    ...endpoint.gateways.map((gateway) => setDefaultRoute(link.index, gateway)),
  );
}
