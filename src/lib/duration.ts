import { InvalidParameter } from "./errors.ts";

/** Nanoseconds. */
const units: Record<string, number> = {
  ns: 1,
  us: 1e3,
  µs: 1e3,
  μs: 1e3,
  ms: 1e6,
  s: 1e9,
  m: 60e9,
  h: 3600e9,
  d: 86_400e9,
  w: 604_800e9,
};
const goForm = /^[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+$/;
const longForm = /^(?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h|d|w))+$/;

/**
 * Nanoseconds of a duration as Go writes it (`1m30s`, `500ms`; package time, ParseDuration); undefined when it is
 * none.
 * @param days the form of Compose files: `d` and `w` are units too, and there is no sign
 */
export function parseDuration(text: string, { days = false } = {}): number | undefined {
  if (text === "0") return 0;
  if (!(days ? longForm : goForm).test(text)) return undefined;
  let total = 0;
  for (const [, number, unit] of text.matchAll(/(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h|d|w)/g))
    total += Number(number) * units[unit!]!;
  return Math.round(text.startsWith("-") ? -total : total);
}

/** Milliseconds of a duration in an option: `90s`, `1h30m`, `7d`. @throws InvalidParameter */
export function parseMilliseconds(text: string): number {
  const nanoseconds = parseDuration(text, { days: true });
  if (nanoseconds === undefined)
    throw new InvalidParameter(`invalid duration ${JSON.stringify(text)}: as in 90s, 1h30m or 7d`);
  return nanoseconds / 1e6;
}
