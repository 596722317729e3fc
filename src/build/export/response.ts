/** What clients are told about an image that was written (BuildKit's exporter response, buildx's metadata file). */
import type { ExportedImage } from "./types.ts";

export function exporterResponse({ descriptor, configDigest, manifests, names }: ExportedImage) {
  return {
    "containerimage.digest": descriptor.digest,
    "containerimage.descriptor": descriptor,
    // An index has no config of its own.
    ...(manifests.length === 1 && { "containerimage.config.digest": configDigest }),
    ...(names.length > 0 && { "image.name": names.join(",") }),
  };
}
