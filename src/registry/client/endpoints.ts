/** Where a domain's registry is: mirrors, host, and what is spoken there. */
import { lookup } from "node:dns/promises";
import { BlockList, isIP } from "node:net";
import { InvalidParameter } from "../../lib/errors.ts";
import { defaultDomain } from "../../lib/reference.ts";
import { defaultCertDirs, readTls, type TlsOptions } from "./tls.ts";

/** The host behind the name `docker.io`. */
const hubHost = "registry-1.docker.io";

export interface Endpoint {
  /** Tried in order until one is spoken there: `https://reg.example:5000`, without a final slash. */
  origins: string[];
  /** Path before `/v2/`, for mirrors behind one: `/hub`; empty otherwise. */
  prefix: string;
  mirror: boolean;
}

/** Decides, host by host, how much is asked of a connection. */
export class HostPolicy {
  readonly #names = new Set<string>(["localhost"]);
  readonly #networks = new BlockList();
  #hasNetworks = false;

  /**
   * @param insecure host names, `host:port` or CIDRs
   * @throws InvalidParameter when a CIDR is malformed
   */
  constructor(
    insecure: readonly string[],
    private readonly certDirs: readonly string[] = defaultCertDirs,
  ) {
    this.#networks.addSubnet("127.0.0.0", 8, "ipv4");
    this.#networks.addAddress("::1", "ipv6");
    for (const entry of insecure) this.#add(entry);
  }

  /** Whether plain HTTP and unverified TLS will do. `host` has its port. */
  async isInsecure(host: string): Promise<boolean> {
    const name = host.replace(/:\d+$/, "").replace(/^\[|\]$/g, "");
    if (this.#names.has(host) || this.#names.has(name)) return true;
    const family = isIP(name);
    if (family !== 0) return this.#networks.check(name, family === 6 ? "ipv6" : "ipv4");
    if (!this.#hasNetworks) return false;
    // As Docker: a name is in a network when one of its addresses is.
    const addresses = await lookup(name, { all: true }).catch(() => []);
    return addresses.some((found) =>
      this.#networks.check(found.address, found.family === 6 ? "ipv6" : "ipv4"),
    );
  }

  /** What a connection to `host` needs. @throws InvalidParameter when certs.d is not in order */
  async tls(host: string): Promise<TlsOptions> {
    const options = await readTls(host, this.certDirs);
    return (await this.isInsecure(host)) ? { ...options, rejectUnauthorized: false } : options;
  }

  #add(entry: string): void {
    const [address, prefix] = entry.split("/");
    if (prefix === undefined) {
      this.#names.add(entry.replace(/^https?:\/\//, ""));
      return;
    }
    const family = isIP(address!);
    const bits = /^\d{1,3}$/.test(prefix) ? Number(prefix) : Number.NaN;
    if (family === 0 || !(bits <= (family === 6 ? 128 : 32))) {
      throw new InvalidParameter(`insecure registry ${entry} is not valid: invalid CIDR address`);
    }
    this.#networks.addSubnet(address!, bits, family === 6 ? "ipv6" : "ipv4");
    this.#hasNetworks = true;
  }
}

/** Mirrors of `docker.io` first, then the registry itself. @throws InvalidParameter when a mirror is no URL */
export async function endpointsOf(
  domain: string,
  mirrors: readonly string[],
  policy: HostPolicy,
): Promise<{ mirrors: Endpoint[]; registry: Endpoint }> {
  const host = domain === defaultDomain ? hubHost : domain;
  const origins = [`https://${host}`];
  if (await policy.isInsecure(host)) origins.push(`http://${host}`);
  return {
    mirrors: domain === defaultDomain ? mirrors.map(mirrorEndpoint) : [],
    registry: { origins, prefix: "", mirror: false },
  };
}

function mirrorEndpoint(text: string): Endpoint {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url || !/^https?:$/.test(url.protocol) || url.search || url.hash || url.username) {
    throw new InvalidParameter(
      `invalid mirror: ${JSON.stringify(text)} is not a URL of scheme, host and perhaps path`,
    );
  }
  return { origins: [url.origin], prefix: url.pathname.replace(/\/+$/, ""), mirror: true };
}
