/** Addresses and routes over rtnetlink(7). */
import { bytesToIp, type Family, ipToBytes, parseAddressWithPrefix } from "../../lib/ip.ts";
import { attribute, attributesOf, u32 } from "./codec.ts";
import type { NetlinkSocket, Request } from "./socket.ts";

const RTM_NEWADDR = 20;
const RTM_DELADDR = 21;
const RTM_GETADDR = 22;
const RTM_NEWROUTE = 24;
const RTM_GETROUTE = 26;
const RTM_DELNEIGH = 29;
const NLM_F_REPLACE = 0x100;
const NLM_F_CREATE = 0x400;

const AF_INET = 2;
const AF_INET6 = 10;
const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
const IFA_BROADCAST = 4;
const IFA_F_NODAD = 2;
const RTA_DST = 1;
const RTA_OIF = 4;
const RTA_GATEWAY = 5;
const RTA_TABLE = 15;
const RT_TABLE_MAIN = 254;
const NDA_DST = 1;
const RTPROT_BOOT = 3;
const RTN_UNICAST = 1;

const ADDRESS_HEADER = 8;
const ROUTE_HEADER = 12;
const NEIGHBOUR_HEADER = 12;

const familyOf = (bytes: Buffer) => (bytes.length === 4 ? AF_INET : AF_INET6);

/** The last address of an IPv4 subnet that has one. */
function broadcastOf(address: Buffer, length: number): Buffer[] {
  if (address.length !== 4 || length > 30) return [];
  const hostBits = 2 ** (32 - length) - 1;
  const broadcast = Buffer.alloc(4);
  broadcast.writeUInt32BE((address.readUInt32BE(0) | hostBits) >>> 0);
  return [attribute(IFA_BROADCAST, broadcast)];
}

function addressRequest(type: number, operation: string, index: number, cidr: string): Request {
  const { address, length } = parseAddressWithPrefix(cidr);
  const bytes = ipToBytes(address);
  const header = Buffer.alloc(ADDRESS_HEADER);
  header.writeUInt8(familyOf(bytes), 0);
  header.writeUInt8(length, 1);
  header.writeUInt8(bytes.length === 16 ? IFA_F_NODAD : 0, 2);
  header.writeUInt32LE(index, 4);
  return {
    type,
    operation,
    subject: `${cidr} of link ${index}`,
    body: Buffer.concat([
      header,
      attribute(IFA_LOCAL, bytes),
      attribute(IFA_ADDRESS, bytes),
      ...broadcastOf(bytes, length),
    ]),
  };
}

/** Gives an address with its prefix (`10.0.0.1/24`) to a link; that it has it already is no error. */
export function addAddress(index: number, cidr: string): Request {
  return {
    ...addressRequest(RTM_NEWADDR, "add address", index, cidr),
    flags: NLM_F_CREATE | NLM_F_REPLACE,
  };
}

export function deleteAddress(index: number, cidr: string): Request {
  return { ...addressRequest(RTM_DELADDR, "delete address", index, cidr), forgive: ["EADDRNOTAVAIL"] };
}

/** Sends what no other route matches to `gateway`; an earlier default route of the same metric is replaced. */
export function setDefaultRoute(index: number, gateway: string): Request {
  const bytes = ipToBytes(gateway);
  const header = Buffer.alloc(ROUTE_HEADER);
  header.writeUInt8(familyOf(bytes), 0);
  header.writeUInt8(RT_TABLE_MAIN, 4);
  header.writeUInt8(RTPROT_BOOT, 5);
  header.writeUInt8(RTN_UNICAST, 7);
  return {
    type: RTM_NEWROUTE,
    flags: NLM_F_CREATE | NLM_F_REPLACE,
    operation: "add default route",
    subject: `via ${gateway}`,
    body: Buffer.concat([header, attribute(RTA_GATEWAY, bytes), attribute(RTA_OIF, u32(index))]),
  };
}

/** Forgets which MAC address an address on a link has; that none is known is no error. */
export function forgetNeighbour(index: number, address: string): Request {
  const bytes = ipToBytes(address);
  const header = Buffer.alloc(NEIGHBOUR_HEADER);
  header.writeUInt8(familyOf(bytes), 0);
  header.writeInt32LE(index, 4);
  return {
    type: RTM_DELNEIGH,
    operation: "forget neighbour",
    subject: `${address} on link ${index}`,
    forgive: ["ENOENT"],
    body: Buffer.concat([header, attribute(NDA_DST, bytes)]),
  };
}

export interface LinkAddress {
  index: number;
  /** With prefix. */
  cidr: string;
  family: Family;
}

export function listAddresses(netlink: NetlinkSocket): LinkAddress[] {
  const body = Buffer.alloc(ADDRESS_HEADER);
  return netlink
    .dump({ type: RTM_GETADDR, operation: "list", subject: "addresses", body })
    .flatMap((message) => {
      const attributes = attributesOf(message.body.subarray(ADDRESS_HEADER));
      const bytes = attributes.get(IFA_LOCAL) ?? attributes.get(IFA_ADDRESS);
      if (!bytes) return [];
      return {
        index: message.body.readUInt32LE(4),
        cidr: `${bytesToIp(bytes)}/${message.body.readUInt8(1)}`,
        family: message.body.readUInt8(0) === AF_INET6 ? 6 : 4,
      };
    });
}

/** Destinations of the main table's routes of a family (`10.0.0.0/8`), the default route left out. */
export function listRoutes(netlink: NetlinkSocket, family: Family): { destination: string; link: number }[] {
  const body = Buffer.alloc(ROUTE_HEADER);
  body.writeUInt8(family === 4 ? AF_INET : AF_INET6, 0);
  return netlink
    .dump({ type: RTM_GETROUTE, operation: "list", subject: "routes", body })
    .flatMap((message) => {
      const attributes = attributesOf(message.body.subarray(ROUTE_HEADER));
      const destination = attributes.get(RTA_DST);
      const table = attributes.get(RTA_TABLE)?.readUInt32LE(0) ?? message.body.readUInt8(4);
      if (!destination || table !== RT_TABLE_MAIN) return [];
      return {
        destination: `${bytesToIp(destination)}/${message.body.readUInt8(1)}`,
        link: attributes.get(RTA_OIF)?.readUInt32LE(0) ?? 0,
      };
    });
}
