/** `--network` in its short and its long form, with the flags that go with the first network. */
import { InvalidParameter } from "../../lib/errors.ts";
import { splitCsv } from "../args/values.ts";
import { keyValues } from "../filters.ts";

/** An endpoint as `NetworkingConfig.EndpointsConfig` has it. */
export interface EndpointConfig {
  Aliases?: string[];
  Links?: string[];
  MacAddress?: string;
  DriverOpts?: Record<string, string>;
  GwPriority?: number;
  IPAMConfig?: { IPv4Address?: string; IPv6Address?: string; LinkLocalIPs?: string[] };
}

export interface NetworkFlags {
  network: readonly string[];
  aliases: readonly string[];
  links: readonly string[];
  ip?: string;
  ip6?: string;
  linkLocal: readonly string[];
  macAddress?: string;
}

export interface Networks {
  mode: string;
  endpoints: Record<string, EndpointConfig>;
}

/** @throws InvalidParameter */
export function parseNetworks(flags: NetworkFlags): Networks {
  const endpoints: Record<string, EndpointConfig> = {};
  let mode: string | undefined;
  for (const text of flags.network) {
    const { name, config } = parseNetwork(text);
    const isFirst = mode === undefined;
    mode ??= name;
    if (Object.hasOwn(endpoints, name)) {
      throw new InvalidParameter(
        `conflicting options: cannot attach both ${name} and ${name} to the same network`,
      );
    }
    if (flags.network.length > 1 && !isUserDefined(name)) {
      throw new InvalidParameter(
        "conflicting options: cannot attach both user-defined and non-user-defined network-modes",
      );
    }
    endpoints[name] = isFirst ? withFlags(config, flags) : config;
  }
  if (mode === undefined) {
    mode = "default";
    const config = withFlags({}, flags);
    if (Object.keys(config).length > 0) endpoints[mode] = config;
  }
  // A namespace that is not the container's own has no endpoint; what is wished for it is the engine's to refuse.
  if (/^(?:host|none|container:.*)$/.test(mode) && Object.keys(endpoints[mode] ?? {}).length === 0)
    delete endpoints[mode];
  return { mode, endpoints };
}

function isUserDefined(name: string): boolean {
  return !/^(?:default|bridge|host|none|container:.*)$/.test(name);
}

function parseNetwork(text: string): { name: string; config: EndpointConfig } {
  if (!/^[\w-]+=/.test(text)) return { name: text, config: {} };
  let name: string | undefined;
  const config: EndpointConfig = {};
  for (const field of splitCsv(text)) {
    const equals = field.indexOf("=");
    if (equals < 0) throw new InvalidParameter(`invalid field ${field}`);
    const value = field.slice(equals + 1);
    switch (field.slice(0, equals).toLowerCase()) {
      case "name":
        name = value;
        break;
      case "alias":
        config.Aliases = [...(config.Aliases ?? []), value];
        break;
      case "ip":
        config.IPAMConfig = { ...config.IPAMConfig, IPv4Address: value };
        break;
      case "ip6":
        config.IPAMConfig = { ...config.IPAMConfig, IPv6Address: value };
        break;
      case "link-local-ip":
        config.IPAMConfig = {
          ...config.IPAMConfig,
          LinkLocalIPs: [...(config.IPAMConfig?.LinkLocalIPs ?? []), value],
        };
        break;
      case "mac-address":
        config.MacAddress = value;
        break;
      case "driver-opt":
        config.DriverOpts = { ...config.DriverOpts, ...keyValues([value]) };
        break;
      case "gw-priority":
        config.GwPriority = Number(value);
        break;
      default:
        throw new InvalidParameter(`invalid field key ${field.slice(0, equals)}`);
    }
  }
  if (!name) throw new InvalidParameter("network name/id is not specified");
  return { name, config };
}

function withFlags(config: EndpointConfig, flags: NetworkFlags): EndpointConfig {
  const result = { ...config };
  const merge = (flag: string, own: unknown, given: boolean) => {
    if (own !== undefined && given) {
      throw new InvalidParameter(
        `conflicting options: cannot specify both --${flag} and per-network ${flag.replace("network-", "")}`,
      );
    }
    return given;
  };
  if (merge("network-alias", config.Aliases, flags.aliases.length > 0)) result.Aliases = [...flags.aliases];
  if (merge("link", config.Links, flags.links.length > 0)) result.Links = [...flags.links];
  const ipam = { ...config.IPAMConfig };
  if (merge("ip", ipam.IPv4Address, flags.ip !== undefined)) ipam.IPv4Address = flags.ip;
  if (merge("ip6", ipam.IPv6Address, flags.ip6 !== undefined)) ipam.IPv6Address = flags.ip6;
  if (merge("link-local-ip", ipam.LinkLocalIPs, flags.linkLocal.length > 0))
    ipam.LinkLocalIPs = [...flags.linkLocal];
  if (Object.keys(ipam).length > 0) result.IPAMConfig = ipam;
  if (merge("mac-address", config.MacAddress, flags.macAddress !== undefined))
    result.MacAddress = flags.macAddress;
  return result;
}
