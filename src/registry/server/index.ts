/** The registry server: OCI distribution 1.1 over HTTP, with files and SQLite below one directory. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { InvalidParameter, messageOf, Unavailable } from "../../lib/errors.ts";
import type { RegistryServer, ServeRegistry } from "../types.ts";
import * as blobs from "./blob-handlers.ts";
import { DistributionError } from "./errors.ts";
import { openFileBlobs } from "./file-blobs.ts";
import * as manifests from "./manifest-handlers.ts";
import { Registry } from "./registry.ts";
import { parseRoute, type Route } from "./route.ts";
import { SqliteMetadata } from "./sqlite-metadata.ts";

/** Seconds a connection may stay silent: Bun's longest. A client may hash a layer between two requests. */
const idleTimeout = 255;

/**
 * Serves the registry at `root`, which it makes when missing.
 * @param options.addr `HOST:PORT`; without a host all addresses, port 0 any free one
 * @throws InvalidParameter when `addr` is no address, Unavailable when it can't be bound or `root` is in use
 */
export const serveRegistry: ServeRegistry = async ({ addr, root }) => {
  const { hostname, port } = parseAddress(addr);
  await mkdir(root, { recursive: true });
  const metadata = new SqliteMetadata(join(root, "registry.db"));
  try {
    const registry = new Registry(await openFileBlobs(root), metadata);
    await registry.sweep();
    const server = listen(registry, hostname, port);
    return {
      address: `${hostname.includes(":") ? `[${hostname}]` : hostname}:${server.port}`,
      async [Symbol.asyncDispose]() {
        await server.stop(true);
        await registry.uploads.endAll();
        metadata.close();
      },
    } satisfies RegistryServer;
  } catch (error) {
    metadata.close();
    throw error;
  }
};

/** @throws Unavailable */
function listen(registry: Registry, hostname: string, port: number): Bun.Server<undefined> {
  try {
    return Bun.serve({
      hostname,
      port,
      idleTimeout,
      // A layer has no limit: it goes to disk as it comes.
      maxRequestBodySize: Number.MAX_SAFE_INTEGER,
      fetch: (request) => answer(registry, request),
    });
  } catch (error) {
    throw new Unavailable(`listen tcp ${hostname}:${port}: ${messageOf(error)}`, { cause: error });
  }
}

function parseAddress(addr: string): { hostname: string; port: number } {
  const match = /^(?:\[([0-9a-fA-F:]+)\]|([^:[\]]*)):(\d{1,5})$/.exec(addr);
  if (!match || Number(match[3]) > 65535)
    throw new InvalidParameter(`invalid address ${JSON.stringify(addr)}`);
  return { hostname: match[1] ?? (match[2] || "0.0.0.0"), port: Number(match[3]) };
}

async function answer(registry: Registry, request: Request): Promise<Response> {
  let response: Response;
  try {
    const route = parseRoute(new URL(request.url).pathname);
    response = route
      ? await dispatch(registry, request, route)
      : new DistributionError("UNSUPPORTED", undefined, { status: 404, message: "not found" }).toResponse();
  } catch (error) {
    if (!(error instanceof DistributionError)) {
      console.error(`registry: ${request.method} ${request.url}: ${messageOf(error)}`);
      response = Response.json({ errors: [{ code: "UNKNOWN", message: "unknown error" }] }, { status: 500 });
    } else {
      response = error.toResponse();
    }
  }
  response.headers.set("Docker-Distribution-Api-Version", "registry/2.0");
  return response;
}

async function dispatch(registry: Registry, request: Request, route: Route): Promise<Response> {
  // A HEAD is answered as the GET, without the body.
  const method = request.method === "HEAD" ? "GET" : request.method;
  switch (route.kind) {
    case "base":
      if (method === "GET") return Response.json({});
      break;
    case "catalog":
      if (method === "GET") return await manifests.listRepositories(registry, request);
      break;
    case "tags":
      if (method === "GET") return await manifests.listTags(registry, request, route.name);
      break;
    case "referrers":
      if (method === "GET") return await manifests.listReferrers(registry, request, route.name, route.digest);
      break;
    case "manifest":
      if (method === "GET")
        return await manifests.getManifest(registry, request, route.name, route.reference);
      if (method === "PUT")
        return await manifests.putManifest(registry, request, route.name, route.reference);
      if (method === "DELETE") return await manifests.deleteManifest(registry, route.name, route.reference);
      break;
    case "blob":
      if (method === "GET") return await blobs.getBlob(registry, request, route.name, route.digest);
      if (method === "DELETE") return await blobs.deleteBlob(registry, route.name, route.digest);
      break;
    case "uploads":
      if (method === "POST") return await blobs.beginUpload(registry, request, route.name);
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
