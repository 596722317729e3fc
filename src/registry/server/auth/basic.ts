/** HTTP Basic authentication (RFC 7617) against htpasswd. */
import { DistributionError } from "../errors.ts";
import type { Access } from "./access.ts";
import type { Htpasswd } from "./htpasswd.ts";
import type { Authenticator, Principal } from "./types.ts";

export class BasicAuth implements Authenticator {
  readonly hasScopes = false;

  constructor(
    private readonly passwords: Htpasswd,
    private readonly access: Access,
    private readonly realm: string,
  ) {}

  async authenticate(request: Request): Promise<Principal> {
    const header = request.headers.get("authorization");
    if (header === null) return this.access.principal(undefined);
    const given = parseBasic(header);
    if (given && (await this.passwords.verify(given.user, given.password))) {
      return this.access.principal(given.user);
    }
    throw new DistributionError("UNAUTHORIZED", undefined, {
      headers: { "WWW-Authenticate": this.challenge() },
    });
  }

  challenge(): string {
    return `Basic realm="${this.realm}"`;
  }
}

/** User and password of an `Authorization` header; undefined when it is none of that kind. */
export function parseBasic(header: string): { user: string; password: string } | undefined {
  const encoded = /^basic\s+([A-Za-z0-9+/=_-]+)$/i.exec(header)?.[1];
  if (encoded === undefined) return undefined;
  const text = Buffer.from(encoded, "base64").toString("utf8");
  const colon = text.indexOf(":");
  if (colon < 0) return undefined;
  return { user: text.slice(0, colon), password: text.slice(colon + 1) };
}
