/** What a network may ask of its subnets. Words: moby, api/types/network/ipam.go and drivers/bridge. */
import { Forbidden, InvalidParameter } from "../lib/errors.ts";
import {
  contains,
  type Family,
  formatPrefix,
  networkOf,
  overlaps,
  type Prefix,
  parseAddress,
  parseAddressWithPrefix,
  parsePrefix,
} from "../lib/ip.ts";
import type { AskedPool } from "./network-pools.ts";

/**
 * @param enabled families of the network; pools of the other one aren't looked at
 * @throws InvalidParameter that names all that is wrong; Forbidden for several subnets of a family
 */
export function checkPools(pools: readonly AskedPool[], enabled: readonly Family[]): void {
  const errors = pools.flatMap((pool) => errorsOf(pool, enabled));
  if (errors.length > 0) {
    const all = errors.length === 1 ? errors[0] : errors.map((error) => `* ${error}`).join("\n");
    throw new InvalidParameter(`invalid network config:\n${all}`);
  }
  const subnets = pools.flatMap(({ subnet }) => (subnet === undefined ? [] : [parsePrefix(subnet)]));
  for (const family of enabled)
    if (subnets.filter((subnet) => subnet.family === family).length > 1)
      throw new Forbidden("bridge driver doesn't support multiple subnets");
  if (enabled.includes(6)) for (const subnet of subnets) checkIpv6Subnet(subnet);
}

function errorsOf(
  { subnet: text = "", ipRange, gateway, auxAddresses }: AskedPool,
  enabled: readonly Family[],
): string[] {
  const subnet = readPrefix(text);
  if (!subnet) return [`invalid subnet ${text}: invalid CIDR block notation`];
  if (subnet.family === 6 && !enabled.includes(6)) return [];
  const errors = isMasked(text) ? [] : [`invalid subnet ${text}: it should be ${formatPrefix(subnet)}`];
  if (ipRange)
    errors.push(...rangeErrors(ipRange, subnet).map((why) => `invalid ip-range ${ipRange}: ${why}`));
  if (gateway)
    errors.push(...addressErrors(gateway, subnet).map((why) => `invalid gateway ${gateway}: ${why}`));
  for (const [name, address] of Object.entries(auxAddresses ?? {}))
    errors.push(...addressErrors(address, subnet).map((why) => `invalid auxiliary address ${name}: ${why}`));
  return errors;
}

function rangeErrors(text: string, subnet: Prefix): string[] {
  const range = readPrefix(text);
  if (!range) return ["invalid CIDR block notation"];
  if (range.family !== subnet.family) return [`parent subnet is an IPv${subnet.family} block`];
  const errors: string[] = [];
  if (range.length < subnet.length)
    errors.push(`CIDR block is bigger than its parent subnet ${formatPrefix(subnet)}`);
  if (!isMasked(text)) errors.push(`it should be ${formatPrefix(range)}`);
  if (!overlaps(range, subnet)) errors.push(`parent subnet ${formatPrefix(subnet)} doesn't contain ip-range`);
  return errors;
}

function addressErrors(text: string, subnet: Prefix): string[] {
  let address: ReturnType<typeof parseAddress>;
  try {
    address = parseAddress(text);
  } catch {
    return ["invalid address"];
  }
  if (address.family !== subnet.family) return [`parent subnet is an IPv${subnet.family} block`];
  if (contains(subnet, address)) return [];
  return [`parent subnet ${formatPrefix(subnet)} doesn't contain this address`];
}

function readPrefix(text: string): Prefix | undefined {
  try {
    return parsePrefix(text);
  } catch {
    return undefined;
  }
}

/** Whether a prefix has no host bits. */
function isMasked(text: string): boolean {
  return parseAddress(parseAddressWithPrefix(text).address).value === parsePrefix(text).network;
}

const multicast = parsePrefix("ff00::/8");
const linkLocal = parsePrefix("fe80::/64");

/** @throws InvalidParameter for a subnet that no bridge can have */
function checkIpv6Subnet(subnet: Prefix): void {
  const text = formatPrefix(subnet);
  if (contains(multicast, networkOf(subnet)))
    throw new InvalidParameter(`multicast subnet '${text}' is not allowed`);
  if (overlaps(linkLocal, subnet) && text !== formatPrefix(linkLocal))
    throw new InvalidParameter(`'${text}' clashes with the Link-Local prefix 'fe80::/64'`);
}
