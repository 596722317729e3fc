/** `--subnet`, `--ip-range`, `--gateway` and `--aux-address` belong together by the subnet that holds them. */
import { InvalidParameter } from "../../lib/errors.ts";

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
  const [network = "", length] = subnet.split("/");
  const outer = bits(network);
  const inner = bits(address.split("/")[0]!);
  if (outer === undefined || length === undefined) throw new InvalidParameter(`invalid subnet: ${subnet}`);
  if (inner === undefined) throw new InvalidParameter(`invalid address: ${address}`);
  return inner.length === outer.length && inner.startsWith(outer.slice(0, Number(length)));
}

/** An address as a string of bits; undefined when it is none. */
function bits(address: string): string | undefined {
  if (/^\d{1,3}(?:\.\d{1,3}){3}$/.test(address)) {
    return address
      .split(".")
      .map((octet) => Number(octet).toString(2).padStart(8, "0"))
      .join("");
  }
  if (!address.includes(":")) return undefined;
  const [head = "", tail] = address.split("::");
  const groups = (text: string) => (text === "" ? [] : text.split(":"));
  const left = groups(head);
  const right = tail === undefined ? [] : groups(tail);
  const zeros = Array<string>(Math.max(0, 8 - left.length - right.length)).fill("0");
  const all = tail === undefined ? left : [...left, ...zeros, ...right];
  if (all.length !== 8) return undefined;
  return all.map((group) => Number.parseInt(group, 16).toString(2).padStart(16, "0")).join("");
}
