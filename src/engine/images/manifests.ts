/** What an image's target is made of, and what others have stated about it. */
import * as v from "valibot";
import { InvalidParameter } from "../../lib/errors.ts";
import type { Platform } from "../../lib/oci.ts";
import { parseManifest } from "../../lib/oci-schema.ts";
import { attestedBy } from "../../store/index.ts";
import type { Target } from "../../store/types.ts";
import type { Context } from "../context.ts";
import type { Attestation, ContainerRecord, ManifestSummary } from "../types.ts";
import { findTarget } from "./names.ts";

/** Each manifest of a target, in its order. */
export function manifestsOf(
  { store: { content, images } }: Context,
  target: Target,
  containers: readonly ContainerRecord[],
): ManifestSummary[] {
  return target.manifests.map(({ descriptor, kind, image, blobs }) => {
    const record = image && images.get(image);
    const here = [descriptor.digest, ...(blobs ?? [])].filter((digest) => content.has(digest));
    return {
      descriptor,
      available: blobs !== undefined,
      kind,
      contentSize: here.reduce((sum, digest) => sum + content.size(digest), 0),
      ...(kind === "image" &&
        (record || descriptor.platform) && {
          image: {
            platform: descriptor.platform ?? record!.platform,
            containers: containers.filter(({ imageId }) => imageId === image).map(({ id }) => id),
            unpackedSize: record?.size ?? 0,
          },
        }),
      ...(kind === "attestation" && { attestedFor: attestedBy(descriptor) }),
    };
  });
}

/** The layer's annotation that names the statement's predicate (BuildKit's attestation-storage.md). */
const predicateAnnotation = "in-toto.io/predicate-type";
const statementSchema = v.looseObject({ predicateType: v.string() });

/** @throws NotFound when the image is not here, InvalidParameter for a statement that is none */
export async function attestationsOf(
  { store: { content, images } }: Context,
  name: string,
  options: { platform?: Platform; types: string[]; statement: boolean },
): Promise<Attestation[]> {
  const { record, target } = findTarget(images, name, options.platform);
  const about = target.manifests.find(({ image }) => image === record.id)?.descriptor.digest;
  const found: Attestation[] = [];
  for (const { descriptor, kind, blobs } of target.manifests) {
    if (kind !== "attestation" || !blobs || attestedBy(descriptor) !== about) continue;
    const { layers } = parseManifest(await content.bytes(descriptor.digest));
    for (const layer of layers) {
      const statement = parseStatement(await content.bytes(layer.digest));
      const predicateType = layer.annotations?.[predicateAnnotation] ?? statement.predicateType;
      if (options.types.length > 0 && !options.types.includes(predicateType)) continue;
      found.push({ descriptor: layer, predicateType, ...(options.statement && { statement }) });
    }
  }
  return found;
}

function parseStatement(bytes: Uint8Array): v.InferOutput<typeof statementSchema> {
  try {
    return v.parse(statementSchema, JSON.parse(Buffer.from(bytes).toString()));
  } catch (error) {
    throw new InvalidParameter("an attestation of the image is not an in-toto statement", { cause: error });
  }
}
