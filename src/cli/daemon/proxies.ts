/** Names that never go through a proxy, as in Go's net/http, which Docker uses. */
const localNames = "localhost,127.0.0.1,::1";

/**
 * Puts the configured proxies where all that speaks HTTP reads them: our own requests, and programs that are started
 * (git). What is not configured stays as it is.
 */
export function applyProxies(
  proxies: { http?: string; https?: string; no?: string },
  env: Record<string, string | undefined>,
): void {
  const set = (name: string, value: string | undefined) => {
    const found = value ?? env[name] ?? env[name.toLowerCase()];
    if (found === undefined) return;
    env[name] = found;
    env[name.toLowerCase()] = found;
  };
  set("HTTP_PROXY", proxies.http);
  set("HTTPS_PROXY", proxies.https);
  const exceptions = proxies.no ?? env.NO_PROXY ?? env.no_proxy;
  set("NO_PROXY", exceptions ? `${exceptions},${localNames}` : localNames);
}
