/** The host's name servers. */
import { readFileSync } from "node:fs";
import { isIP } from "node:net";

/** `nameserver` lines of a resolv.conf(5), in order, each once. */
export function parseNameservers(text: string): string[] {
  const servers = text.split("\n").flatMap((line) => {
    const [keyword, address = ""] = line.trim().split(/\s+/);
    return keyword === "nameserver" && isIP(address.replace(/%.*$/, "")) !== 0 ? [address] : [];
  });
  return [...new Set(servers)];
}

const isLoopback = (address: string) => address.startsWith("127.") || address === "::1";

/**
 * Servers to forward to. A loopback resolver is only asked when the host has no other: queries leave from the
 * host's own namespace, so it can be reached.
 */
export function upstreamServers(text: string): string[] {
  const all = parseNameservers(text);
  const outside = all.filter((address) => !isLoopback(address));
  return outside.length > 0 ? outside : all;
}

/** Of /etc/resolv.conf; none when it can't be read. */
export function hostNameservers(path = "/etc/resolv.conf"): string[] {
  try {
    return upstreamServers(readFileSync(path, "utf8"));
  } catch {
    return [];
  }
}
