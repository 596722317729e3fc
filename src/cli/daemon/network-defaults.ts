/** What the daemon's settings say of networks: the default bridge, pools of subnets, and options of new ones. */
import { isIP } from "node:net";
import type { DefaultBridge, EngineOptions } from "../../engine/types.ts";
import { InvalidParameter } from "../../lib/errors.ts";
import { type Family, parseAddressWithPrefix } from "../../lib/ip.ts";

/** @throws InvalidParameter */
export function defaultBridgeOf(bridge: DefaultBridge): DefaultBridge {
  if (isIP(bridge.hostIp) === 0)
    throw new InvalidParameter(`invalid --ip ${bridge.hostIp}: an IP address is wanted`);
  checkCidr("--fixed-cidr", bridge.fixedCidr, 4);
  checkCidr("--fixed-cidr-v6", bridge.fixedCidr6, 6);
  checkCidr("--bip6", bridge.bip6, 6);
  return bridge;
}

function checkCidr(flag: string, text: string | undefined, family: Family): void {
  if (text === undefined) return;
  try {
    if (parseAddressWithPrefix(text).family === family) return;
  } catch {
    // The same in the words of the setting.
  }
  throw new InvalidParameter(`invalid ${flag} ${text}: an IPv${family} SUBNET/BITS is wanted`);
}

/** Addresses that `host-gateway` stands for, one of a family at most. @throws InvalidParameter */
export function hostGatewaysOf(addresses: readonly string[]): string[] {
  for (const address of addresses)
    if (isIP(address) === 0)
      throw new InvalidParameter(`invalid --host-gateway-ip ${address}: an IP address is wanted`);
  return [4, 6].flatMap((family) => addresses.find((address) => isIP(address) === family) ?? []);
}

/** dockerd's own pools: 172.17.0.0/16 to 172.31.0.0/16, then 192.168.0.0/16 in parts. */
const defaultPools = [
  ...Array.from({ length: 15 }, (_, index) => ({ base: `172.${17 + index}.0.0/16`, size: 16 })),
  { base: "192.168.0.0/16", size: 20 },
];

/** @throws InvalidParameter */
export function poolsOf(
  flags: readonly string[],
  file: EngineOptions["addressPools"] | undefined,
): EngineOptions["addressPools"] {
  const pools = file ?? (flags.length > 0 ? flags.map(parsePool) : defaultPools);
  for (const { base } of pools) parseAddressWithPrefix(base);
  return pools;
}

/** `base=10.5.0.0/16,size=24` */
function parsePool(pool: string): { base: string; size: number } {
  const { base, size, ...others } = Object.fromEntries(
    pool.split(",").map((part) => splitAt(part, "default-address-pool")),
  );
  if (!base || !/^\d+$/.test(size ?? "") || Object.keys(others).length > 0)
    throw new InvalidParameter(`invalid --default-address-pool ${pool}: base=SUBNET,size=BITS is wanted`);
  return { base, size: Number(size) };
}

/** `bridge=com.docker.network.driver.mtu=1400`, by driver. @throws InvalidParameter */
export function networkOptionsOf(flags: readonly string[]): EngineOptions["defaultNetworkOptions"] {
  const options: EngineOptions["defaultNetworkOptions"] = {};
  for (const flag of flags) {
    const [driver, option] = splitAt(flag, "default-network-opt");
    const [name, value] = splitAt(option, "default-network-opt");
    options[driver] = { ...options[driver], [name]: value };
  }
  return options;
}

/** `key=value`, where the value may have more of them. */
function splitAt(text: string, flag: string): [key: string, value: string] {
  const equals = text.indexOf("=");
  if (equals <= 0) throw new InvalidParameter(`invalid --${flag} ${text}: key=value is wanted`);
  return [text.slice(0, equals), text.slice(equals + 1)];
}
