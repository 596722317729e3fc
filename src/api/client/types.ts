/** The lean client of the Engine API that the CLI and Compose speak. One connection a request; no node:http. */

/** Where the engine is. */
export type Endpoint =
  | { kind: "unix"; path: string }
  | {
      kind: "tcp";
      host: string;
      port: number;
      tls?: { ca?: string; cert?: string; key?: string; verify: boolean };
    };

export interface RequestOptions {
  /** Undefined values are left out; objects are sent as JSON (filters). */
  query?: Record<string, string | number | boolean | object | undefined>;
  /** An object is sent as JSON; bytes and streams as they are (chunked). */
  body?: object | Uint8Array | AsyncIterable<Uint8Array>;
  /** A list is a header that comes several times. */
  headers?: Record<string, string | readonly string[]>;
  signal?: AbortSignal;
}

export interface ApiResponse {
  status: number;
  /** Lower-case names. */
  headers: Record<string, string>;
  /** Read at most once. */
  body: AsyncIterable<Uint8Array>;
}

/** A hijacked connection: raw bytes both ways. */
export interface RawStream {
  readonly status: number;
  readonly headers: Record<string, string>;
  /** Bytes from the engine; ends when it closes its side. */
  readonly output: AsyncIterable<Uint8Array>;
  /** Resolves when the bytes are accepted (backpressure). */
  write(bytes: Uint8Array): Promise<void>;
  /** Half-close: no more input. */
  end(): void;
  close(): void;
}

export interface ApiClient {
  readonly endpoint: Endpoint;
  /** The answer whatever its status. @throws Unavailable "Cannot connect to the Gantry daemon at …. Is the daemon running?" */
  send(method: string, path: string, options?: RequestOptions): Promise<ApiResponse>;
  /** JSON of a 2xx answer (undefined for an empty one). @throws the class of lib/errors.ts that fits the status, with the engine's message */
  call<T>(method: string, path: string, options?: RequestOptions): Promise<T>;
  /** Newline-separated JSON messages of a 2xx answer (pull, push, build, events, stats). */
  messages<T>(method: string, path: string, options?: RequestOptions): AsyncIterable<T>;
  /** Upgrades to a raw stream (attach, exec start). */
  hijack(method: string, path: string, options?: RequestOptions): Promise<RawStream>;
}
/**
 * Exported by api/client/index.ts as `createClient(endpoint)` and `endpointFromEnvironment(env, overrides)`.
 * Paths are given without version (`/containers/json`); the client prefixes `/v1.51`.
 */
export type CreateClient = (endpoint: Endpoint) => ApiClient;
