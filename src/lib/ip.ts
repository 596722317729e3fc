/**
 * IP addresses and prefixes as values. IPv4 is kept as an unsigned 32-bit number where arithmetic is wanted,
 * and both families as bytes in network order where the kernel is.
 */
import { isIPv4, isIPv6 } from "node:net";
import { InvalidParameter } from "./errors.ts";

/** An IPv4 prefix in canonical form: `network` has no host bits. */
export interface Prefix4 {
  network: number;
  /** 0..32. */
  length: number;
}

/** @throws InvalidParameter when the text is no dotted quad */
export function parseIpv4(text: string): number {
  if (!isIPv4(text)) throw new InvalidParameter(`invalid IPv4 address: ${text}`);
  return text.split(".").reduce((value, octet) => value * 256 + Number(octet), 0);
}

export function formatIpv4(value: number): string {
  return [value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255].join(".");
}

/** Number of addresses in a prefix of this length. */
export function sizeOfPrefix(length: number): number {
  return 2 ** (32 - length);
}

/** First and last address. */
export function boundsOf(prefix: Prefix4): { first: number; last: number } {
  return { first: prefix.network, last: prefix.network + sizeOfPrefix(prefix.length) - 1 };
}

/** The address and its prefix length: `172.17.0.1/16`. @throws InvalidParameter */
export function parseAddressWithPrefix(text: string): { address: string; length: number; family: 4 | 6 } {
  const slash = text.lastIndexOf("/");
  const address = slash < 0 ? text : text.slice(0, slash);
  const digits = text.slice(slash + 1);
  const family = isIPv4(address) ? 4 : isIPv6(address) ? 6 : undefined;
  const length = Number(digits);
  if (slash < 0 || family === undefined || !/^\d{1,3}$/.test(digits) || length > (family === 4 ? 32 : 128))
    throw new InvalidParameter(`invalid CIDR address: ${text}`);
  return { address, length, family };
}

/** The prefix an address stands in; host bits are cleared. @throws InvalidParameter for anything but IPv4 CIDR */
export function parsePrefix4(text: string): Prefix4 {
  const { address, length, family } = parseAddressWithPrefix(text);
  if (family !== 4) throw new InvalidParameter(`not an IPv4 CIDR: ${text}`);
  return prefixOf(parseIpv4(address), length);
}

/** The prefix of `length` that holds an address. */
export function prefixOf(address: number, length: number): Prefix4 {
  return { network: address - (address % sizeOfPrefix(length)), length };
}

export function formatPrefix4(prefix: Prefix4): string {
  return `${formatIpv4(prefix.network)}/${prefix.length}`;
}

export function overlaps(a: Prefix4, b: Prefix4): boolean {
  const shorter = Math.min(a.length, b.length);
  return prefixOf(a.network, shorter).network === prefixOf(b.network, shorter).network;
}

export function containsAddress(prefix: Prefix4, address: number): boolean {
  return prefixOf(address, prefix.length).network === prefix.network;
}

/** 4 or 16 bytes in network order. Scope ids (`%eth0`) are dropped. @throws InvalidParameter */
export function ipToBytes(text: string): Buffer {
  if (isIPv4(text)) return Buffer.from(text.split(".").map(Number));
  if (!isIPv6(text)) throw new InvalidParameter(`invalid IP address: ${text}`);
  let plain = text.replace(/%.*$/, "");
  const dotted = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(plain);
  if (dotted) {
    const value = parseIpv4(dotted[2]!);
    plain = `${dotted[1]}${(value >>> 16).toString(16)}:${(value & 0xffff).toString(16)}`;
  }
  const [head = "", tail] = plain.split("::");
  const groups = (part: string) => (part === "" ? [] : part.split(":"));
  const left = groups(head);
  const right = tail === undefined ? [] : groups(tail);
  const zeros = Array<string>(8 - left.length - right.length).fill("0");
  const bytes = Buffer.alloc(16);
  [...left, ...zeros, ...right].forEach((group, i) => {
    bytes.writeUInt16BE(Number.parseInt(group, 16), i * 2);
  });
  return bytes;
}

/** Text of 4 or 16 bytes; IPv6 in the form of RFC 5952. */
export function bytesToIp(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join(".");
  const groups = Array.from({ length: 8 }, (_, i) => ((bytes[i * 2]! << 8) | bytes[i * 2 + 1]!).toString(16));
  // The longest run of two or more zero groups is the one that is left out.
  let start = -1;
  let longest = 1;
  for (let i = 0; i < 8; i++) {
    let end = i;
    while (groups[end] === "0") end++;
    if (end - i > longest) {
      longest = end - i;
      start = i;
    }
    if (end > i) i = end;
  }
  if (start < 0) return groups.join(":");
  return `${groups.slice(0, start).join(":")}::${groups.slice(start + longest).join(":")}`;
}
