/** Rules: who may do what below which prefix of repository names. */
import type { Action, Principal } from "./types.ts";
import { actions } from "./types.ts";

export interface AccessRule {
  /** A repository and all below it: `team` is about `team` and `team/x`, not `teams`. Empty: all. */
  prefix: string;
  /** What each user may do; `*` is every user who has signed in. */
  users: Record<string, Action[]>;
  /** What anyone may do. */
  anonymous: Action[];
}

/** The rule with the longest prefix counts alone. Where none is, users may do all, and others what `anonymous` says. */
export class Access {
  readonly #rules: AccessRule[];

  constructor(
    rules: AccessRule[],
    private readonly anonymous: Action[],
  ) {
    this.#rules = rules.toSorted((a, b) => b.prefix.length - a.prefix.length);
  }

  principal(user: string | undefined): Principal {
    const allows = (repository: string, action: Action) => this.#allowed(user, repository).includes(action);
    return {
      user,
      allows,
      sees: (repository) => allows(repository, "pull"),
      mayList: user !== undefined,
      isToken: false,
    };
  }

  #allowed(user: string | undefined, repository: string): readonly Action[] {
    const rule = this.#rules.find(({ prefix }) => isBelow(repository, prefix));
    if (!rule) return user === undefined ? this.anonymous : actions;
    if (user === undefined) return rule.anonymous;
    const own = Object.hasOwn(rule.users, user) ? rule.users[user]! : [];
    return [...own, ...(rule.users["*"] ?? []), ...rule.anonymous];
  }
}

function isBelow(repository: string, prefix: string): boolean {
  const folder = prefix.replace(/\/$/, "");
  return folder === "" || repository === folder || repository.startsWith(`${folder}/`);
}
