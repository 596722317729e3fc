/** Who asks, and what they may do. */

/** What can be done to a repository, in the words of token scopes. */
export type Action = "pull" | "push" | "delete";
export const actions: readonly Action[] = ["pull", "push", "delete"];

export interface Principal {
  /** Undefined: nobody has signed in. */
  readonly user: string | undefined;
  allows(repository: string, action: Action): boolean;
  /** Whether the names of repositories may be listed. */
  readonly mayList: boolean;
  /** Whether this one is in the list. */
  sees(repository: string): boolean;
  /** Whether a token was shown, be it nobody's. */
  readonly isToken: boolean;
}

/** Where there is no authentication. */
export const everybody: Principal = {
  user: undefined,
  allows: () => true,
  mayList: true,
  sees: () => true,
  isToken: false,
};

export interface Authenticator {
  /**
   * Reads the request's `Authorization`; without one it is nobody.
   * @param origin scheme and host that the client has asked for
   * @throws DistributionError UNAUTHORIZED when what it says is wrong
   */
  authenticate(request: Request, origin: string): Promise<Principal>;
  /** `WWW-Authenticate` for a request that needs `scope`, e.g. `repository:a/b:pull,push`. */
  challenge(origin: string, scope?: string): string;
  /** Whether more rights can come from signing in anew, as with tokens: then a refusal is a challenge again. */
  readonly hasScopes: boolean;
  /** Answers the endpoint that gives out tokens; undefined: there is none. */
  issueToken?(request: Request): Promise<Response>;
}
