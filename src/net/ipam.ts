/**
 * Address management as pure functions: the caller brings what is taken and keeps what is given. Messages are
 * those of Docker's built-in IPAM driver.
 */
import { Forbidden, InvalidParameter, Unavailable } from "../lib/errors.ts";
import {
  boundsOf,
  containsAddress,
  formatIpv4,
  formatPrefix4,
  overlaps,
  type Prefix4,
  parseIpv4,
  parsePrefix4,
  sizeOfPrefix,
} from "../lib/ip.ts";

/** `--default-address-pool base=…,size=…`: `base` is cut into subnets of prefix length `size`. */
export interface AddressPool {
  base: string;
  size: number;
}

/** Docker's own pools. */
export const defaultAddressPools: readonly AddressPool[] = [
  { base: "172.17.0.0/16", size: 16 },
  { base: "172.18.0.0/16", size: 16 },
  { base: "172.19.0.0/16", size: 16 },
  { base: "172.20.0.0/14", size: 16 },
  { base: "172.24.0.0/14", size: 16 },
  { base: "172.28.0.0/14", size: 16 },
  { base: "192.168.0.0/16", size: 20 },
];

/**
 * The first subnet of the pools that overlaps none of `taken` (networks and host routes, as CIDR).
 * @throws InvalidParameter when a pool makes no sense, or when none is left
 */
export function findFreeSubnet(pools: readonly AddressPool[], taken: Iterable<string>): string {
  const used = [...taken].map(parsePrefix4);
  for (const { base, size } of pools) {
    const pool = parsePrefix4(base);
    if (!Number.isInteger(size) || size < pool.length || size > 32)
      throw new InvalidParameter(`invalid address pool: base ${base} can not be split into /${size} subnets`);
    const { first, last } = boundsOf(pool);
    let network = first;
    while (network <= last) {
      const candidate: Prefix4 = { network, length: size };
      const obstacle = used.find((prefix) => overlaps(prefix, candidate));
      if (!obstacle) return formatPrefix4(candidate);
      // Whichever is the larger of the two is behind us; so a pool of millions of subnets is no long walk.
      network = Math.max(boundsOf(candidate).last, boundsOf(obstacle).last) + 1;
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
  const wanted = parsePrefix4(subnet);
  if ([...networks].some((network) => overlaps(parsePrefix4(network), wanted)))
    throw new Forbidden("invalid pool request: Pool overlaps with other one on this address space");
  return formatPrefix4(wanted);
}

export interface AddressRequest {
  subnet: string;
  /** Part of the subnet that addresses are picked from; a requested one may be outside. */
  ipRange?: string;
  /** Given addresses, those of the gateway and auxiliary ones among them. */
  taken: Iterable<string>;
  /** This one and no other. */
  requested?: string;
}

/**
 * Gives the requested address, or the lowest free one. Network and broadcast address of the subnet are never given.
 * @returns the address without prefix
 * @throws InvalidParameter "Requested address is out of range"; Forbidden "Address already in use"; Unavailable
 * "no available addresses on this pool"
 */
export function allocateAddress({ subnet, ipRange, taken, requested }: AddressRequest): string {
  const prefix = parsePrefix4(subnet);
  const used = new Set<number>();
  for (const address of taken) used.add(parseIpv4(address));
  const { first, last } = usableBounds(prefix);
  if (requested !== undefined) {
    const address = parseIpv4(requested);
    if (!containsAddress(prefix, address) || address < first || address > last)
      throw new InvalidParameter("Requested address is out of range");
    if (used.has(address)) throw new Forbidden("Address already in use");
    return formatIpv4(address);
  }
  const range = boundsOf(ipRange === undefined ? prefix : checkedRange(prefix, ipRange));
  for (let address = Math.max(first, range.first); address <= Math.min(last, range.last); address++)
    if (!used.has(address)) return formatIpv4(address);
  throw new Unavailable("no available addresses on this pool");
}

/** Subnets of two addresses or one have no network and no broadcast address (RFC 3021). */
function usableBounds(prefix: Prefix4): { first: number; last: number } {
  const { first, last } = boundsOf(prefix);
  return sizeOfPrefix(prefix.length) > 2 ? { first: first + 1, last: last - 1 } : { first, last };
}

function checkedRange(subnet: Prefix4, ipRange: string): Prefix4 {
  const range = parsePrefix4(ipRange);
  if (range.length < subnet.length || !containsAddress(subnet, range.network))
    throw new InvalidParameter(
      `invalid network config:\ninvalid ip-range ${ipRange}: must be contained in subnet ${formatPrefix4(subnet)}`,
    );
  return range;
}

/** An address with its subnet's prefix length: `172.17.0.2/16`. */
export function withPrefixOf(subnet: string, address: string): string {
  return `${address}/${parsePrefix4(subnet).length}`;
}

/** Docker's MAC address of an IPv4 address: `02:42:ac:11:00:02`. */
export function macFromIpv4(address: string): string {
  const octets = formatIpv4(parseIpv4(address)).split(".").map(Number);
  return ["02", "42", ...octets.map((octet) => octet.toString(16).padStart(2, "0"))].join(":");
}
