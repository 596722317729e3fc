import { InvalidParameter } from "../lib/errors.ts";
import type { Filters } from "./types.ts";

/** @throws InvalidParameter for a filter name that the operation does not know, as Docker's `invalid filter 'x'`. */
export function checkFilters(filters: Filters, known: readonly string[]): void {
  for (const name of Object.keys(filters)) {
    if (!known.includes(name)) throw new InvalidParameter(`invalid filter '${name}'`);
  }
}

/** No filter of that name, or one of its values satisfies `test`. */
export function matchAny(filters: Filters, name: string, test: (value: string) => boolean): boolean {
  const values = filters[name];
  return values === undefined || values.length === 0 || values.some(test);
}

/** Every `label=key` or `label=key=value` holds, and no `label!` does. */
export function matchLabels(filters: Filters, labels: Record<string, string> | undefined): boolean {
  const holds = (wanted: string) => {
    const at = wanted.indexOf("=");
    const key = at < 0 ? wanted : wanted.slice(0, at);
    const value = labels?.[key];
    return value !== undefined && (at < 0 || value === wanted.slice(at + 1));
  };
  return (filters.label ?? []).every(holds) && !(filters["label!"] ?? []).some(holds);
}

/** @throws InvalidParameter when the value isn't one of Docker's booleans. */
export function booleanFilter(filters: Filters, name: string): boolean | undefined {
  const value = filters[name]?.[0]?.toLowerCase();
  if (value === undefined) return undefined;
  if (["1", "true", "t"].includes(value)) return true;
  if (["0", "false", "f"].includes(value)) return false;
  throw new InvalidParameter(`invalid filter '${name}=[${value}]'`);
}

/** `until=24h`, a Unix time or RFC 3339, as milliseconds since the epoch. */
export function untilFilter(filters: Filters, now = Date.now()): number | undefined {
  const value = filters.until?.[0];
  if (value === undefined) return undefined;
  const span = /^(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?$/.exec(value);
  if (value !== "" && span)
    return now - ((+(span[1] ?? 0) * 60 + +(span[2] ?? 0)) * 60 + +(span[3] ?? 0)) * 1000;
  const time = /^\d+(\.\d+)?$/.test(value) ? Number(value) * 1000 : Date.parse(value);
  if (Number.isNaN(time))
    throw new InvalidParameter(`invalid value for "until" filter: ${JSON.stringify(value)}`);
  return time;
}
