/** What clients are told about what was written (BuildKit's exporter response, buildx's metadata file). */
import { formatPlatform } from "../graph/scope.ts";
import type { BuildResult } from "../types.ts";
import type { ExportedImage } from "./types.ts";

export function exporterResponse({ image, cache }: Pick<BuildResult, "image" | "cache">) {
  return {
    ...(image && imageResponse(image)),
    // Always JSON in a text: clients name the cache in their directory by it.
    ...(cache && { "cache.manifest": JSON.stringify(cache) }),
  };
}

function imageResponse({ descriptor, configDigest, manifests, provenance, names }: ExportedImage) {
  const [only] = provenance;
  return {
    "containerimage.digest": descriptor.digest,
    "containerimage.descriptor": descriptor,
    // An index has no config of its own.
    ...(manifests.length === 1 && { "containerimage.config.digest": configDigest }),
    ...(only &&
      (manifests.length === 1
        ? { "buildx.build.provenance": only }
        : Object.fromEntries(
            manifests.map(({ platform }, i) => [
              `buildx.build.provenance/${formatPlatform(platform)}`,
              provenance[i],
            ]),
          ))),
    ...(names.length > 0 && { "image.name": names.join(",") }),
  };
}
