/** Searching: Docker Hub's index, or the catalog of a registry that has one. */
import * as v from "valibot";
import { NotImplemented, Unavailable } from "../../lib/errors.ts";
import type { FoundRepository } from "../types.ts";
import { errorOf, readFault } from "./errors.ts";
import { nextPage } from "./pages.ts";
import type { Transport } from "./transport.ts";

const pageSize = 1000;
/** A catalog longer than this many pages is not read to its end. */
const maxPages = 20;

const catalogSchema = v.object({ repositories: v.nullable(v.array(v.string())) });
const indexSchema = v.object({
  results: v.array(
    v.object({
      name: v.string(),
      description: v.nullish(v.string()),
      star_count: v.optional(v.number(), 0),
      is_official: v.optional(v.boolean(), false),
      is_automated: v.optional(v.boolean(), false),
    }),
  ),
});

/** Docker Hub's `/v1/search`. @throws Unavailable */
export async function searchIndex(
  transport: Transport,
  term: string,
  limit: number,
  signal?: AbortSignal,
): Promise<FoundRepository[]> {
  const target = `/v1/search?q=${encodeURIComponent(term)}&n=${limit}`;
  const response = await transport.send({ method: "GET", target, signal });
  if (!response.ok) throw errorOf(await readFault(response));
  const { results } = parse(indexSchema, await response.json(), transport.origin);
  return results.map((found) => ({
    name: found.name,
    description: found.description ?? "",
    stars: found.star_count,
    official: found.is_official,
    automated: found.is_automated,
  }));
}

/**
 * Repositories of a registry whose names have `term` in them (distribution's `/v2/_catalog`).
 * @throws NotImplemented when the registry has no catalog
 */
export async function searchCatalog(
  transport: Transport,
  domain: string,
  term: string,
  limit: number,
  signal?: AbortSignal,
): Promise<FoundRepository[]> {
  const found: FoundRepository[] = [];
  let target: string | URL | undefined = `/v2/_catalog?n=${pageSize}`;
  for (let page = 0; target && page < maxPages && found.length < limit; page++) {
    const response = await transport.send({
      method: "GET",
      target,
      scopes: ["registry:catalog:*"],
      signal,
    });
    if (response.status === 404 || response.status === 405) {
      await response.body?.cancel();
      throw new NotImplemented(`registry ${domain} can't be searched: it has no catalog`);
    }
    if (!response.ok) throw errorOf(await readFault(response));
    const { repositories } = parse(catalogSchema, await response.json(), transport.origin);
    for (const name of repositories ?? [])
      if (name.includes(term))
        found.push({
          name: `${domain}/${name}`,
          description: "",
          stars: 0,
          official: false,
          automated: false,
        });
    target = nextPage(response, transport.origin);
  }
  return found.slice(0, limit);
}

function parse<S extends v.GenericSchema>(schema: S, json: unknown, origin: string): v.InferOutput<S> {
  const result = v.safeParse(schema, json);
  if (result.success) return result.output;
  throw new Unavailable(`${origin} answered a search with something else`);
}
