/**
 * IP addresses and prefixes of both families as values: a number for arithmetic, bytes in network order where the
 * kernel is, and text in the forms of RFC 4632 and RFC 5952.
 */
import { isIP } from "node:net";
import ipaddr from "ipaddr.js";
import { InvalidParameter } from "./errors.ts";

export type Family = 4 | 6;
export const families: readonly Family[] = [4, 6];

export interface Address {
  family: Family;
  /** Its bits, the first one the highest. */
  value: bigint;
}

/** A prefix in canonical form: `network` has no host bits. */
export interface Prefix {
  family: Family;
  network: bigint;
  /** 0..32 or 0..128. */
  length: number;
}

/** Bits of an address. */
export const widthOf = (family: Family) => (family === 4 ? 32 : 128);

/** Of an address that is known to be one, with or without a prefix length. */
export const familyOf = (address: string): Family => (address.includes(":") ? 6 : 4);

/** @throws InvalidParameter when the text is no address; scope ids (`%eth0`) are dropped */
export function parseAddress(text: string): Address {
  const bytes = ipToBytes(text);
  return { family: bytes.length === 4 ? 4 : 6, value: BigInt(`0x${bytes.toString("hex")}`) };
}

export function formatAddress({ family, value }: Address): string {
  const digits = value.toString(16).padStart(widthOf(family) / 4, "0");
  return bytesToIp(Buffer.from(digits, "hex"));
}

/** The text in canonical form. @throws InvalidParameter */
export const canonicalAddress = (text: string) => formatAddress(parseAddress(text));

/** The address and its prefix length: `172.17.0.1/16`. @throws InvalidParameter */
export function parseAddressWithPrefix(text: string): { address: string; length: number; family: Family } {
  const slash = text.lastIndexOf("/");
  const address = slash < 0 ? text : text.slice(0, slash);
  const digits = text.slice(slash + 1);
  const family = isIP(address);
  const length = Number(digits);
  if (slash < 0 || (family !== 4 && family !== 6) || !/^\d{1,3}$/.test(digits) || length > widthOf(family))
    throw new InvalidParameter(`invalid CIDR address: ${text}`);
  return { address, length, family };
}

/** The prefix an address stands in; host bits are cleared. @throws InvalidParameter */
export function parsePrefix(text: string): Prefix {
  const { address, length } = parseAddressWithPrefix(text);
  return prefixOf(parseAddress(address), length);
}

export function formatPrefix({ family, network, length }: Prefix): string {
  return `${formatAddress({ family, value: network })}/${length}`;
}

/** Number of addresses in a prefix. */
export const sizeOf = ({ family, length }: Pick<Prefix, "family" | "length">) =>
  1n << BigInt(widthOf(family) - length);

/** The prefix of `length` that holds an address. */
export function prefixOf({ family, value }: Address, length: number): Prefix {
  return { family, network: value - (value % sizeOf({ family, length })), length };
}

/** First and last address. */
export function boundsOf(prefix: Prefix): { first: bigint; last: bigint } {
  return { first: prefix.network, last: prefix.network + sizeOf(prefix) - 1n };
}

/** Whether they have addresses in common: one holds the other. Those of different families never have. */
export function overlaps(a: Prefix, b: Prefix): boolean {
  return a.length <= b.length ? contains(a, networkOf(b)) : contains(b, networkOf(a));
}

/** The first address of a prefix. */
export const networkOf = ({ family, network }: Prefix): Address => ({ family, value: network });

export function contains(prefix: Prefix, address: Address): boolean {
  return prefix.family === address.family && prefixOf(address, prefix.length).network === prefix.network;
}

/** 4 or 16 bytes in network order. Scope ids (`%eth0`) are dropped. @throws InvalidParameter */
export function ipToBytes(text: string): Buffer {
  const plain = text.replace(/%.*$/, "");
  // The library also takes forms of inet_aton(3), such as `10.1`.
  if (isIP(plain) === 0) throw new InvalidParameter(`invalid IP address: ${text}`);
  return Buffer.from(ipaddr.parse(plain).toByteArray());
}

/** Text of 4 or 16 bytes; IPv6 in the form of RFC 5952. */
export function bytesToIp(bytes: Uint8Array): string {
  const address = ipaddr.fromByteArray([...bytes]);
  return address instanceof ipaddr.IPv6 ? address.toRFC5952String() : address.toString();
}
