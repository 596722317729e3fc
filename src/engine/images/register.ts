import type { Digest } from "../../lib/digest.ts";
import { type ImageConfig, type Manifest, mediaTypes } from "../../lib/oci.ts";
import { familiar, parseReference } from "../../lib/reference.ts";
import type { Context } from "../context.ts";
import { imageEvent } from "./events.ts";
import { fullName } from "./names.ts";

/** Writes config and manifest, registers the image, and names it when asked. Returns its id. */
export async function registerImage(
  context: Context,
  config: ImageConfig,
  layers: Manifest["layers"],
  reference?: string,
  /** The config's exact bytes, when its digest must be kept. */
  raw: Uint8Array = Buffer.from(JSON.stringify(config)),
): Promise<Digest> {
  const { store } = context;
  using lease = store.images.lease();
  const configDigest = await store.content.put(raw);
  lease.addBlob(configDigest);
  const manifest: Manifest = {
    schemaVersion: 2,
    mediaType: mediaTypes.ociManifest,
    config: { mediaType: mediaTypes.ociConfig, digest: configDigest, size: raw.length },
    layers,
  };
  const bytes = Buffer.from(JSON.stringify(manifest));
  const digest = await store.content.put(bytes);
  lease.addBlob(digest);
  const record = await store.images.register({
    mediaType: mediaTypes.ociManifest,
    digest,
    size: bytes.length,
  });
  if (reference) {
    const name = fullName(reference);
    store.images.tag(name, record.id);
    imageEvent(context, record, "tag", familiar(parseReference(name)));
  }
  return record.id;
}
