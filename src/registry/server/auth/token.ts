/** Bearer tokens (distribution's token authentication): JWTs whose `access` claim says what they are for. */
import { createPublicKey, type KeyObject } from "node:crypto";
import { readFile } from "node:fs/promises";
import {
  createLocalJWKSet,
  createRemoteJWKSet,
  errors,
  type JSONWebKeySet,
  type JWTPayload,
  type JWTVerifyGetKey,
  jwtVerify,
} from "jose";
import * as v from "valibot";
import { InvalidParameter } from "../../../lib/errors.ts";
import { DistributionError } from "../errors.ts";
import { actionsOf, type Grant, isCatalog } from "./scope.ts";
import type { Action, Authenticator, Principal } from "./types.ts";

const maxRemembered = 10_000;
/** Signatures by a private key; a shared secret is no public key. */
const algorithms = ["ES256", "ES384", "ES512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "EdDSA"];
const accessClaim = v.optional(
  v.array(v.object({ type: v.string(), name: v.string(), actions: v.array(v.string()) })),
  [],
);

export interface TokenOptions {
  /** Where tokens come from; undefined: this server's own `/token`. */
  realm?: string;
  /** `aud` of tokens for this registry. */
  service: string;
  /** `iss` of tokens that count. */
  issuer: string;
}

export class TokenAuth implements Authenticator {
  readonly hasScopes = true;
  readonly #remembered = new Map<string, { principal: Principal; until: number }>();

  /**
   * @param nobody what a request without a token may do
   * @param sees whether a user who may list repositories sees this one
   */
  constructor(
    private readonly key: JWTVerifyGetKey | KeyObject,
    private readonly options: TokenOptions,
    private readonly nobody: Principal,
    private readonly sees: (user: string | undefined, repository: string) => boolean,
    readonly issueToken?: (request: Request) => Promise<Response>,
  ) {}

  async authenticate(request: Request, origin: string): Promise<Principal> {
    const header = request.headers.get("authorization");
    if (header === null) return this.nobody;
    const token = /^bearer\s+([\w.-]+)$/i.exec(header)?.[1];
    const principal = token === undefined ? undefined : await this.#verify(token);
    if (principal) return principal;
    throw new DistributionError("UNAUTHORIZED", undefined, {
      headers: { "WWW-Authenticate": this.challenge(origin) },
    });
  }

  challenge(origin: string, scope?: string): string {
    const realm = this.options.realm ?? `${origin}/token`;
    const parts = [`realm="${realm}"`, `service="${this.options.service}"`];
    if (scope !== undefined) parts.push(`scope="${scope}"`);
    return `Bearer ${parts.join(",")}`;
  }

  async #verify(token: string): Promise<Principal | undefined> {
    const now = Date.now();
    const known = this.#remembered.get(token);
    if (known && known.until > now) return known.principal;
    this.#remembered.delete(token);
    const payload = await this.#payload(token);
    const access = v.safeParse(accessClaim, payload?.access);
    if (!payload || !access.success) return undefined;
    const user = payload.sub === "" ? undefined : payload.sub;
    const sees = (repository: string) => this.sees(user, repository);
    const principal = { ...rightsOf(access.output), user, sees, isToken: true };
    if (this.#remembered.size >= maxRemembered) this.#remembered.clear();
    this.#remembered.set(token, { principal, until: (payload.exp ?? 0) * 1000 });
    return principal;
  }

  async #payload(token: string): Promise<JWTPayload | undefined> {
    const { issuer, service } = this.options;
    const checks = { issuer, audience: service, algorithms, requiredClaims: ["exp"], clockTolerance: 5 };
    try {
      // The two overloads of jose differ in the key alone.
      const { payload } =
        typeof this.key === "function"
          ? await jwtVerify(token, this.key, checks)
          : await jwtVerify(token, this.key, checks);
      return payload;
    } catch (error) {
      if (error instanceof errors.JOSEError) return undefined;
      throw error;
    }
  }
}

function rightsOf(access: Grant[]): Pick<Principal, "allows" | "mayList"> {
  const granted = new Map<string, Set<Action>>();
  for (const grant of access) {
    if (grant.type !== "repository") continue;
    const all = granted.get(grant.name) ?? new Set();
    for (const action of actionsOf(grant.actions)) all.add(action);
    granted.set(grant.name, all);
  }
  return {
    allows: (repository, action) => granted.get(repository)?.has(action) ?? false,
    mayList: access.some(isCatalog),
  };
}

/**
 * The keys of somebody else's tokens.
 * @param source an https URL or a file: a JWKS, or a public key or certificate in PEM
 * @throws InvalidParameter
 */
export async function publicKeys(source: string): Promise<JWTVerifyGetKey | KeyObject> {
  if (/^https?:\/\//.test(source)) return createRemoteJWKSet(new URL(source));
  try {
    const text = await readFile(source, "utf8");
    if (text.trimStart().startsWith("-----BEGIN")) return createPublicKey(text);
    return createLocalJWKSet(JSON.parse(text) as JSONWebKeySet);
  } catch (error) {
    throw new InvalidParameter(`${source} has no public keys`, { cause: error });
  }
}
