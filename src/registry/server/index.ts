/** The registry server: OCI distribution 1.1 over HTTP, on a directory or a bucket. */
import { readFile } from "node:fs/promises";
import { InvalidParameter, messageOf } from "../../lib/errors.ts";
import { createRegistryClient } from "../client/client.ts";
import type { Credentials, ServedRegistry, ServeRegistry } from "../types.ts";
import { parseAddress, plainHttpAllowed, showAddress } from "./address.ts";
import { createAuthenticator } from "./auth/index.ts";
import { CacheLimit } from "./cache-limit.ts";
import { type Collected, type CollectOptions, collect, removeUnnamed } from "./collector.ts";
import { Forwarding } from "./forwarding.ts";
import { Handler } from "./handler.ts";
import { type Certificate, Listener } from "./listener.ts";
import { Metrics } from "./metrics.ts";
import { parseOptions, type RegistryOptions, type RegistrySettings } from "./options.ts";
import { answerProbe } from "./probes.ts";
import { PullThrough } from "./pull-through.ts";
import { RateLimit } from "./rate-limit.ts";
import type { ContentSource, Registry } from "./registry.ts";
import { openRegistry } from "./storage.ts";

export { readSettings as readRegistrySettings } from "./options.ts";

/**
 * Serves the registry at `root`, which it makes when missing.
 * @param settings as flags and file give them; `addr` is `HOST:PORT`: without a host all addresses, port 0 any free one
 * @throws InvalidParameter when an option is wrong, Unavailable when `addr` can't be bound or `root` is in use
 */
export const serveRegistry: ServeRegistry = async (settings) => {
  const options = parseOptions(settings);
  const address = parseAddress(options.addr);
  const tls = await readTls(options);
  if (!tls && !options["allow-insecure-http"] && !plainHttpAllowed(address)) {
    throw new InvalidParameter(
      `refusing to serve plain HTTP at ${options.addr}: give tls-cert and tls-key, or allow-insecure-http`,
    );
  }
  await using stack = new AsyncDisposableStack();
  const { registry } = stack.use(await openRegistry(options.root, options.storage));
  const metrics = new Metrics();
  const handler = await makeHandler(options, registry, metrics);
  // A bucket may be long and shared: there it waits for the collection.
  if (options.storage === undefined) await removeUnnamed(registry);
  stack.use(collectRegularly(registry, metrics, options));

  const isProbed = options["debug-addr"] === undefined && options.htpasswd === undefined && !options.token;
  const probes = { registry, metrics };
  const trusted = options["trusted-proxies"];
  const forwarding = trusted === undefined ? undefined : new Forwarding(trusted);
  const server = new Listener(address, tls, async (request, peer) => {
    const probe = await answerProbe(probes, request, isProbed ? "all" : "health");
    if (probe) return probe;
    const direct = () => ({ address: peer, origin: new URL(request.url).origin });
    return await handler.answer(request, forwarding?.clientOf(request, peer) ?? direct());
  });
  stack.defer(() => server.stop(options["shutdown-grace"]));
  if (options["debug-addr"] !== undefined) {
    const debug = new Listener(parseAddress(options["debug-addr"]), undefined, async (request) => {
      return (await answerProbe(probes, request, "all")) ?? new Response("not found\n", { status: 404 });
    });
    stack.defer(() => debug.stop(0));
  }
  const owned = stack.move();
  return {
    address: showAddress(address, server.port),
    async reload() {
      const certificate = await readTls(options);
      if (certificate) server.replaceCertificate(certificate);
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  } satisfies ServedRegistry;
};

/**
 * Collects garbage of a registry that nobody serves.
 * @throws Unavailable when it is served
 */
export async function collectRegistry(settings: RegistrySettings): Promise<Collected> {
  const options = parseOptions(settings);
  await using opened = await openRegistry(options.root, options.storage);
  return await collect(opened.registry, collectOptions(options));
}

function collectOptions(options: RegistryOptions): CollectOptions {
  return {
    graceMs: options["gc-grace"],
    uploadAgeMs: options["upload-age"],
    untagged: options["gc-untagged"],
  };
}

async function makeHandler(options: RegistryOptions, registry: Registry, metrics: Metrics): Promise<Handler> {
  const { token, htpasswd, access } = options;
  const tokens = token === true ? {} : token || undefined;
  const auth = await createAuthenticator(
    {
      htpasswd,
      access,
      anonymous: options["anonymous-pull"] ? ["pull"] : [],
      token: tokens && { ...tokens, signingKey: "signing-key" in tokens ? tokens["signing-key"] : undefined },
    },
    options.root,
  );
  const limitOf = (rate: RegistryOptions["limit-pulls"]) => (rate ? new RateLimit(rate) : undefined);
  return new Handler({
    registry,
    source: await sourceOf(options, registry, metrics),
    auth,
    metrics,
    pullLimit: limitOf(options["limit-pulls"]),
    requestLimit: limitOf(options["limit-requests"]),
    isReadOnly: options["read-only"] || options.proxy !== undefined,
    warning: options.warning,
  });
}

async function sourceOf(
  options: RegistryOptions,
  registry: Registry,
  metrics: Metrics,
): Promise<ContentSource> {
  if (options.proxy === undefined) return registry;
  const { host, protocol } = new URL(options.proxy);
  const client = createRegistryClient({ insecure: protocol === "http:" ? [host] : [] });
  const domain = host === "registry-1.docker.io" ? "docker.io" : host;
  const credentials = await proxyCredentials(options);
  const upstream = (path: string) => client.repository({ domain, path }, credentials);
  const maxSize = options["proxy-max-size"];
  const limit = maxSize === undefined ? undefined : new CacheLimit(registry, maxSize);
  return new PullThrough(registry, upstream, options["proxy-ttl"], metrics, limit);
}

/** From the options, or from GANTRY_PROXY_USERNAME and GANTRY_PROXY_PASSWORD. @throws InvalidParameter */
async function proxyCredentials(options: RegistryOptions): Promise<Credentials> {
  const username = options["proxy-username"] ?? process.env.GANTRY_PROXY_USERNAME;
  const path = options["proxy-password-file"];
  const password = path === undefined ? process.env.GANTRY_PROXY_PASSWORD : (await readText(path)).trim();
  return username === undefined ? {} : { username, password };
}

async function readTls(options: RegistryOptions): Promise<Certificate | undefined> {
  const { "tls-cert": cert, "tls-key": key } = options;
  if (cert === undefined && key === undefined) return undefined;
  if (cert === undefined || key === undefined) {
    throw new InvalidParameter("tls-cert and tls-key belong together");
  }
  return { cert: await readText(cert), key: await readText(key) };
}

/** @throws InvalidParameter */
async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    throw new InvalidParameter(`can't read ${path}`, { cause: error });
  }
}

/** Drops abandoned uploads always, and all else that nothing names when `gc-interval` says so. */
function collectRegularly(registry: Registry, metrics: Metrics, options: RegistryOptions): AsyncDisposable {
  const uploadAgeMs = options["upload-age"];
  const interval = options["gc-interval"] || Math.max(60_000, uploadAgeMs / 4);
  let running = Promise.resolve();
  let isBusy = false;
  const tick = async () => {
    try {
      if (options["gc-interval"] > 0) metrics.collected(await collect(registry, collectOptions(options)));
      else await registry.uploads.dropAbandoned(Date.now() - uploadAgeMs);
    } catch (error) {
      console.error(`registry: garbage collection: ${messageOf(error)}`);
    }
    isBusy = false;
  };
  const timer = setInterval(() => {
    if (isBusy) return;
    isBusy = true;
    running = tick();
  }, interval);
  return {
    async [Symbol.asyncDispose]() {
      clearInterval(timer);
      await running;
    },
  };
}
