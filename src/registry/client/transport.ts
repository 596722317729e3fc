/** One request to one endpoint: scheme, authentication, redirects and retries. */
import { Cancelled, GantryError, Unauthorized, Unavailable } from "../../lib/errors.ts";
import { outgoing } from "../../lib/outgoing.ts";
import type { Credentials } from "../types.ts";
import { Authorizer } from "./auth.ts";
import { backOff } from "./backoff.ts";
import type { Endpoint, HostPolicy } from "./endpoints.ts";
import { networkCode, unreachable } from "./errors.ts";
import type { TlsOptions } from "./tls.ts";

const maxRedirects = 10;
/** Tries of a request that may be sent again. */
const maxTries = 4;
/** For an answer's headers; the time that a streamed body takes is not counted. */
const answerTimeoutMs = 60_000;
const retriedStatus = new Set([429, 500, 502, 503, 504]);
const retriedCodes = new Set(["ECONNRESET", "EPIPE", "ECONNABORTED", "ConnectionClosed"]);

export interface RegistryRequest {
  method: "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** Path below the endpoint's prefix, or a URL that the registry gave. */
  target: string | URL;
  headers?: Record<string, string>;
  /** What is sent; a function is called anew for every try. */
  body?: Uint8Array | (() => AsyncIterable<Uint8Array>);
  /** Token scopes: `repository:library/ubuntu:pull`. */
  scopes?: readonly string[];
  /** Whether a failed try is followed by another; a streamed body is never sent again by itself. */
  retry?: boolean;
  signal?: AbortSignal;
}

export interface TransportOptions {
  endpoint: Endpoint;
  policy: HostPolicy;
  credentials: Credentials;
  userAgent: string;
  /** Ask the token server for a refresh token. */
  offline?: boolean;
}

export class Transport {
  readonly authorizer: Authorizer;
  /** Read once, so that a change in certs.d is seen by the next pull or push. */
  readonly #tls = new Map<string, Promise<TlsOptions>>();
  /** The origin that answered, once one did. */
  #origin: string | undefined;

  constructor(private readonly options: TransportOptions) {
    this.authorizer = new Authorizer(
      options.credentials,
      (url, init) => this.#withRetries(true, init.signal ?? undefined, () => this.#fetch(url, init)),
      options.offline,
    );
  }

  /** What is spoken to, for messages. */
  get origin(): string {
    return this.#origin ?? this.options.endpoint.origins[0]!;
  }

  /**
   * Sends and gives the answer, whatever its status; the caller reads or cancels the body.
   * @throws Unavailable when nothing answers, Unauthorized, Cancelled
   */
  async send(request: RegistryRequest): Promise<Response> {
    request.signal?.throwIfAborted();
    const retry = request.retry ?? typeof request.body !== "function";
    try {
      return await this.#withRetries(retry, request.signal, () => this.#authorized(request));
    } catch (error) {
      if (request.signal?.aborted) throw new Cancelled("context canceled", { cause: error });
      throw error;
    }
  }

  async #withRetries(
    retry: boolean,
    signal: AbortSignal | undefined,
    attempt: () => Promise<Response>,
  ): Promise<Response> {
    for (let tried = 1; ; tried++) {
      const last = !retry || tried === maxTries;
      let delay = 0;
      try {
        const response = await attempt();
        if (last || !retriedStatus.has(response.status)) return response;
        delay = retryAfterMs(response);
        await response.body?.cancel();
      } catch (error) {
        const cause = error instanceof Unavailable ? error.cause : error;
        if (last || signal?.aborted || !retriedCodes.has(networkCode(cause))) throw error;
      }
      await backOff(tried, signal, delay);
    }
  }

  async #authorized(request: RegistryRequest): Promise<Response> {
    const scopes = request.scopes ?? [];
    const header = await this.authorizer.header(scopes, request.signal);
    const response = await this.#toOrigin(request, header);
    if (response.status !== 401) return response;
    try {
      if (!this.authorizer.challenged(response, header)) return response;
    } catch (error) {
      if (!(error instanceof Unauthorized)) throw error;
      throw unauthorizedAt(request.method, response, error);
    }
    const next = await this.authorizer.header(scopes, request.signal);
    if (next === undefined || next === header) return response;
    await response.body?.cancel();
    return await this.#toOrigin(request, next);
  }

  /** Finds out with the first request which of the endpoint's origins is spoken to. */
  async #toOrigin(request: RegistryRequest, authorization: string | undefined): Promise<Response> {
    if (this.#origin) return await this.#follow(request, this.#origin, authorization);
    const { origins } = this.options.endpoint;
    for (const [i, origin] of origins.entries()) {
      try {
        const response = await this.#follow(request, origin, authorization);
        this.#origin = origin;
        return response;
      } catch (error) {
        const isNetwork = error instanceof Unavailable && !request.signal?.aborted;
        if (!isNetwork || i === origins.length - 1) throw error;
      }
    }
    throw new Unavailable("no endpoint");
  }

  async #follow(
    request: RegistryRequest,
    origin: string,
    authorization: string | undefined,
  ): Promise<Response> {
    const { target } = request;
    let url = typeof target === "string" ? new URL(this.options.endpoint.prefix + target, origin) : target;
    const method: string = request.method;
    // A URL that the registry gave may lie elsewhere, e.g. in a bucket that does not want to see the token. Who was
    // sent elsewhere comes back without it: the way is no longer the registry's own.
    let trusted = true;
    for (let redirects = 0; ; redirects++) {
      const headers = new Headers(request.headers);
      headers.set("user-agent", this.options.userAgent);
      trusted &&= url.origin === origin;
      if (authorization && trusted) headers.set("authorization", authorization);
      const body = typeof request.body === "function" ? streamOf(request.body()) : request.body;
      const response = await this.#fetch(url, { method, headers, body, signal: request.signal });
      const location = response.headers.get("location");
      if (!isRedirect(response.status, method) || location === null) return response;
      await response.body?.cancel();
      if (redirects === maxRedirects)
        throw new Unavailable(`${method} "${url.href}": stopped after 10 redirects`);
      url = new URL(location, url);
      if (!/^https?:$/.test(url.protocol)) {
        throw new Unavailable(`${method} "${url.href}": unsupported protocol scheme`);
      }
    }
  }

  #tlsOf(host: string): Promise<TlsOptions> {
    let found = this.#tls.get(host);
    if (!found) {
      found = this.options.policy.tls(host);
      this.#tls.set(host, found);
    }
    return found;
  }

  async #fetch(url: URL, init: RequestInit): Promise<Response> {
    const timeout = new AbortController();
    const streamed = init.body instanceof ReadableStream;
    const timer = streamed ? undefined : setTimeout(() => timeout.abort(), answerTimeoutMs);
    const signals = [init.signal, timeout.signal].filter((signal) => signal instanceof AbortSignal);
    try {
      const tls = url.protocol === "https:" ? await this.#tlsOf(url.host) : undefined;
      return await outgoing(url, { ...init, redirect: "manual", signal: AbortSignal.any(signals), tls });
    } catch (error) {
      if (error instanceof GantryError || init.signal?.aborted) throw error;
      const reason = timeout.signal.aborted ? new Error("timeout awaiting response headers") : error;
      throw unreachable(init.method ?? "GET", url, reason);
    } finally {
      clearTimeout(timer);
    }
  }
}

/** A method with a body is sent elsewhere only by the statuses that keep it. */
function isRedirect(status: number, method: string): boolean {
  if (status === 307 || status === 308) return true;
  return (method === "GET" || method === "HEAD") && (status === 301 || status === 302 || status === 303);
}

function retryAfterMs(response: Response): number {
  const text = response.headers.get("retry-after") ?? "";
  if (/^\d+$/.test(text)) return Number(text) * 1000;
  const date = Date.parse(text);
  return Number.isNaN(date) ? 0 : date - Date.now();
}

function unauthorizedAt(method: string, response: Response, error: Unauthorized): Unauthorized {
  const name = method.charAt(0) + method.slice(1).toLowerCase();
  return new Unauthorized(`${name} "${response.url}": ${error.message}`, { cause: error });
}

function streamOf(chunks: AsyncIterable<Uint8Array>): ReadableStream<Uint8Array> {
  const iterator = chunks[Symbol.asyncIterator]();
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      const next = await iterator.next();
      if (next.done) controller.close();
      else controller.enqueue(next.value);
    },
    async cancel() {
      await iterator.return?.();
    },
  });
}
