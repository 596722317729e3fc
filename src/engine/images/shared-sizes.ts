import type { ImageRecord, Store } from "../../store/types.ts";

/** A function that tells how many bytes of an image's layers other images have too. */
export function sharedSizes({ images, snapshots }: Store): (record: ImageRecord) => number {
  const uses = new Map<string, number>();
  for (const { layers } of images.list())
    for (const { chainId } of layers) uses.set(chainId, (uses.get(chainId) ?? 0) + 1);
  return ({ layers }) =>
    layers
      .filter(({ chainId }) => uses.get(chainId)! > 1)
      .reduce((sum, { chainId }) => sum + (snapshots.stat(chainId)?.size ?? 0), 0);
}
