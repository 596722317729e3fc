/** Requests to the world outside: through the process's proxies, and to nothing but HTTP. */
import { InvalidParameter, messageOf, Unavailable } from "./errors.ts";
import { type Proxies, proxyOf } from "./proxies.ts";

const maxRedirects = 10;
/** For an answer's headers, in milliseconds; a body takes the time it takes. */
const answerTimeout = 60_000;

let proxies: Proxies = {};

/**
 * Takes the proxies out of the environment, where Bun would see them and apply its own rules. What is configured comes
 * before what the environment says.
 */
export function takeProxies(configured: Proxies, env: Record<string, string | undefined>): void {
  const take = (name: string): string | undefined => {
    const found = env[name] ?? env[name.toLowerCase()];
    delete env[name];
    delete env[name.toLowerCase()];
    return found;
  };
  const [http, https, no] = [take("HTTP_PROXY"), take("HTTPS_PROXY"), take("NO_PROXY")];
  proxies = {
    http: configured.http ?? http,
    https: configured.https ?? https,
    no: configured.no ?? no,
  };
}

/** Those that were taken. */
export const currentProxies = (): Readonly<Proxies> => proxies;

/** For a program that makes requests of its own. */
export function proxyVariables(): Record<string, string> {
  const { http, https, no } = proxies;
  return {
    ...(http && { http_proxy: http }),
    ...(https && { https_proxy: https }),
    ...(no && { no_proxy: no }),
  };
}

/** As `fetch`, through the proxy that applies. */
export function outgoing(url: URL, init: BunFetchRequestInit = {}): Promise<Response> {
  return fetch(url, { ...init, proxy: proxyOf(url, proxies) });
}

/**
 * What a URL has, redirects followed, of scheme http or https all the way.
 * @throws InvalidParameter for no such URL or a refusal, Unavailable when nobody answers
 */
export async function openUrl(text: string, signal: AbortSignal): Promise<Response> {
  let url = parseUrl(text);
  for (let redirects = 0; ; redirects++) {
    const response = await answerOf(url, signal);
    const location = response.headers.get("location");
    if (![301, 302, 303, 307, 308].includes(response.status) || location === null) {
      if (response.ok && response.body) return response;
      await response.body?.cancel();
      throw new InvalidParameter(
        `failed to GET ${url.href} with status ${response.status} ${response.statusText}`.trim(),
      );
    }
    await response.body?.cancel();
    if (redirects === maxRedirects)
      throw new Unavailable(`Get "${text}": stopped after ${maxRedirects} redirects`);
    url = parseUrl(location, url);
  }
}

async function answerOf(url: URL, signal: AbortSignal): Promise<Response> {
  const timeout = new AbortController();
  const timer = setTimeout(() => timeout.abort(), answerTimeout);
  try {
    return await outgoing(url, { redirect: "manual", signal: AbortSignal.any([signal, timeout.signal]) });
  } catch (error) {
    signal.throwIfAborted();
    const reason = timeout.signal.aborted ? "timeout awaiting response headers" : messageOf(error);
    throw new Unavailable(`Get "${url.href}": ${reason}`, { cause: error });
  } finally {
    clearTimeout(timer);
  }
}

function parseUrl(text: string, base?: URL): URL {
  const url = URL.canParse(text, base?.href) ? new URL(text, base) : undefined;
  if (url && /^https?:$/.test(url.protocol)) return url;
  throw new InvalidParameter(`${JSON.stringify(text)} is not a URL of http or https`);
}
