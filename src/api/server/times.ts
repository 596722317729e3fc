/** Times as Go writes them. */
import { InvalidParameter } from "../../lib/errors.ts";

/** Go's zero time: never. */
export const never = "0001-01-01T00:00:00Z";

/** Milliseconds since the epoch as RFC 3339; undefined is Go's zero time. */
export const rfc3339 = (ms: number | undefined): string =>
  ms === undefined ? never : new Date(ms).toISOString().replace("Z", "000000Z");

/** Nanoseconds since the epoch as RFC 3339 with all nine digits. */
export function rfc3339Nano(ns: bigint): string {
  const seconds = new Date(Number(ns / 1_000_000_000n) * 1000).toISOString().slice(0, 19);
  return `${seconds}.${String(ns % 1_000_000_000n).padStart(9, "0")}Z`;
}

/**
 * `1.5` or `1700000000.000000001` seconds since the epoch, or RFC 3339, as nanoseconds; none for "" and "0". Clients
 * turn durations into these.
 * @throws InvalidParameter
 */
export function parseTimestamp(text: string): bigint | undefined {
  if (text === "" || text === "0") return undefined;
  const match = /^(-?\d+)(?:\.(\d{1,9})\d*)?$/.exec(text);
  if (match) return BigInt(match[1]!) * 1_000_000_000n + BigInt((match[2] ?? "").padEnd(9, "0"));
  const ms = Date.parse(text);
  if (Number.isNaN(ms))
    throw new InvalidParameter(
      `invalid time ${JSON.stringify(text)}: seconds since 1970 or RFC 3339 is wanted`,
    );
  return BigInt(ms) * 1_000_000n;
}
