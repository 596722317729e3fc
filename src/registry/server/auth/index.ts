/** Authentication as the options ask for it. */
import { join } from "node:path";
import { InvalidParameter } from "../../../lib/errors.ts";
import { Access, type AccessRule } from "./access.ts";
import { BasicAuth } from "./basic.ts";
import { Htpasswd } from "./htpasswd.ts";
import type { Action, Authenticator } from "./types.ts";

export { type Action, type Authenticator, everybody, type Principal } from "./types.ts";

export interface AuthOptions {
  /** File of users and bcrypt hashes. */
  htpasswd?: string;
  /** What anyone may do without signing in. */
  anonymous?: Action[];
  /** Bearer tokens: our own for the users of `htpasswd`, or with `keys` those of another issuer. */
  token?: {
    realm?: string;
    service?: string;
    issuer?: string;
    /** JWKS or PEM file, or the URL of a JWKS. */
    keys?: string;
    /** PEM file of the key that signs our own; `<root>/token-key.pem`, which is made. Replicas share it. */
    signingKey?: string;
  };
  access?: AccessRule[];
}

/**
 * @returns undefined when anyone may do anything
 * @throws InvalidParameter
 */
export async function createAuthenticator(
  options: AuthOptions,
  root: string,
): Promise<Authenticator | undefined> {
  const { htpasswd, token, anonymous = [] } = options;
  const access = new Access(options.access ?? [], anonymous);
  const service = token?.service ?? "gantry-registry";
  if (!token) {
    if (htpasswd !== undefined) return new BasicAuth(await Htpasswd.open(htpasswd), access, service);
    if (options.access || anonymous.length > 0) {
      throw new InvalidParameter("access rules need htpasswd or token authentication");
    }
    return undefined;
  }
  // A library that only servers with tokens need.
  const { TokenAuth, publicKeys } = await import("./token.ts");
  const nobody = access.principal(undefined);
  if (token.keys !== undefined) {
    const { realm, issuer } = token;
    if (realm === undefined || issuer === undefined || htpasswd !== undefined) {
      throw new InvalidParameter("tokens of another issuer need its realm and issuer, and no htpasswd");
    }
    return new TokenAuth(await publicKeys(token.keys), { realm, service, issuer }, nobody, () => true);
  }
  if (htpasswd === undefined) throw new InvalidParameter("token authentication needs htpasswd or keys");
  const { TokenIssuer, signingKey } = await import("./issuer.ts");
  const full = { realm: token.realm, service, issuer: token.issuer ?? service };
  const key = await signingKey(token.signingKey ?? join(root, "token-key.pem"));
  const issuer = new TokenIssuer(key.secret, full, await Htpasswd.open(htpasswd), access);
  return new TokenAuth(
    key.open,
    full,
    nobody,
    (user, repository) => access.principal(user).sees(repository),
    (request) => issuer.issue(request),
  );
}
