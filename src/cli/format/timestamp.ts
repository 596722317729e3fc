import { InvalidParameter } from "../../lib/errors.ts";
import { parseGoDuration } from "../args/values.ts";

/**
 * A time as `--since` and `--until` take it, as the API's `seconds.nanoseconds`: RFC 3339 with parts left out (local
 * time), seconds since 1970, or a span back from now.
 * @throws InvalidParameter
 */
export function timestamp(text: string, now: number): string {
  if (/^\d+(?:\.\d+)?$/.test(text)) return text;
  try {
    return seconds(now - parseGoDuration(text) / 1e6);
  } catch {
    const match =
      /^(\d{4}-\d{2}-\d{2})(?:T(\d{2})(?::(\d{2})(?::(\d{2})(\.\d{1,9})?)?)?)?(Z|[-+]\d{2}:\d{2})?$/.exec(
        text,
      );
    if (!match)
      throw new InvalidParameter(`failed to parse value as time or duration: ${JSON.stringify(text)}`);
    const [, day, hour = "00", minute = "00", second = "00", fraction = "", zone = ""] = match;
    const whole = Date.parse(`${day}T${hour}:${minute}:${second}${zone}`);
    if (Number.isNaN(whole))
      throw new InvalidParameter(`failed to parse value as time or duration: ${JSON.stringify(text)}`);
    return `${whole / 1000}.${fraction.slice(1).padEnd(9, "0")}`;
  }
}

function seconds(milliseconds: number): string {
  return `${Math.floor(milliseconds / 1000)}.${String(Math.floor(milliseconds % 1000)).padStart(3, "0")}000000`;
}
