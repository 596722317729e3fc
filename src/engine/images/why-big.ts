import type { HistoryEntry, Platform } from "../../lib/oci.ts";
import { parseManifest } from "../../lib/oci-schema.ts";
import type { Context } from "../context.ts";
import type { ImageWeight } from "../types.ts";
import { findTarget, requireImage } from "./names.ts";

/**
 * What makes an image big: each layer with the step that made it, the biggest files, and what was written in vain.
 * @throws NotFound
 */
export async function weighImage(
  { store }: Context,
  name: string,
  options: { platform?: Platform; limit: number },
  signal: AbortSignal,
): Promise<ImageWeight> {
  const { record, target } = findTarget(store.images, name, options.platform);
  requireImage(record, name);
  const manifest =
    target.manifests.find(({ image, blobs }) => image === record.id && blobs)?.descriptor.digest ??
    record.manifest;
  const { layers } = parseManifest(await store.content.bytes(manifest));
  using lease = store.images.lease();
  for (const { digest } of layers) lease.addBlob(digest);
  const weights = await store.layers.weigh(
    layers.map(({ digest }) => digest),
    options.limit,
    signal,
  );
  const steps = (record.config.history ?? []).filter((entry: HistoryEntry) => !entry.empty_layer);
  return {
    id: record.id,
    ...weights,
    layers: weights.layers.map((weight, index) => ({
      ...weight,
      digest: layers[index]!.digest,
      compressed: layers[index]!.size,
      createdBy: steps[index]?.created_by ?? "",
    })),
  };
}
