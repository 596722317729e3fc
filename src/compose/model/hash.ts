/**
 * Hashes of configurations, the same as Docker Compose computes over its own JSON, so that neither recreates what the
 * other has made (label `com.docker.compose.config-hash`).
 */
import { digestOf, hexOf } from "../../lib/digest.ts";
import { hashedNetwork, hashedService, hashedVolume } from "./render.ts";
import type { NetworkConfig, Service, VolumeConfig } from "./types.ts";

/** What a service's containers depend on; scale, build and dependencies don't count. */
export function serviceHash(service: Service): string {
  return hashOf(hashedService(service));
}

export function networkHash(network: NetworkConfig): string {
  return hashOf(hashedNetwork(network));
}

export function volumeHash(volume: VolumeConfig): string {
  return hashOf(hashedVolume(volume));
}

/** Go's JSON escapes what HTML would take for markup. */
function hashOf(data: unknown): string {
  const json = JSON.stringify(data).replace(
    /[<>&\u2028\u2029]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
  return hexOf(digestOf(json));
}
