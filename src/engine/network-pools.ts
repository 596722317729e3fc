/** The subnets of a network, one of each family that it carries. */
import { canonicalAddress, type Family, families, familyOf, formatPrefix, parsePrefix } from "../lib/ip.ts";
import {
  type AddressPool,
  allocateAddress,
  claimSubnet,
  findFreeSubnet,
  hostRoutes,
  uniqueLocalPool,
  withPrefixOf,
} from "../net/index.ts";
import type { CreateNetwork, NetworkRecord } from "./types.ts";

export type Pool = NetworkRecord["ipam"]["config"][number];
export type AskedPool = CreateNetwork["ipam"]["config"][number];

export const familiesOf = ({ enableIPv4, enableIPv6 }: Pick<NetworkRecord, "enableIPv4" | "enableIPv6">) =>
  families.filter((family) => (family === 4 ? enableIPv4 : enableIPv6));

/** The network's subnet of a family; missing: it has none. */
export const poolOf = ({ ipam }: Pick<NetworkRecord, "ipam">, family: Family): Pool | undefined =>
  ipam.config.find(({ subnet }) => familyOf(subnet) === family);

/** The bridge's own addresses, with prefix. */
export const gatewaysOf = ({ ipam }: Pick<NetworkRecord, "ipam">): string[] =>
  ipam.config.flatMap(({ subnet, gateway }) => (gateway ? [withPrefixOf(subnet, gateway)] : []));

/** The pools that subnets are cut from: who is told of none with IPv6 has one by the engine's id, as Docker's. */
export function completePools(pools: readonly AddressPool[], engineId: string): readonly AddressPool[] {
  return pools.some(({ base }) => familyOf(base) === 6) ? pools : [...pools, uniqueLocalPool(engineId)];
}

/**
 * The subnet of a family for a new network: the one that is asked for, or a free one.
 * @param asked checked (ipam-check.ts)
 * @param options `taken`: subnets of the other networks; `isolated`: the bridge gets no address
 * @throws InvalidParameter when there is no free one, Forbidden when it is another network's
 */
export function claimPool(
  family: Family,
  asked: AskedPool | undefined,
  {
    pools,
    taken,
    isolated = false,
  }: { pools: readonly AddressPool[]; taken: readonly string[]; isolated?: boolean },
): Pool {
  const subnet =
    asked?.subnet === undefined
      ? findFreeSubnet(pools, [...taken, ...hostRoutes()], family)
      : claimSubnet(asked.subnet, taken);
  const gateway = isolated
    ? undefined
    : asked?.gateway
      ? canonicalAddress(asked.gateway)
      : allocateAddress({ subnet, taken: Object.values(asked?.auxAddresses ?? {}) });
  return {
    subnet,
    ...(asked?.ipRange && { ipRange: formatPrefix(parsePrefix(asked.ipRange)) }),
    ...(gateway !== undefined && { gateway }),
    ...(asked?.auxAddresses && { auxAddresses: asked.auxAddresses }),
    ...(asked?.subnet === undefined && { automatic: true }),
  };
}
