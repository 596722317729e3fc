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

/** What images take of the disk: unpacked layers, and blobs as they came. Bytes. */
export interface DiskSizes {
  /** Of all, what several have counted once. */
  total: number;
  of(record: ImageRecord): { size: number; sharedSize: number };
}

export function diskSizes(store: Store): DiskSizes {
  const { images, snapshots, content } = store;
  const bytes = new Map<string, number>();
  const uses = new Map<string, number>();
  const members = images.members();
  const partsOf = (record: ImageRecord): Set<string> => {
    const targets = [record.manifest, ...images.namesOf(record.id).map(({ target }) => target)];
    const parts = new Set<string>();
    for (const target of new Set(targets).values().map((digest) => images.target(digest)!)) {
      for (const layer of layersOf(store, record, target)) {
        if (!bytes.has(layer)) bytes.set(layer, snapshots.stat(layer)?.size ?? 0);
        parts.add(layer);
      }
      const blobs = target.manifests.flatMap(({ descriptor, blobs }) =>
        blobs ? [descriptor.digest, ...blobs] : [],
      );
      for (const digest of [target.descriptor.digest, ...blobs]) {
        // A layer's chain can have the name of its blob.
        const part = `blob ${digest}`;
        if (!bytes.has(part)) bytes.set(part, content.has(digest) ? content.size(digest) : 0);
        parts.add(part);
      }
    }
    return parts;
  };
  const sum = (parts: Iterable<string>) =>
    Array.from(parts, (part) => bytes.get(part)!).reduce((a, b) => a + b, 0);
  for (const record of images.list())
    for (const part of partsOf(record))
      uses.set(part, (uses.get(part) ?? 0) + (members.has(record.id) ? 0 : 1));
  return {
    total: sum(uses.keys()),
    of(record) {
      const parts = partsOf(record);
      const shared = [...parts].filter((part) => uses.get(part)! > 1);
      return { size: sum(parts), sharedSize: sum(shared) };
    },
  };
}
