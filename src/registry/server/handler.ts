/** From request to answer: limits, authentication, access, then the endpoint. */

import { messageOf } from "../../lib/errors.ts";
import { type Action, type Authenticator, everybody, type Principal } from "./auth/index.ts";
import * as blobs from "./blob-handlers.ts";
import { DistributionError } from "./errors.ts";
import type { Client } from "./forwarding.ts";
import * as manifests from "./manifest-handlers.ts";
import type { Metrics } from "./metrics.ts";
import type { RateLimit } from "./rate-limit.ts";
import { listReferrers } from "./referrers.ts";
import type { ContentSource, Registry } from "./registry.ts";
import { parseRoute, type Route } from "./route.ts";

export interface HandlerParts {
  registry: Registry;
  /** Where pulls get their content. */
  source: ContentSource;
  auth: Authenticator | undefined;
  metrics: Metrics;
  /** Of manifests pulled, as Docker Hub counts; by user, or by address. */
  pullLimit?: RateLimit;
  /** Of all requests, by address. */
  requestLimit?: RateLimit;
  isReadOnly: boolean;
  /** For the `Warning` header of every answer. */
  warning?: string;
}

export class Handler {
  constructor(private readonly parts: HandlerParts) {}

  async answer(request: Request, client: Client): Promise<Response> {
    const startedAt = performance.now();
    const limitHeaders: Record<string, string> = {};
    let kind = "other";
    let response: Response;
    try {
      Object.assign(limitHeaders, this.parts.requestLimit?.take(client.address));
      const path = new URL(request.url).pathname;
      const route = parseRoute(path);
      kind = route?.kind ?? "other";
      if (route) response = await this.#serve(request, route, client, limitHeaders);
      else if (path === "/token" && this.parts.auth?.issueToken) response = await this.#token(request);
      else throw new DistributionError("UNSUPPORTED", undefined, { status: 404, message: "not found" });
    } catch (error) {
      response = toResponse(error, request);
    }
    const { headers } = response;
    headers.set("Docker-Distribution-Api-Version", "registry/2.0");
    // A refusal tells of its own limit.
    for (const name in limitHeaders) if (!headers.has(name)) headers.set(name, limitHeaders[name]!);
    if (this.parts.warning !== undefined) headers.set("Warning", `299 - "${this.parts.warning}"`);
    this.parts.metrics.request(request.method, kind, response.status, (performance.now() - startedAt) / 1000);
    return response;
  }

  async #token(request: Request): Promise<Response> {
    if (request.method !== "GET" && request.method !== "POST") throw new DistributionError("UNSUPPORTED");
    return await this.parts.auth!.issueToken!(request);
  }

  async #serve(
    request: Request,
    route: Route,
    client: Client,
    limitHeaders: Record<string, string>,
  ): Promise<Response> {
    const principal = await this.#admit(request, route, client.origin);
    if (this.parts.isReadOnly && actionOf(request, route) !== "pull")
      throw new DistributionError("UNSUPPORTED");
    if (this.parts.pullLimit && route.kind === "manifest" && request.method === "GET") {
      Object.assign(limitHeaders, this.parts.pullLimit.take(principal.user ?? client.address));
    }
    return await dispatch(this.parts, request, route, principal);
  }

  /** @throws DistributionError UNAUTHORIZED, DENIED */
  async #admit(request: Request, route: Route, origin: string): Promise<Principal> {
    const { auth } = this.parts;
    if (!auth) return everybody;
    const principal = await auth.authenticate(request, origin);
    const { isAllowed, scope } = judge(principal, request, route);
    if (isAllowed) return principal;
    if (principal.user !== undefined && !auth.hasScopes) throw new DistributionError("DENIED");
    throw new DistributionError("UNAUTHORIZED", undefined, {
      headers: { "WWW-Authenticate": auth.challenge(origin, scope) },
    });
  }
}

function judge(principal: Principal, request: Request, route: Route): { isAllowed: boolean; scope?: string } {
  // Clients ask the base for the challenge: it is for those who have signed in, even where anyone may pull.
  if (route.kind === "base") {
    return { isAllowed: principal.user !== undefined || principal.isToken };
  }
  if (route.kind === "catalog") return { isAllowed: principal.mayList, scope: "registry:catalog:*" };
  const action = actionOf(request, route);
  const scope = `repository:${route.name}:${action === "push" ? "pull,push" : action}`;
  return { isAllowed: principal.allows(route.name, action), scope };
}

/** What a request does to its repository. */
function actionOf(request: Request, route: Route): Action {
  if (request.method === "GET" || request.method === "HEAD") {
    return route.kind === "upload" ? "push" : "pull";
  }
  return request.method === "DELETE" && route.kind !== "upload" ? "delete" : "push";
}

function toResponse(error: unknown, request: Request): Response {
  if (error instanceof DistributionError) return error.toResponse();
  console.error(`registry: ${request.method} ${request.url}: ${messageOf(error)}`);
  return Response.json({ errors: [{ code: "UNKNOWN", message: "unknown error" }] }, { status: 500 });
}

async function dispatch(
  { registry, source, metrics }: HandlerParts,
  request: Request,
  route: Route,
  principal: Principal,
): Promise<Response> {
  const mayPull = (repository: string) => principal.allows(repository, "pull");
  // A HEAD is answered as the GET, without the body.
  const method = request.method === "HEAD" ? "GET" : request.method;
  switch (route.kind) {
    case "base":
      if (method === "GET") return Response.json({});
      break;
    case "catalog":
      if (method === "GET") return await manifests.listRepositories(registry, request, principal.sees);
      break;
    case "tags":
      if (method === "GET") return await manifests.listTags(registry, request, route.name);
      break;
    case "referrers":
      if (method === "GET") return await listReferrers(registry, source, request, route.name, route.digest);
      break;
    case "manifest":
      if (method === "GET") {
        return await manifests.getManifest(registry, source, request, route.name, route.reference);
      }
      if (method === "PUT")
        return await manifests.putManifest(registry, request, route.name, route.reference);
      if (method === "DELETE") return await manifests.deleteManifest(registry, route.name, route.reference);
      break;
    case "blob":
      if (method === "GET") {
        const response = await blobs.getBlob(registry, source, request, route.name, route.digest);
        if (response.body)
          metrics.count("sent_bytes_total", "", Number(response.headers.get("content-length")));
        return response;
      }
      if (method === "DELETE") return await blobs.deleteBlob(registry, route.name, route.digest);
      break;
    case "uploads":
      if (method === "POST") return await blobs.beginUpload(registry, request, route.name, mayPull);
      break;
    case "upload":
      if (method === "GET") return await blobs.uploadStatus(registry, route.name, route.id);
      if (method === "PATCH") return await blobs.appendUpload(registry, request, route.name, route.id);
      if (method === "PUT") return await blobs.finishUpload(registry, request, route.name, route.id);
      if (method === "DELETE") return await blobs.cancelUpload(registry, route.name, route.id);
      break;
  }
  throw new DistributionError("UNSUPPORTED");
}
