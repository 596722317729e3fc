/** Paths of the distribution spec ("Endpoints"). */
import { isRepositoryPath } from "../../lib/reference.ts";
import { DistributionError } from "./errors.ts";

export type Route =
  | { kind: "base" }
  | { kind: "catalog" }
  | { kind: "tags"; name: string }
  | { kind: "manifest"; name: string; reference: string }
  | { kind: "blob"; name: string; digest: string }
  | { kind: "uploads"; name: string }
  | { kind: "upload"; name: string; id: string }
  | { kind: "referrers"; name: string; digest: string };

// Repository names may contain any of these words: the last one counts, so each pattern is anchored at the end.
const patterns: [RegExp, (name: string, last: string) => Route][] = [
  [/^(.+)\/tags\/list$/, (name) => ({ kind: "tags", name })],
  [/^(.+)\/blobs\/uploads\/?$/, (name) => ({ kind: "uploads", name })],
  [/^(.+)\/blobs\/uploads\/([^/]+)$/, (name, id) => ({ kind: "upload", name, id })],
  [/^(.+)\/blobs\/([^/]+)$/, (name, digest) => ({ kind: "blob", name, digest })],
  [/^(.+)\/manifests\/([^/]+)$/, (name, reference) => ({ kind: "manifest", name, reference })],
  [/^(.+)\/referrers\/([^/]+)$/, (name, digest) => ({ kind: "referrers", name, digest })],
];

/**
 * @returns undefined when the path is none of the spec's
 * @throws DistributionError NAME_INVALID
 */
export function parseRoute(pathname: string): Route | undefined {
  let path: string;
  try {
    path = decodeURIComponent(pathname);
  } catch {
    return undefined;
  }
  if (path === "/v2" || path === "/v2/") return { kind: "base" };
  if (!path.startsWith("/v2/")) return undefined;
  const rest = path.slice("/v2/".length);
  if (rest === "_catalog") return { kind: "catalog" };
  for (const [pattern, make] of patterns) {
    const match = pattern.exec(rest);
    if (!match) continue;
    if (!isRepositoryPath(match[1]!)) throw new DistributionError("NAME_INVALID", { name: match[1] });
    return make(match[1]!, match[2] ?? "");
  }
  return undefined;
}
