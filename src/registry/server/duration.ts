import { InvalidParameter } from "../../lib/errors.ts";

const units: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** `90s`, `1h30m`, `7d`, as Go writes durations, and days. @returns ms @throws InvalidParameter */
export function parseDuration(text: string): number {
  if (text === "0") return 0;
  if (!/^(?:\d{1,9}(?:ms|s|m|h|d))+$/.test(text)) {
    throw new InvalidParameter(`invalid duration ${JSON.stringify(text)}`);
  }
  let total = 0;
  for (const [, count, unit] of text.matchAll(/(\d+)(ms|s|m|h|d)/g)) total += Number(count) * units[unit!]!;
  return total;
}
