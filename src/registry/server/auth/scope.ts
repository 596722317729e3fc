/** Scopes of tokens: `repository:team/app:pull,push` (distribution's "Token Scope"). */
import type { Action } from "./types.ts";
import { actions } from "./types.ts";

/** One entry of a token's `access` claim. */
export interface Grant {
  type: string;
  name: string;
  actions: string[];
}

/** @returns undefined when the text is no scope */
export function parseScope(text: string): Grant | undefined {
  // A repository's name may hold a port's colon in other registries: the type ends at the first, the name at the last.
  const match = /^([a-z]+)(?:\([a-z]+\))?:(.+):([a-z*,]*)$/.exec(text);
  if (!match) return undefined;
  return { type: match[1]!, name: match[2]!, actions: match[3]!.split(",").filter((name) => name !== "") };
}

/** Actions of a scope; `*` is all. Unknown ones are left out. */
export function actionsOf(names: string[]): Action[] {
  return names.includes("*") ? [...actions] : actions.filter((action) => names.includes(action));
}

export function isCatalog(grant: Grant): boolean {
  return grant.type === "registry" && grant.name === "catalog" && grant.actions.includes("*");
}
