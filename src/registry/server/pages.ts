/** Lists in pages (distribution-spec, "Listing Tags"; RFC 5988). */
import { DistributionError } from "./errors.ts";

export const maxPage = 1000;

/** One page of a list as `n` and `last` ask, with the Link to the next one. */
export async function readPage(
  request: Request,
  path: string,
  list: (after: string, limit: number) => Promise<string[]>,
): Promise<{ items: string[]; headers: Record<string, string> }> {
  const query = new URL(request.url).searchParams;
  const limit = pageSize(query);
  // One more than asked tells whether there is a next page.
  const found = limit === 0 ? [] : await list(query.get("last") ?? "", limit + 1);
  const items = found.slice(0, limit);
  const last = items.at(-1);
  if (found.length <= limit || last === undefined) return { items, headers: {} };
  return { items, headers: { Link: nextLink(path, { n: String(limit), last }) } };
}

/** `n` of a request, at most `maxPage`. @throws DistributionError UNSUPPORTED with status 400 */
export function pageSize(query: URLSearchParams): number {
  const n = query.get("n") ?? String(maxPage);
  if (!/^\d{1,9}$/.test(n)) {
    throw new DistributionError("UNSUPPORTED", { n }, { status: 400, message: "invalid number of results" });
  }
  return Math.min(Number(n), maxPage);
}

export function nextLink(path: string, query: Record<string, string>): string {
  return `<${path}?${new URLSearchParams(query)}>; rel="next"`;
}
