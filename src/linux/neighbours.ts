/** Neighbour discovery of IPv6 (RFC 4861) from the host's side of a link. */
import { closeSync } from "node:fs";
import { ipToBytes } from "../lib/ip.ts";
import { check, libc } from "./libc.ts";
import { macBytes } from "./netlink/index.ts";
import { openSocket } from "./sockets.ts";

const { sendto } = libc({
  sendto: { args: ["i32", "ptr", "u64", "i32", "ptr", "u32"], returns: "i64" },
});

const AF_PACKET = 17;
/** The kernel makes the link's header. */
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;
const ETH_P_IPV6 = 0x86dd;
const allNodes = { address: "ff02::1", mac: "33:33:00:00:00:01" };

const ICMPV6 = 58;
const NEIGHBOUR_ADVERTISEMENT = 136;
const OVERRIDE = 0x20000000;
const TARGET_LINK_ADDRESS = 2;
/** What has passed no router; everything else is thrown away. */
const HOP_LIMIT = 255;
const IP_HEADER = 40;
const MESSAGE = 32;

/**
 * Tells all on a link which MAC address has an IPv6 address from now on, so that none goes on with that of an earlier
 * holder. It must not be on the link yet: it would take this for somebody who has its address already.
 * @param link index
 * @throws Errno
 */
export function advertiseNeighbour(link: number, address: string, macAddress: string): void {
  const packet = advertisement(ipToBytes(address), macBytes(macAddress));
  const fd = openSocket({ family: AF_PACKET, type: SOCK_DGRAM | SOCK_CLOEXEC, protocol: 0 });
  try {
    const to = linkAddress(link);
    check(Number(sendto(fd, packet, packet.length, 0, to, to.length)), "sendto", `link ${link}`);
  } finally {
    closeSync(fd);
  }
}

/** An unsolicited neighbour advertisement in its IPv6 packet (RFC 4861, 4.4). */
function advertisement(target: Buffer, mac: Buffer): Buffer {
  const packet = Buffer.alloc(IP_HEADER + MESSAGE);
  packet.writeUInt8(6 << 4, 0);
  packet.writeUInt16BE(MESSAGE, 4);
  packet.writeUInt8(ICMPV6, 6);
  packet.writeUInt8(HOP_LIMIT, 7);
  target.copy(packet, 8);
  ipToBytes(allNodes.address).copy(packet, 24);
  const message = packet.subarray(IP_HEADER);
  message.writeUInt8(NEIGHBOUR_ADVERTISEMENT, 0);
  message.writeUInt32BE(OVERRIDE, 4);
  target.copy(message, 8);
  message.writeUInt8(TARGET_LINK_ADDRESS, 24);
  message.writeUInt8(1, 25);
  mac.copy(message, 26);
  message.writeUInt16BE(checksum(packet.subarray(8, IP_HEADER), message), 2);
  return packet;
}

/** Of an ICMPv6 message with its pseudo-header (RFC 8200, 8.1). @param addresses source and destination */
function checksum(addresses: Buffer, message: Buffer): number {
  let sum = message.length + ICMPV6;
  for (const part of [addresses, message])
    for (let i = 0; i < part.length; i += 2) sum += part.readUInt16BE(i);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

/** struct sockaddr_ll of all nodes on a link. */
function linkAddress(link: number): Buffer {
  const encoded = Buffer.alloc(20);
  encoded.writeUInt16LE(AF_PACKET, 0);
  encoded.writeUInt16BE(ETH_P_IPV6, 2);
  encoded.writeInt32LE(link, 4);
  encoded.writeUInt8(6, 11);
  macBytes(allNodes.mac).copy(encoded, 12);
  return encoded;
}
