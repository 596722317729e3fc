/** What a container may ask of its place in a network. Words: moby, api/types/network/endpoint.go. */
import { isIP } from "node:net";
import { InvalidParameter } from "../lib/errors.ts";
import { containsAddress, parseIpv4, parsePrefix4 } from "../lib/ip.ts";
import type { EndpointConfig } from "./config.ts";
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
  const bad = (address: string, family: 4 | 6) => address !== "" && isIP(address) !== family;
  if (bad(IPv4Address, 4) || IPv4Address === "0.0.0.0") errors.push(`invalid IPv4 address: ${IPv4Address}`);
  if (bad(IPv6Address, 6) || IPv6Address === "::") errors.push(`invalid IPv6 address: ${IPv6Address}`);
  for (const address of LinkLocalIPs ?? [])
    if (isIP(address) === 0) errors.push(`invalid link-local IP address: ${address}`);
  if (config.MacAddress && !/^([0-9a-f]{2}[:-]){5}[0-9a-f]{2}$/i.test(config.MacAddress))
    errors.push(`invalid MAC address ${config.MacAddress}`);
  if (errors.length === 0 && network.driver === "bridge" && !network.configOnly) {
    if (IPv4Address) errors.push(...outside(network, IPv4Address));
    // There are no subnets of IPv6.
    if (IPv6Address) errors.push(onlyConfigured);
  }
  if (errors.length === 0) return;
  const all = errors.length === 1 ? errors[0] : errors.map((error) => `* ${error}`).join("\n");
  throw new InvalidParameter(`invalid endpoint settings:\n${all}`);
}

const onlyConfigured =
  "user specified IP address is supported only when connecting to networks with user configured subnets";

function outside({ ipam }: NetworkRecord, address: string): string[] {
  if (ipam.automatic) return [onlyConfigured];
  const number = parseIpv4(address);
  if (ipam.config.some(({ subnet }) => containsAddress(parsePrefix4(subnet), number))) return [];
  return [`no configured subnet or ip-range contain the IP address ${address}`];
}
