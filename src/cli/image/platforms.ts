/** Platforms as flags take them and the API wants them. */
import { InvalidParameter } from "../../lib/errors.ts";

/** `linux/arm64/v8` as the JSON object that newer endpoints take; a lone word is an architecture. */
export function platformQuery(text: string | undefined): object | undefined {
  if (text === undefined) return undefined;
  const parts = text.split("/");
  const [os, architecture, variant] = parts.length === 1 ? ["linux", ...parts] : parts;
  if (!os || !architecture || parts.length > 3) throw new InvalidParameter(`invalid platform ${text}`);
  return { os, architecture, variant };
}

/** Several as repeated parameters, which an object of query parameters can't say. */
export function platformsQuery(parameter: string, platforms: readonly string[]): string {
  return platforms
    .map((text) => `${parameter}=${encodeURIComponent(JSON.stringify(platformQuery(text)))}`)
    .join("&");
}
