/** What a container may ask of its place in a network. Words: moby, api/types/network/endpoint.go. */
import { isIP } from "node:net";
import { InvalidParameter } from "../lib/errors.ts";
import { contains, type Family, familyOf, parseAddress, parsePrefix } from "../lib/ip.ts";
import type { EndpointConfig } from "./config.ts";
import { poolOf } from "./network-pools.ts";
import type { NetworkRecord } from "./types.ts";

/** @throws InvalidParameter that names all that is wrong */
export function checkEndpoint(network: NetworkRecord, config: EndpointConfig): void {
  const { IPv4Address = "", IPv6Address = "", LinkLocalIPs } = config.IPAMConfig ?? {};
  const errors: string[] = [];
  if (["bridge", "host", "none"].includes(network.name)) {
    if (IPv4Address || IPv6Address)
      errors.push("user specified IP address is supported on user defined networks only");
    if (network.name === "bridge" && config.Aliases?.length)
      errors.push("network-scoped aliases are only supported for user-defined networks");
  }
  const bad = (address: string, family: Family) => address !== "" && isIP(address) !== family;
  if (bad(IPv4Address, 4) || IPv4Address === "0.0.0.0") errors.push(`invalid IPv4 address: ${IPv4Address}`);
  if (bad(IPv6Address, 6) || IPv6Address === "::") errors.push(`invalid IPv6 address: ${IPv6Address}`);
  for (const address of LinkLocalIPs ?? [])
    if (isIP(address) === 0) errors.push(`invalid link-local IP address: ${address}`);
  if (config.MacAddress && !/^([0-9a-f]{2}[:-]){5}[0-9a-f]{2}$/i.test(config.MacAddress))
    errors.push(`invalid MAC address ${config.MacAddress}`);
  errors.push(...sysctlErrors(config));
  if (errors.length === 0 && network.driver === "bridge" && !network.configOnly)
    for (const address of [IPv4Address, IPv6Address]) if (address) errors.push(...outside(network, address));
  if (errors.length === 0) return;
  const all = errors.length === 1 ? errors[0] : errors.map((error) => `* ${error}`).join("\n");
  throw new InvalidParameter(`invalid endpoint settings:\n${all}`);
}

const onlyConfigured =
  "user specified IP address is supported only when connecting to networks with user configured subnets";

function outside(network: NetworkRecord, address: string): string[] {
  const pool = poolOf(network, familyOf(address));
  if (!pool || pool.automatic) return [onlyConfigured];
  if (contains(parsePrefix(pool.subnet), parseAddress(address))) return [];
  return [`no configured subnet or ip-range contain the IP address ${address}`];
}

const sysctlOption = "com.docker.network.endpoint.sysctls";
const sysctl = /^net\.([a-z0-9]+)\.(conf|neigh)\.IFNAME\.([a-z0-9_]+)=(.*)$/;

/** The entries of the option, `net.ipv4.conf.IFNAME.log_martians=1,…`. */
const sysctlEntries = ({ DriverOpts }: EndpointConfig) =>
  (DriverOpts?.[sysctlOption] || undefined)?.split(",") ?? [];

function sysctlErrors(config: EndpointConfig): string[] {
  return sysctlEntries(config)
    .filter((entry) => !sysctl.test(entry))
    .map(
      (entry) =>
        `unrecognised network interface sysctl '${entry}'; represent 'net.X.Y.ethN.Z=V' as 'net.X.Y.IFNAME.Z=V'`,
    );
}

/** Sysctls of an endpoint's interface, as paths below /proc/sys with their values. */
export function interfaceSysctls(config: EndpointConfig, interfaceName: string): [string, string][] {
  return sysctlEntries(config).flatMap((entry) => {
    const [, protocol, kind, name, value] = sysctl.exec(entry) ?? [];
    return name === undefined ? [] : [[`net/${protocol}/${kind}/${interfaceName}/${name}`, value!]];
  });
}
