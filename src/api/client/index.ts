import { ApiClientOverHttp, type ClientOptions } from "./client.ts";
import type { ApiClient, Endpoint } from "./types.ts";

export type { ClientOptions } from "./client.ts";
export { errorOf, isEngineError } from "./client.ts";
export * from "./endpoint.ts";
export * from "./types.ts";

/** A client for one engine. Nothing is opened before the first request. */
export function createClient(endpoint: Endpoint, options?: ClientOptions): ApiClient {
  return new ApiClientOverHttp(endpoint, options);
}
