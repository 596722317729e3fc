/**
 * Address management as pure functions, the same for both families: the caller brings what is taken and keeps what
 * is given. Messages are those of Docker's built-in IPAM driver.
 */
import { createHash, randomBytes } from "node:crypto";
import { Forbidden, InvalidParameter, Unavailable } from "../lib/errors.ts";
import {
  boundsOf,
  contains,
  type Family,
  formatAddress,
  formatPrefix,
  ipToBytes,
  overlaps,
  type Prefix,
  parseAddress,
  parsePrefix,
  prefixOf,
  sizeOf,
  widthOf,
} from "../lib/ip.ts";

/** `--default-address-pool base=…,size=…`: `base` is cut into subnets of prefix length `size`. */
export interface AddressPool {
  base: string;
  size: number;
}

/**
 * The pool of IPv6 subnets of an engine that is told of none: a unique local prefix (RFC 4193, 3.2.2) that stays the
 * same for the same id, and is Docker's for Docker's id.
 */
export function uniqueLocalPool(engineId: string): AddressPool {
  const globalId = createHash("sha256").update(engineId).digest("hex").slice(6, 16);
  const value = BigInt(`0xfd${globalId}${"0".repeat(20)}`);
  return { base: `${formatAddress({ family: 6, value })}/48`, size: 64 };
}

/**
 * The first subnet of the pools of a family that overlaps none of `taken` (networks and host routes, as CIDR).
 * @throws InvalidParameter when a pool makes no sense, or when none is left
 */
export function findFreeSubnet(
  pools: readonly AddressPool[],
  taken: Iterable<string>,
  family: Family = 4,
): string {
  const used = [...taken].map(parsePrefix);
  for (const { base, size } of pools) {
    const pool = parsePrefix(base);
    if (!Number.isInteger(size) || size < pool.length || size > widthOf(pool.family))
      throw new InvalidParameter(`invalid address pool: base ${base} can not be split into /${size} subnets`);
    if (pool.family !== family) continue;
    const { first, last } = boundsOf(pool);
    let value = first;
    while (value <= last) {
      const candidate = prefixOf({ family, value }, size);
      const obstacle = used.find((prefix) => overlaps(prefix, candidate));
      if (!obstacle) return formatPrefix(candidate);
      // Whichever is the larger of the two is behind us; so a pool of millions of subnets is no long walk.
      value = boundsOf(obstacle.length < size ? obstacle : candidate).last + 1n;
    }
  }
  throw new InvalidParameter("all predefined address pools have been fully subnetted");
}

/**
 * A subnet that somebody asked for, in canonical form.
 * @param networks subnets of the other networks; host routes do not matter for a subnet given by hand
 * @throws InvalidParameter when it is no CIDR, Forbidden when it overlaps another network
 */
export function claimSubnet(subnet: string, networks: Iterable<string>): string {
  const wanted = parsePrefix(subnet);
  if ([...networks].some((network) => overlaps(parsePrefix(network), wanted)))
    throw new Forbidden("invalid pool request: Pool overlaps with other one on this address space");
  return formatPrefix(wanted);
}

export interface AddressRequest {
  subnet: string;
  /** Part of the subnet that addresses are picked from; a requested one may be outside. */
  ipRange?: string;
  /** Given addresses, those of the gateway and auxiliary ones among them; of the other family they don't matter. */
  taken: Iterable<string>;
  /** This one and no other. */
  requested?: string;
}

/**
 * Gives the requested address, or the lowest free one. What stands for the subnet itself is never given: its first
 * address, and the last one of IPv4 subnets.
 * @returns the address without prefix
 * @throws InvalidParameter "Requested address is out of range"; Forbidden "Address already in use"; Unavailable
 * "no available addresses on this pool"
 */
export function allocateAddress({ subnet, ipRange, taken, requested }: AddressRequest): string {
  const prefix = parsePrefix(subnet);
  const { family } = prefix;
  const used = new Set<bigint>();
  for (const text of taken) {
    const address = parseAddress(text);
    if (address.family === family) used.add(address.value);
  }
  const { first, last } = usableBounds(prefix);
  if (requested !== undefined) {
    const address = parseAddress(requested);
    if (!contains(prefix, address) || address.value < first || address.value > last)
      throw new InvalidParameter("Requested address is out of range");
    if (used.has(address.value)) throw new Forbidden("Address already in use");
    return formatAddress(address);
  }
  const range = ipRange === undefined ? { first, last } : boundsOf(parsePrefix(ipRange));
  let value = range.first;
  if (value < first) value = first;
  for (; value <= range.last && value <= last; value++)
    if (!used.has(value)) return formatAddress({ family, value });
  throw new Unavailable("no available addresses on this pool");
}

/** In subnets of two addresses or one, each is a host's (RFC 3021, RFC 6164). */
function usableBounds(prefix: Prefix): { first: bigint; last: bigint } {
  const { first, last } = boundsOf(prefix);
  if (sizeOf(prefix) <= 2n) return { first, last };
  return { first: first + 1n, last: prefix.family === 4 ? last - 1n : last };
}

/** Prefix length of a subnet. @throws InvalidParameter */
export const lengthOf = (subnet: string): number => parsePrefix(subnet).length;

/** An address with its subnet's prefix length: `172.17.0.2/16`. */
export const withPrefixOf = (subnet: string, address: string) => `${address}/${lengthOf(subnet)}`;

/** Docker's MAC address of an IPv4 address, `02:42:ac:11:00:02`; without one, a random one of the same form. */
export function macFor(ipv4?: string): string {
  const bytes = ipv4 ? ipToBytes(ipv4) : randomBytes(4);
  return `0242${bytes.toString("hex")}`.replace(/..(?=.)/g, "$&:");
}
