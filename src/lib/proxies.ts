/**
 * Which proxy a request goes through, by the rules of Go's net/http (golang.org/x/net/http/httpproxy), which Docker's
 * users know: Bun's own know neither networks nor the difference between `name` and `.name`.
 */
import { BlockList, isIP } from "node:net";

/** URLs of proxies by the scheme of what is asked for, and the comma-separated exceptions. */
export interface Proxies {
  http?: string;
  https?: string;
  no?: string;
}

/** @returns the proxy's URL; undefined for a request that goes straight */
export function proxyOf(url: URL, proxies: Proxies): string | undefined {
  const proxy = url.protocol === "https:" ? proxies.https : proxies.http;
  if (!proxy || isExcepted(url, proxies.no ?? "")) return undefined;
  return /^[a-z0-9+.-]+:\/\//i.test(proxy) ? proxy : `http://${proxy}`;
}

function isExcepted(url: URL, exceptions: string): boolean {
  const host = url.hostname.replace(/^\[|\]$/g, "").toLowerCase();
  const port = url.port || (url.protocol === "https:" ? "443" : "80");
  const family = isIP(host);
  if (host === "localhost" || (family !== 0 && isIn(host, family === 6 ? "::1/128" : "127.0.0.0/8")))
    return true;
  return exceptions
    .split(",")
    .map((entry) => entry.trim().toLowerCase())
    .some((entry) => {
      if (entry === "*") return true;
      if (entry.includes("/")) return family !== 0 && isIn(host, entry);
      const { name, port: only } = splitPort(entry);
      if (only !== undefined && only !== port) return false;
      if (isIP(name) !== 0) return family !== 0 && isIn(host, `${name}/${isIP(name) === 6 ? 128 : 32}`);
      return name !== "" && isNamed(host, name);
    });
}

/** `name` means itself and what is below, `.name` and `*.name` only what is below. */
function isNamed(host: string, pattern: string): boolean {
  const below = pattern.startsWith("*.") ? pattern.slice(1) : pattern;
  return below.startsWith(".") ? host.endsWith(below) : host === below || host.endsWith(`.${below}`);
}

function splitPort(entry: string): { name: string; port?: string } {
  const match = /^(?:\[([^\]]*)\]|([^:]*))(?::(\d+))?$/.exec(entry);
  // Without brackets, more than one colon is an IPv6 address.
  return match ? { name: match[1] ?? match[2]!, port: match[3] } : { name: entry };
}

/** Whether an address is in a network; a malformed one has none. */
function isIn(address: string, cidr: string): boolean {
  const [network = "", bits = ""] = cidr.split("/");
  const family = isIP(network);
  if (family === 0 || !/^\d{1,3}$/.test(bits) || Number(bits) > (family === 6 ? 128 : 32)) return false;
  const list = new BlockList();
  list.addSubnet(network, Number(bits), family === 6 ? "ipv6" : "ipv4");
  return list.check(address, isIP(address) === 6 ? "ipv6" : "ipv4");
}
