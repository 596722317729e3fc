/** The options of a bridge network, `com.docker.network.…`: read and checked. Words: moby, drivers/bridge. */
import { isIP } from "node:net";
import { InvalidParameter } from "../lib/errors.ts";
import type { Family } from "../lib/ip.ts";
import type { GatewayMode } from "../net/types.ts";

const prefix = "com.docker.network";
export const optionNames = {
  name: `${prefix}.bridge.name`,
  default: `${prefix}.bridge.default_bridge`,
  icc: `${prefix}.bridge.enable_icc`,
  masquerade: `${prefix}.bridge.enable_ip_masquerade`,
  /** Where ports are published of which nobody has said where; of either family, its name notwithstanding. */
  hostIp: `${prefix}.bridge.host_binding_ipv4`,
  mtu: `${prefix}.driver.mtu`,
  mode: { 4: `${prefix}.bridge.gateway_mode_ipv4`, 6: `${prefix}.bridge.gateway_mode_ipv6` },
  enabled: { 4: `${prefix}.enable_ipv4`, 6: `${prefix}.enable_ipv6` },
} as const;

export interface BridgeOptions {
  name?: string;
  /** undefined: the kernel's default. */
  mtu?: number;
  icc: boolean;
  masquerade: boolean;
  /** Empty: all addresses of the host. */
  hostIp: string;
  modes: Record<Family, GatewayMode>;
}

const gatewayModes: readonly string[] = [
  "nat",
  "nat-unprotected",
  "routed",
  "isolated",
] satisfies GatewayMode[];

/** @throws InvalidParameter for a value that is none */
export function bridgeOptions(options: Readonly<Record<string, string>>): BridgeOptions {
  const value = (name: string) => options[name] || undefined;
  const refuse = (name: string, why: string): never => {
    throw new InvalidParameter(`failed to parse ${name} value: ${options[name]} (${why})`);
  };
  const flag = (name: string, fallback: boolean) => {
    const text = value(name);
    if (text === undefined) return fallback;
    return (
      parseFlag(text) ?? refuse(name, `strconv.ParseBool: parsing ${JSON.stringify(text)}: invalid syntax`)
    );
  };
  const mode = (family: Family): GatewayMode => {
    const name = optionNames.mode[family];
    const text = value(name) ?? "nat";
    return isGatewayMode(text) ? text : refuse(name, `unknown gateway mode ${text}`);
  };
  const hostIp = value(optionNames.hostIp) ?? "0.0.0.0";
  if (isIP(hostIp) === 0) refuse(optionNames.hostIp, "nil ip");
  return {
    name: value(optionNames.name),
    mtu: mtuOf(value(optionNames.mtu)),
    icc: flag(optionNames.icc, true),
    masquerade: flag(optionNames.masquerade, true),
    hostIp: hostIp === "0.0.0.0" ? "" : hostIp,
    modes: { 4: mode(4), 6: mode(6) },
  };
}

const isGatewayMode = (text: string): text is GatewayMode => gatewayModes.includes(text);

/** RFC 791: every link carries 68 bytes; the kernel's links end at 65535. */
function mtuOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const mtu = Number(text);
  if (!/^\d{1,5}$/.test(text) || mtu < 68 || mtu > 65535)
    throw new InvalidParameter(
      `invalid value for ${optionNames.mtu}: ${JSON.stringify(text)} is no MTU (68 to 65535)`,
    );
  return mtu;
}

/** As Go reads one; undefined: it is none. */
function parseFlag(text: string): boolean | undefined {
  if (["1", "t", "T", "TRUE", "true", "True"].includes(text)) return true;
  return ["0", "f", "F", "FALSE", "false", "False"].includes(text) ? false : undefined;
}

/**
 * Whether a new network carries a family.
 * @param asked in the request, before its options
 * @param options an option that the request contradicts is taken out
 * @throws InvalidParameter for an option that is no flag
 */
export function isEnabled(
  family: Family,
  asked: boolean | undefined,
  options: Record<string, string>,
): boolean {
  const name = optionNames.enabled[family];
  const text = options[name];
  if (asked !== undefined) {
    delete options[name];
    return asked;
  }
  if (text === undefined) return family === 4;
  const enabled = parseFlag(text);
  if (enabled === undefined)
    throw new InvalidParameter(`driver-opt ${JSON.stringify(name)} is not a valid bool`);
  return enabled;
}
