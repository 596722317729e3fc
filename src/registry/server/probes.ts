/** What operators ask: `/healthz` and `/metrics`. */
import { digestOf } from "../../lib/digest.ts";
import { messageOf } from "../../lib/errors.ts";
import type { Metrics } from "./metrics.ts";
import type { Registry } from "./registry.ts";

const someDigest = digestOf("");
/** A store that takes longer is not well. Ms. */
const healthTimeout = 5_000;

/** @returns undefined when the request is for something else */
export async function answerProbe(
  { registry, metrics }: { registry: Registry; metrics: Metrics },
  request: Request,
  which: "all" | "health",
): Promise<Response | undefined> {
  // Of the registry's own paths, all begin with /v2.
  const { pathname } = new URL(request.url);
  if (pathname === "/healthz") return await health(registry);
  if (pathname === "/metrics" && which === "all") {
    return new Response(metrics.render(), { headers: { "Content-Type": "text/plain; version=0.0.4" } });
  }
  return undefined;
}

/** 200 when both stores answer. */
async function health(registry: Registry): Promise<Response> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error("the storage does not answer")), healthTimeout);
  try {
    const stores = Promise.all([registry.metadata.hasRepository("health"), registry.blobs.size(someDigest)]);
    await Promise.race([stores, late]);
    return new Response("ok\n");
  } catch (error) {
    console.error(`registry: health: ${messageOf(error)}`);
    return new Response("unavailable\n", { status: 503 });
  } finally {
    clearTimeout(timer);
  }
}
