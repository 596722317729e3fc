/**
 * Where a list goes on: the answer's `Link` header (distribution-spec, "Listing Tags").
 * @param origin what a relative link is relative to
 */
export function nextPage(response: Response, origin: string): URL | undefined {
  const link = /<([^>]+)>;\s*rel="?next"?/.exec(response.headers.get("link") ?? "")?.[1];
  return link !== undefined && URL.canParse(link, origin) ? new URL(link, origin) : undefined;
}
