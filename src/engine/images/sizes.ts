/** Bytes that images take unpacked; an image for several platforms has the layers of all that are here. */
import type { ImageRecord, Images, Snapshots, Store, Target } from "../../store/types.ts";
import { imagesOf, targetOf } from "./names.ts";

/** Keys of the layers, each once. */
export function layersOf(
  { images }: Pick<Store, "images">,
  record: ImageRecord,
  target: Target = targetOf(images, record),
): Set<string> {
  const all = [record, ...imagesOf(images, target)];
  return new Set(all.flatMap(({ layers }) => layers.map(({ chainId }) => chainId)));
}

/** Those of all images. */
export function allLayers(images: Images): Set<string> {
  return new Set(images.list().flatMap(({ layers }) => layers.map(({ chainId }) => chainId)));
}

export function sizeOf(snapshots: Pick<Snapshots, "stat">, layers: Iterable<string>): number {
  let bytes = 0;
  for (const layer of layers) bytes += snapshots.stat(layer)?.size ?? 0;
  return bytes;
}

/** A function that tells how many bytes of an image's layers other images have too. */
export function sharedSizes(store: Store): (record: ImageRecord) => number {
  const { images, snapshots } = store;
  const members = images.members();
  const uses = new Map<string, number>();
  for (const record of images.list()) {
    if (members.has(record.id)) continue;
    for (const layer of layersOf(store, record)) uses.set(layer, (uses.get(layer) ?? 0) + 1);
  }
  return (record) =>
    sizeOf(
      snapshots,
      [...layersOf(store, record)].filter((layer) => (uses.get(layer) ?? 0) > 1),
    );
}
