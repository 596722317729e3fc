/** Who asks, and by which URL, where a reverse proxy stands in between. */
import { BlockList, isIP } from "node:net";
import { InvalidParameter } from "../../lib/errors.ts";

/** The other side of a request. */
export interface Client {
  /** IP address. */
  address: string;
  /** Scheme, host and port that it has asked for. */
  origin: string;
}

/** Believes `X-Forwarded-For` and `X-Forwarded-Proto` of the proxies that it is told of, and nobody else's. */
export class Forwarding {
  readonly #trusted = new BlockList();

  /** @param trusted comma-separated addresses and CIDRs @throws InvalidParameter */
  constructor(trusted: string) {
    for (const entry of trusted.split(",").map((text) => text.trim())) {
      const [address = "", bits] = entry.split("/");
      const family = isIP(address);
      const most = family === 6 ? 128 : 32;
      const length = bits === undefined ? most : /^\d{1,3}$/.test(bits) ? Number(bits) : Number.NaN;
      if (family === 0 || !(length <= most))
        throw new InvalidParameter(`trusted-proxies: ${JSON.stringify(entry)} is no address or CIDR`);
      this.#trusted.addSubnet(address, length, familyOf(address));
    }
  }

  /** @param peer address of the connection's other end */
  clientOf(request: Request, peer: string): Client {
    const { origin, host } = new URL(request.url);
    if (!this.#isTrusted(peer)) return { address: peer, origin };
    const proto = lastOf(request.headers.get("x-forwarded-proto"));
    // Each proxy appends who came to it: the last one that is no proxy of ours is the client.
    const path = (request.headers.get("x-forwarded-for") ?? "").split(",").map((text) => text.trim());
    let address = peer;
    for (const hop of path.reverse()) {
      if (isIP(hop) === 0) break;
      address = hop;
      if (!this.#isTrusted(hop)) break;
    }
    return { address, origin: proto === "https" || proto === "http" ? `${proto}://${host}` : origin };
  }

  #isTrusted(mapped: string): boolean {
    // An IPv4 address as a socket of both families shows it.
    const address = mapped.replace(/^::ffff:(?=\d+\.)/i, "");
    return isIP(address) !== 0 && this.#trusted.check(address, familyOf(address));
  }
}

const familyOf = (address: string) => (isIP(address) === 6 ? "ipv6" : "ipv4");
const lastOf = (list: string | null) => list?.split(",").at(-1)?.trim().toLowerCase();
