import { type Descriptor, mediaTypes, type Platform } from "../../lib/oci.ts";
import { parseImageConfig, parseIndex, parseManifest } from "../../lib/oci-schema.ts";
import { normalize, parseReference } from "../../lib/reference.ts";
import type { Credentials } from "../../registry/types.ts";
import type { Context } from "../context.ts";

/** An image's configuration is read up to here. Bytes. */
const maxConfig = 8 << 20;

/**
 * What a registry has under a name: its descriptor and the platforms that it is for. Nothing is kept.
 * @throws NotFound, Unauthorized, Unavailable
 */
export async function inspectDistribution(
  context: Context,
  text: string,
  options: { auth?: Credentials; signal: AbortSignal },
): Promise<{ descriptor: Descriptor; platforms: Platform[] }> {
  const reference = normalize(parseReference(text));
  const repository = context.registry.repository(reference, options.auth);
  const { descriptor, bytes } = await repository.manifest(reference.digest ?? reference.tag!, options.signal);
  if (descriptor.mediaType === mediaTypes.ociIndex || descriptor.mediaType === mediaTypes.dockerList) {
    const platforms = parseIndex(bytes).manifests.flatMap(({ platform }) => platform ?? []);
    return { descriptor, platforms };
  }
  const { config } = parseManifest(bytes);
  // An artifact's config says nothing of a platform.
  if (config.size > maxConfig || !isImageConfig(config.mediaType)) return { descriptor, platforms: [] };
  const chunks: Uint8Array[] = [];
  for await (const chunk of await repository.blob(config, 0, options.signal))
    chunks.push(chunk as Uint8Array);
  const { os, architecture, variant } = parseImageConfig(Buffer.concat(chunks));
  return { descriptor, platforms: [{ os, architecture, ...(variant && { variant }) }] };
}

const isImageConfig = (mediaType: string) =>
  mediaType === mediaTypes.ociConfig || mediaType === mediaTypes.dockerConfig;
