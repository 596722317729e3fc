/** Names of packages of every kind: https://github.com/package-url/purl-spec */
export function purl(
  type: string,
  name: string,
  version: string,
  namespace?: string,
  qualifiers: Record<string, string | undefined> = {},
): string {
  // Slashes part the segments of a namespace.
  const path = [...(namespace?.split("/") ?? []), name].map(encodeURIComponent);
  const query = Object.entries(qualifiers).flatMap(([key, value]) =>
    value ? [`${key}=${encodeURIComponent(value)}`] : [],
  );
  return `pkg:${type}/${path.join("/")}@${encodeURIComponent(version)}${query.length > 0 ? `?${query.join("&")}` : ""}`;
}
