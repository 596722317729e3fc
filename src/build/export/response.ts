/** What clients are told about what was written (BuildKit's exporter response, buildx's metadata file). */
import { formatPlatform } from "../graph/scope.ts";
import type { BuildResult } from "../types.ts";
import type { ExportedImage } from "./types.ts";

export function exporterResponse({
  image,
  cache,
  provenance,
}: Pick<BuildResult, "image" | "cache" | "provenance">) {
  return {
    ...(image && imageResponse(image)),
    ...provenanceResponse(provenance),
    // Always JSON in a text: clients name the cache in their directory by it.
    ...(cache && { "cache.manifest": JSON.stringify(cache) }),
  };
}

function imageResponse({ descriptor, configDigest, manifests, names }: ExportedImage) {
  return {
    "containerimage.digest": descriptor.digest,
    "containerimage.descriptor": descriptor,
    // An index has no config of its own.
    ...(manifests.length === 1 && { "containerimage.config.digest": configDigest }),
    ...(names.length > 0 && { "image.name": names.join(",") }),
  };
}

function provenanceResponse(provenance: BuildResult["provenance"]): Record<string, object> {
  const key = "buildx.build.provenance";
  if (provenance.length === 1) return { [key]: provenance[0]!.body };
  return Object.fromEntries(
    provenance.map(({ platform, body }) => [`${key}/${formatPlatform(platform)}`, body]),
  );
}
