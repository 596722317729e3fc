/** What clients are told about an image that was written (BuildKit's exporter response, buildx's metadata file). */
import { formatPlatform } from "../graph/scope.ts";
import type { ExportedImage } from "./types.ts";

export function exporterResponse({ descriptor, configDigest, manifests, provenance, names }: ExportedImage) {
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
