/** Answers a registry's challenges: Basic, and Bearer with Docker's token servers (distribution, "token.md"). */
import * as v from "valibot";
import { Internal, Unauthorized } from "../../lib/errors.ts";
import type { Credentials } from "../types.ts";
import { type Challenge, parseChallenges } from "./challenge.ts";
import { errorOf, readFault } from "./errors.ts";

const clientId = "gantry";
/** Docker's lower limit of a token's life, for servers that say less or nothing. Seconds. */
const minimumLifetime = 60;
/** A token is renewed so long before it ends, for the request that is about to use it. Milliseconds. */
const renewBefore = 10_000;

const tokenBody = v.object({
  token: v.optional(v.string()),
  access_token: v.optional(v.string()),
  refresh_token: v.optional(v.string()),
  expires_in: v.optional(v.number()),
});

interface Token {
  value: string;
  expiresAt: number;
}

/** Sends a request to a token server; the transport without authentication. */
export type PlainFetch = (url: URL, init: RequestInit) => Promise<Response>;

/** The authentication of one user at one registry. */
export class Authorizer {
  readonly #tokens = new Map<string, Token>();
  #challenges: Challenge[] = [];
  #refreshToken: string | undefined;

  constructor(
    private readonly credentials: Credentials,
    private readonly fetch: PlainFetch,
    private readonly offline = false,
  ) {
    this.#refreshToken = credentials.identityToken || undefined;
  }

  /** What the user may keep in place of the password, when the token server gave one. */
  get identityToken(): string | undefined {
    return this.#refreshToken;
  }

  /** The header for a request of these scopes; undefined until a challenge said what is wanted. */
  async header(scopes: readonly string[], signal?: AbortSignal): Promise<string | undefined> {
    if (this.credentials.registryToken) return `Bearer ${this.credentials.registryToken}`;
    for (const challenge of this.#challenges) {
      if (challenge.scheme === "bearer") return `Bearer ${await this.#token(challenge, scopes, signal)}`;
      const basic = this.#basic();
      if (challenge.scheme === "basic" && basic) return basic;
    }
    return undefined;
  }

  /**
   * Takes in the challenge of a 401.
   * @returns whether another try with `header` makes sense
   * @throws Unauthorized `no basic auth credentials`
   */
  challenged(response: Response, sent: string | undefined): boolean {
    const challenges = parseChallenges(response.headers.get("www-authenticate"));
    if (this.credentials.registryToken || challenges.length === 0) return false;
    this.#challenges = challenges;
    if (challenges.some((challenge) => challenge.scheme === "bearer")) {
      // A token that was refused is not asked for again with the same words.
      const refused = [...this.#tokens].find(([, token]) => `Bearer ${token.value}` === sent);
      if (refused) this.#tokens.delete(refused[0]);
      return true;
    }
    if (!challenges.some((challenge) => challenge.scheme === "basic")) return false;
    if (!this.#basic()) throw new Unauthorized("no basic auth credentials");
    return sent === undefined;
  }

  #basic(): string | undefined {
    const { username, password } = this.credentials;
    if (!username || password === undefined) return undefined;
    return `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`;
  }

  async #token({ parameters }: Challenge, scopes: readonly string[], signal?: AbortSignal): Promise<string> {
    const wanted = [...new Set([...scopes, ...(parameters.scope?.split(" ") ?? [])])].filter(Boolean).sort();
    const key = JSON.stringify([parameters.realm, parameters.service, ...wanted]);
    const known = this.#tokens.get(key);
    if (known && known.expiresAt - renewBefore > Date.now()) return known.value;
    const token = await this.#requestToken(parameters, wanted, signal);
    this.#tokens.set(key, token);
    return token.value;
  }

  async #requestToken(
    { realm, service }: Record<string, string>,
    scopes: readonly string[],
    signal?: AbortSignal,
  ): Promise<Token> {
    if (!realm || !URL.canParse(realm)) throw new Unauthorized("no realm specified for token auth challenge");
    const url = new URL(realm);
    const asked = Date.now();
    const response = this.#refreshToken
      ? await this.#exchange(url, service, scopes, this.#refreshToken, signal)
      : await this.#fetchToken(url, service, scopes, signal);
    if (!response.ok) throw errorOf(await readFault(response));
    const parsed = v.safeParse(tokenBody, await response.json().catch(() => undefined));
    const value = parsed.success ? parsed.output.token || parsed.output.access_token : undefined;
    if (!parsed.success || !value)
      throw new Internal("authorization server did not include a token in the response");
    if (parsed.output.refresh_token) this.#refreshToken = parsed.output.refresh_token;
    const lifetime = Math.max(parsed.output.expires_in ?? 0, minimumLifetime);
    return { value, expiresAt: asked + lifetime * 1000 };
  }

  /** OAuth2 (distribution, "oauth.md"): a refresh token for an access token. */
  async #exchange(
    url: URL,
    service: string | undefined,
    scopes: readonly string[],
    refreshToken: string,
    signal?: AbortSignal,
  ): Promise<Response> {
    const form = new URLSearchParams({
      grant_type: "refresh_token",
      refresh_token: refreshToken,
      client_id: clientId,
    });
    if (service) form.set("service", service);
    if (scopes.length > 0) form.set("scope", scopes.join(" "));
    return await this.fetch(url, { method: "POST", body: form, signal });
  }

  async #fetchToken(
    url: URL,
    service: string | undefined,
    scopes: readonly string[],
    signal?: AbortSignal,
  ): Promise<Response> {
    const headers = new Headers();
    const basic = this.#basic();
    if (service) url.searchParams.set("service", service);
    for (const scope of scopes) url.searchParams.append("scope", scope);
    if (basic) {
      url.searchParams.set("account", this.credentials.username!);
      headers.set("authorization", basic);
    }
    if (this.offline) {
      url.searchParams.set("offline_token", "true");
      url.searchParams.set("client_id", clientId);
    }
    return await this.fetch(url, { headers, signal });
  }
}
