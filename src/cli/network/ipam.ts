/** `--subnet`, `--ip-range`, `--gateway` and `--aux-address` belong together by the subnet that holds them. */
import { InvalidParameter } from "../../lib/errors.ts";
import { contains as holds, parseAddress, parsePrefix } from "../../lib/ip.ts";

export interface IpamConfig {
  Subnet: string;
  IPRange?: string;
  Gateway?: string;
  AuxiliaryAddresses?: Record<string, string>;
}

export interface IpamFlags {
  subnets: readonly string[];
  ranges: readonly string[];
  gateways: readonly string[];
  reserved: Record<string, string>;
}

/** @throws InvalidParameter */
export function ipamConfig({ subnets, ranges, gateways, reserved }: IpamFlags): IpamConfig[] {
  if (subnets.length < ranges.length || subnets.length < gateways.length) {
    throw new InvalidParameter("every ip-range or gateway must have a corresponding subnet");
  }
  const configs: IpamConfig[] = subnets.map((Subnet) => ({ Subnet }));
  const owner = (address: string, what: string) => {
    const config = configs.find(({ Subnet }) => contains(Subnet, address));
    if (!config) throw new InvalidParameter(`no matching subnet for ${what} ${address}`);
    return config;
  };
  for (const range of ranges) {
    const config = owner(range, "range");
    if (config.IPRange)
      throw new InvalidParameter(
        `cannot configure multiple ranges (${range}, ${config.IPRange}) on the same subnet (${config.Subnet})`,
      );
    config.IPRange = range;
  }
  for (const gateway of gateways) {
    const config = owner(gateway, "gateway");
    if (config.Gateway)
      throw new InvalidParameter(
        `cannot configure multiple gateways (${gateway}, ${config.Gateway}) for the same subnet (${config.Subnet})`,
      );
    config.Gateway = gateway;
  }
  for (const [name, address] of Object.entries(reserved)) {
    const config = owner(address, "aux-address");
    config.AuxiliaryAddresses = { ...config.AuxiliaryAddresses, [name]: address };
  }
  return configs;
}

/** Whether a CIDR holds an address or the network of another CIDR. @throws InvalidParameter */
function contains(subnet: string, address: string): boolean {
  const outer = attempt(() => parsePrefix(subnet), `invalid subnet: ${subnet}`);
  const inner = attempt(() => parseAddress(address.split("/")[0]!), `invalid address: ${address}`);
  return holds(outer, inner);
}

function attempt<T>(work: () => T, otherwise: string): T {
  try {
    return work();
  } catch (error) {
    throw new InvalidParameter(otherwise, { cause: error });
  }
}
