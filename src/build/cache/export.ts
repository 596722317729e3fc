/** Gives the steps of a build to others: their records as a document, their layers as blobs beside it. */

import { InvalidParameter } from "../../lib/errors.ts";
import { type Descriptor, type Index, type Manifest, mediaTypes } from "../../lib/oci.ts";
import { defaultTag, parseReference } from "../../lib/reference.ts";
import { putBytes, putDocument } from "../export/image.ts";
import type { BuiltPlatform, ExportParts } from "../export/index.ts";
import type { PackedLayer } from "../export/pack.ts";
import { openRepository } from "../export/push.ts";
import type { CacheRecord } from "../solve/records.ts";
import { cacheConfigType, formatCache, type PortableRecord } from "./document.ts";
import { cacheDirectory, type StoredCache } from "./options.ts";

type ShowProgress = (name: string, current: number, total: number) => void;

/**
 * Writes records and layers where `target` says.
 * @returns the manifest @throws what pushing and the signal throw
 */
export async function exportCache(
  parts: ExportParts,
  platforms: BuiltPlatform[],
  target: StoredCache,
  onProgress: ShowProgress,
): Promise<Descriptor> {
  const { store } = parts.backend;
  const { lease } = parts;
  const records = await portableRecords(parts, platforms, target);
  const layers = new Map(
    records.flatMap(({ layer }) => (layer ? [[layer.descriptor.digest, layer.descriptor]] : [])),
  );
  const config = await putBytes({ store, lease }, cacheConfigType, formatCache(records));
  const blobs = [...layers.values()];
  const document: Manifest | Index = target.imageManifest
    ? { schemaVersion: 2, mediaType: mediaTypes.ociManifest, config, layers: blobs }
    : { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: [...blobs, config] };
  const manifest = await putDocument({ store, lease }, document.mediaType!, document);
  await deliver(parts, target, { blobs: [...blobs, config], manifest }, onProgress);
  return manifest;
}

async function portableRecords(
  { lease }: ExportParts,
  platforms: BuiltPlatform[],
  { all, format }: StoredCache,
): Promise<PortableRecord[]> {
  const records = new Map<string, PortableRecord>();
  for (const { packer, state, records: used } of platforms) {
    const inImage = new Set(state.layers.flatMap((layer) => ("record" in layer ? layer.record.id : [])));
    for (const record of used()) {
      const { snapshot } = record;
      if (snapshot !== undefined && !all && !inImage.has(record.id)) continue;
      const layer = snapshot === undefined ? undefined : await packer.layer({ ...record, snapshot }, format);
      if (layer) lease.addBlob(layer.descriptor.digest);
      records.set(record.id, portable(record, layer));
    }
  }
  return [...records.values()];
}

async function deliver(
  { backend, request, signal }: ExportParts,
  target: StoredCache,
  { blobs, manifest }: { blobs: Descriptor[]; manifest: Descriptor },
  onProgress: ShowProgress,
): Promise<void> {
  const { content } = backend.store;
  if (target.type === "local") {
    const directory = request.blobDirectory?.(cacheDirectory(target.directory));
    if (!directory)
      throw new InvalidParameter(
        `the client has no session in which it takes a cache to ${target.directory}`,
      );
    for (const blob of [...blobs, manifest])
      await directory.write(
        blob,
        () => content.open(blob.digest),
        signal,
        (bytes) => onProgress(blob.digest, bytes, blob.size),
      );
    return;
  }
  const { ref } = target;
  const repository = await openRepository(backend, ref, { credentials: request.credentials, signal });
  for (const blob of blobs)
    await repository.pushBlob(blob, () => content.open(blob.digest), {
      onProgress: (bytes) => onProgress(blob.digest, bytes, blob.size),
      signal,
    });
  const tag = parseReference(ref).tag ?? defaultTag;
  const bytes = await content.bytes(manifest.digest);
  await repository.pushManifest(tag, bytes, manifest.mediaType, signal);
}

/** The cache that an image carries in its config: of its own layers. @param layers as they are in the image */
export function inlineCache({ state, records }: BuiltPlatform, layers: readonly PackedLayer[]): Uint8Array {
  const packed = new Map(
    state.layers.flatMap((layer, i) => ("record" in layer ? [[layer.record.id, layers[i]!] as const] : [])),
  );
  const own = records().filter(({ id, snapshot }) => snapshot === undefined || packed.has(id));
  return formatCache(own.map((record) => portable(record, packed.get(record.id))));
}

function portable(
  { id, result, description, createdAt }: CacheRecord,
  layer: PackedLayer | undefined,
): PortableRecord {
  return { key: id, result, layer, description, createdAt };
}
