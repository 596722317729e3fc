/** `proxies` of config.json: what containers are told of the way to the network. */
import { describeEndpoint } from "../../api/client/index.ts";
import type { CliContext } from "../context.ts";

/** Settings, and the variables that carry each, in both spellings that programs look for. */
const variables = {
  allProxy: "ALL_PROXY",
  ftpProxy: "FTP_PROXY",
  httpProxy: "HTTP_PROXY",
  httpsProxy: "HTTPS_PROXY",
  noProxy: "NO_PROXY",
} as const;

/**
 * `env` with the proxies that are configured for this engine, or for all by `default`. What is set already stays.
 * @param env `NAME=value`
 */
export function withProxies(context: CliContext, env: readonly string[]): string[] {
  const { proxies } = context.config;
  if (!proxies) return [...env];
  const settings = proxies[describeEndpoint(context.client.endpoint)] ?? proxies.default ?? {};
  const names = new Set(env.map((entry) => entry.split("=", 1)[0]));
  const added = Object.entries(variables).flatMap(([setting, name]) => {
    const value = settings[setting];
    if (!value) return [];
    return [name, name.toLowerCase()].flatMap((each) => (names.has(each) ? [] : [`${each}=${value}`]));
  });
  return [...env, ...added];
}
