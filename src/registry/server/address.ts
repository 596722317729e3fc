/** Addresses to listen on. */
import { InvalidParameter } from "../../lib/errors.ts";

export interface Address {
  hostname: string;
  port: number;
}

/** `HOST:PORT`, with an IPv6 host in brackets. @throws InvalidParameter */
export function parseAddress(addr: string): Address {
  const match = /^(?:\[([0-9a-fA-F:]+)\]|([^:[\]]*)):(\d{1,5})$/.exec(addr);
  if (!match || Number(match[3]) > 65535)
    throw new InvalidParameter(`invalid address ${JSON.stringify(addr)}`);
  return { hostname: match[1] ?? (match[2] || "0.0.0.0"), port: Number(match[3]) };
}

export function showAddress({ hostname }: Address, port: number): string {
  return `${hostname.includes(":") ? `[${hostname}]` : hostname}:${port}`;
}

/** Whether only this machine reaches the address: elsewhere plain HTTP shows passwords and can be changed. */
export function plainHttpAllowed({ hostname }: Address): boolean {
  return hostname === "localhost" || hostname === "::1" || /^127(?:\.\d{1,3}){3}$/.test(hostname);
}
