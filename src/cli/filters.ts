import { UsageError } from "./args/parse.ts";

/** `--filter key=value` (repeated) as the API's filters. @throws UsageError */
export function parseFilters(values: readonly string[]): Record<string, string[]> | undefined {
  if (values.length === 0) return undefined;
  const filters: Record<string, string[]> = {};
  for (const value of values) {
    const equals = value.indexOf("=");
    if (equals < 0)
      throw new UsageError(
        `invalid argument "${value}" for "-f, --filter" flag: bad format of filter (expected name=value)`,
      );
    const key = value.slice(0, equals).trim().toLowerCase();
    filters[key] ??= [];
    filters[key].push(value.slice(equals + 1).trim());
  }
  return filters;
}

/** `--label a=b` (repeated) as a map; a name alone has an empty value. */
export function keyValues(values: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    values.map((value) => {
      const equals = value.indexOf("=");
      return equals < 0 ? [value, ""] : [value.slice(0, equals), value.slice(equals + 1)];
    }),
  );
}
