/** Links over rtnetlink(7): bridges and veth pairs. Each function makes a request; a socket carries it out. */
import { attribute, attributesOf, type Message, nested, text, textOf, u8, u32 } from "./codec.ts";
import type { NetlinkSocket, Request } from "./socket.ts";

const RTM_NEWLINK = 16;
const RTM_DELLINK = 17;
const RTM_GETLINK = 18;
const RTM_SETLINK = 19;
const NLM_F_EXCL = 0x200;
const NLM_F_CREATE = 0x400;

const IFLA_ADDRESS = 1;
const IFLA_IFNAME = 3;
const IFLA_MTU = 4;
const IFLA_MASTER = 10;
const IFLA_LINK = 5;
const IFLA_LINKINFO = 18;
const IFLA_IFALIAS = 20;
const IFLA_STATS64 = 23;
const IFLA_AF_SPEC = 26;
const IFLA_NET_NS_FD = 28;
const IFLA_PROTINFO = 12;
const IFLA_INFO_KIND = 1;
const IFLA_INFO_DATA = 2;
const VETH_INFO_PEER = 1;
const IFLA_BR_FORWARD_DELAY = 1;
const IFLA_BRPORT_STATE = 1;
const IFLA_BRPORT_MODE = 4;
const IFLA_BRPORT_ISOLATED = 33;
const IFLA_INET6_ADDR_GEN_MODE = 8;
const IN6_ADDR_GEN_MODE_NONE = 1;
const AF_BRIDGE = 7;
const AF_INET6 = 10;
const IFF_UP = 1;

const INTERFACE_HEADER = 16;

/** struct ifinfomsg. */
function interfaceHeader(options: { index?: number; up?: boolean; family?: number }): Buffer {
  const header = Buffer.alloc(INTERFACE_HEADER);
  header.writeUInt8(options.family ?? 0, 0);
  header.writeInt32LE(options.index ?? 0, 4);
  if (options.up !== undefined) {
    header.writeUInt32LE(options.up ? IFF_UP : 0, 8);
    header.writeUInt32LE(IFF_UP, 12);
  }
  return header;
}

/** Six bytes. */
export function macBytes(mac: string): Buffer {
  return Buffer.from(mac.replaceAll(":", ""), "hex");
}

export interface LinkSettings {
  mtu?: number;
  macAddress?: string;
}

function settings({ mtu, macAddress }: LinkSettings): Buffer[] {
  const attributes: Buffer[] = [];
  if (mtu !== undefined) attributes.push(attribute(IFLA_MTU, u32(mtu)));
  if (macAddress !== undefined) attributes.push(attribute(IFLA_ADDRESS, macBytes(macAddress)));
  return attributes;
}

/** A bridge without forwarding delay. EEXIST when the name is taken. */
export function addBridge(name: string, options: LinkSettings): Request {
  return {
    type: RTM_NEWLINK,
    flags: NLM_F_CREATE | NLM_F_EXCL,
    operation: "add bridge",
    subject: name,
    body: Buffer.concat([
      interfaceHeader({}),
      attribute(IFLA_IFNAME, text(name)),
      ...settings(options),
      nested(
        IFLA_LINKINFO,
        attribute(IFLA_INFO_KIND, text("bridge")),
        nested(IFLA_INFO_DATA, attribute(IFLA_BR_FORWARD_DELAY, u32(0))),
      ),
    ]),
  };
}

/** A veth pair with the peer born in the namespace of `peer.namespace`, so it needs no move and no rename. */
export function addVeth(
  name: string,
  options: { mtu?: number; peer: LinkSettings & { name: string; namespace: number } },
): Request {
  const { peer } = options;
  return {
    type: RTM_NEWLINK,
    flags: NLM_F_CREATE | NLM_F_EXCL,
    operation: "add veth",
    subject: `${name} with peer ${peer.name}`,
    body: Buffer.concat([
      interfaceHeader({}),
      attribute(IFLA_IFNAME, text(name)),
      ...settings({ mtu: options.mtu }),
      nested(
        IFLA_LINKINFO,
        attribute(IFLA_INFO_KIND, text("veth")),
        nested(
          IFLA_INFO_DATA,
          nested(
            VETH_INFO_PEER,
            interfaceHeader({}),
            attribute(IFLA_IFNAME, text(peer.name)),
            attribute(IFLA_NET_NS_FD, u32(peer.namespace)),
            ...settings(peer),
          ),
        ),
      ),
    ]),
  };
}

export interface LinkChange extends LinkSettings {
  up?: boolean;
  /** Index of the bridge to become a port of; 0 leaves it. */
  master?: number;
  alias?: string;
  rename?: string;
  /** Descriptor of the namespace to move to. */
  namespace?: number;
  /** No IPv6 link-local address of its own. */
  withoutLinkLocal?: boolean;
}

/** Changes the link that has this name. */
export function setLink(name: string, change: LinkChange): Request {
  const attributes = settings(change);
  if (change.master !== undefined) attributes.push(attribute(IFLA_MASTER, u32(change.master)));
  if (change.alias !== undefined) attributes.push(attribute(IFLA_IFALIAS, Buffer.from(change.alias)));
  if (change.namespace !== undefined) attributes.push(attribute(IFLA_NET_NS_FD, u32(change.namespace)));
  if (change.withoutLinkLocal) {
    const mode = attribute(IFLA_INET6_ADDR_GEN_MODE, u8(IN6_ADDR_GEN_MODE_NONE));
    attributes.push(nested(IFLA_AF_SPEC, nested(AF_INET6, mode)));
  }
  return {
    type: RTM_NEWLINK,
    operation: "set link",
    subject: name,
    body: Buffer.concat([
      interfaceHeader({ up: change.up }),
      attribute(IFLA_IFNAME, text(name)),
      ...attributes,
    ]),
  };
}

export interface PortFlags {
  /** Exchanges no frames with the other isolated ports of its bridge. */
  isolated: boolean;
  /** Frames may leave through the port they came in by. */
  hairpin: boolean;
}

/** Sets the flags of a bridge's port, given by the index of its link. */
export function setPortFlags(index: number, { isolated, hairpin }: PortFlags): Request {
  return {
    type: RTM_SETLINK,
    operation: "set bridge port",
    subject: `index ${index}`,
    body: Buffer.concat([
      interfaceHeader({ index, family: AF_BRIDGE }),
      nested(
        IFLA_PROTINFO,
        attribute(IFLA_BRPORT_MODE, u8(hairpin ? 1 : 0)),
        attribute(IFLA_BRPORT_ISOLATED, u8(isolated ? 1 : 0)),
      ),
    ]),
  };
}

/** Lets a bridge's port pass frames or not. A port that is gone meanwhile is no error. */
export function setPortState(index: number, state: "disabled" | "forwarding"): Request {
  return {
    type: RTM_SETLINK,
    operation: "set bridge port",
    subject: `index ${index}`,
    forgive: ["ENODEV", "EINVAL", "ENETDOWN"],
    body: Buffer.concat([
      interfaceHeader({ index, family: AF_BRIDGE }),
      nested(IFLA_PROTINFO, attribute(IFLA_BRPORT_STATE, u8(state === "disabled" ? 0 : 3))),
    ]),
  };
}

/** Removes a link; that it is not there is no error. */
export function deleteLink(name: string): Request {
  return {
    type: RTM_DELLINK,
    operation: "delete link",
    subject: name,
    forgive: ["ENODEV"],
    body: Buffer.concat([interfaceHeader({}), attribute(IFLA_IFNAME, text(name))]),
  };
}

export interface LinkCounters {
  rxPackets: number;
  txPackets: number;
  rxBytes: number;
  txBytes: number;
  rxErrors: number;
  txErrors: number;
  rxDropped: number;
  txDropped: number;
}

export interface Link {
  index: number;
  name: string;
  up: boolean;
  /** `bridge`, `veth`; empty for hardware and loopback. */
  kind: string;
  alias: string;
  mtu: number;
  macAddress: string;
  /** Index of the bridge it is a port of; 0: none. */
  master: number;
  /** Index of the other end of a veth pair, in its own namespace; 0: none. */
  peer: number;
  counters: LinkCounters;
}

function linkOf(message: Message): Link {
  const attributes = attributesOf(message.body.subarray(INTERFACE_HEADER));
  const info = attributesOf(attributes.get(IFLA_LINKINFO) ?? Buffer.alloc(0));
  const number = (type: number) => attributes.get(type)?.readUInt32LE(0) ?? 0;
  const stats = attributes.get(IFLA_STATS64);
  const counter = (i: number) => (stats ? Number(stats.readBigUInt64LE(i * 8)) : 0);
  return {
    index: message.body.readInt32LE(4),
    name: textOf(attributes.get(IFLA_IFNAME)),
    up: (message.body.readUInt32LE(8) & IFF_UP) !== 0,
    kind: textOf(info.get(IFLA_INFO_KIND)),
    alias: textOf(attributes.get(IFLA_IFALIAS)),
    mtu: number(IFLA_MTU),
    macAddress:
      attributes
        .get(IFLA_ADDRESS)
        ?.toString("hex")
        .replace(/..(?=.)/g, "$&:") ?? "",
    master: number(IFLA_MASTER),
    peer: number(IFLA_LINK),
    counters: {
      rxPackets: counter(0),
      txPackets: counter(1),
      rxBytes: counter(2),
      txBytes: counter(3),
      rxErrors: counter(4),
      txErrors: counter(5),
      rxDropped: counter(6),
      txDropped: counter(7),
    },
  };
}

/** The link of a name; undefined when there is none. */
export function getLink(netlink: NetlinkSocket, name: string): Link | undefined {
  const message = netlink.get({
    type: RTM_GETLINK,
    operation: "get link",
    subject: name,
    forgive: ["ENODEV"],
    body: Buffer.concat([interfaceHeader({}), attribute(IFLA_IFNAME, text(name))]),
  });
  return message && linkOf(message);
}

export function listLinks(netlink: NetlinkSocket): Link[] {
  const request = { type: RTM_GETLINK, operation: "list", subject: "links", body: interfaceHeader({}) };
  return netlink.dump(request).map(linkOf);
}
