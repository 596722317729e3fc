import { InvalidParameter } from "../../lib/errors.ts";
import { defaultDomain } from "../../lib/reference.ts";
import type { Credentials, FoundRepository } from "../../registry/types.ts";
import type { Context } from "../context.ts";
import { booleanFilter, checkFilters } from "../filters.ts";
import type { Filters } from "../types.ts";

const defaultLimit = 25;
const maxLimit = 100;

/**
 * `docker search`: a term that begins with a registry's host is looked for there, any other in Docker Hub.
 * @throws InvalidParameter, NotImplemented when the registry can't be searched
 */
export async function searchImages(
  { registry }: Context,
  term: string,
  options: { limit: number; filters: Filters; auth?: Credentials; signal: AbortSignal },
): Promise<FoundRepository[]> {
  const { filters, auth, signal } = options;
  checkFilters(filters, ["is-automated", "is-official", "stars"]);
  const limit = options.limit || defaultLimit;
  if (limit < 1 || limit > maxLimit)
    throw new InvalidParameter(`limit ${limit} is outside the range of [1, ${maxLimit}]`);
  if (term.includes("://"))
    throw new InvalidParameter(`invalid repository name: repository name (${term}) should not have a scheme`);
  const stars = Math.max(0, ...(filters.stars ?? []).map(starsOf));
  const official = booleanFilter(filters, "is-official");
  const automated = booleanFilter(filters, "is-automated");
  const { domain, rest } = splitTerm(term);
  const found = await registry.search(domain, rest, { limit, auth, signal });
  return found.filter(
    (image) =>
      image.stars >= stars &&
      (official === undefined || image.official === official) &&
      (automated === undefined || image.automated === automated),
  );
}

/** A term need not be a reference: `localhost:5000/` asks for all of a registry. */
function splitTerm(term: string): { domain: string; rest: string } {
  const slash = term.indexOf("/");
  const first = term.slice(0, Math.max(0, slash));
  return first === "localhost" || /[.:]/.test(first)
    ? { domain: first, rest: term.slice(slash + 1) }
    : { domain: defaultDomain, rest: term.replace(/^library\//, "") };
}

function starsOf(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidParameter(`invalid filter 'stars=${text}'`);
  return Number(text);
}
