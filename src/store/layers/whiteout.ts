/** Deletions in layers: OCI image-spec, layer.md "Whiteouts"; and Linux, overlayfs.rst "whiteouts and opaque directories". */
import type { ByteString } from "../../lib/tar/index.ts";

export const whiteoutPrefix = ".wh.";
/** In a directory: hides all that the layers below have in it. */
export const opaqueMarker = ".wh..wh..opq";
export const opaqueXattr = "trusted.overlay.opaque";

export const isOverlayXattr = (name: ByteString): boolean =>
  name.startsWith("trusted.overlay.") || name.startsWith("user.overlay.");
