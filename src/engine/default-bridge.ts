/** The network `bridge`, as the daemon's settings make it. */
import { type Family, families, formatPrefix, parsePrefix } from "../lib/ip.ts";
import type { AddressPool } from "../net/index.ts";
import { optionNames } from "./bridge-options.ts";
import { checkPools } from "./ipam-check.ts";
import { type AskedPool, claimPool, type Pool, poolOf } from "./network-pools.ts";
import type { EngineOptions, NetworkRecord } from "./types.ts";

export type BridgeSettings = Pick<EngineOptions, "bip" | "bridge" | "defaultBridge">;

/**
 * @param old the one of an earlier daemon: its chosen subnets stay
 * @param pools that subnets are chosen from
 * @param taken subnets of the other networks
 * @throws InvalidParameter, Forbidden for subnets that can't be
 */
export function defaultBridge(
  options: BridgeSettings,
  old: NetworkRecord | undefined,
  pools: readonly AddressPool[],
  taken: readonly string[],
): Pick<NetworkRecord, "driver" | "bridge" | "enableIPv6" | "ipam" | "options"> {
  const { icc, masquerade, mtu, hostIp, ipv6 } = options.defaultBridge;
  const config = families
    .filter((family) => family === 4 || ipv6)
    .map((family): Pool => {
      const asked = askedPool(options, family);
      const kept = asked?.subnet === undefined ? old && poolOf(old, family) : undefined;
      // What somebody chose is theirs to keep apart.
      if (!kept) return claimPool(family, asked, { pools, taken: asked?.subnet === undefined ? taken : [] });
      const { ipRange: _, ...rest } = kept;
      return { ...rest, ...(asked?.ipRange && { ipRange: asked.ipRange }) };
    });
  checkPools(config, families);
  return {
    driver: "bridge",
    bridge: options.bridge,
    enableIPv6: ipv6,
    ipam: { driver: "default", options: {}, config },
    options: {
      [optionNames.default]: "true",
      [optionNames.icc]: String(icc),
      [optionNames.masquerade]: String(masquerade),
      [optionNames.hostIp]: hostIp,
      [optionNames.name]: options.bridge,
      [optionNames.mtu]: String(mtu),
    },
  };
}

/** What the settings say of a family's subnet: `bip` is the bridge's address in it, `fixed-cidr` its containers' part. */
function askedPool({ bip, defaultBridge }: BridgeSettings, family: Family): AskedPool | undefined {
  const address = family === 4 ? bip : defaultBridge.bip6;
  const part = family === 4 ? defaultBridge.fixedCidr : defaultBridge.fixedCidr6;
  const ipRange = part && formatPrefix(parsePrefix(part));
  if (address) return { subnet: address, gateway: address.split("/")[0], ipRange };
  if (!ipRange) return undefined;
  // With nothing else said, the part of IPv6 is all of it.
  return family === 6 ? { subnet: ipRange } : { ipRange };
}
