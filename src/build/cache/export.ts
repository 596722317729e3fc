/** Gives the steps of a build to others: their records as a document, their layers as blobs of a registry. */
import { type Manifest, mediaTypes } from "../../lib/oci.ts";
import { defaultTag, parseReference } from "../../lib/reference.ts";
import { putBytes } from "../export/image.ts";
import type { BuiltPlatform, ExportParts } from "../export/index.ts";
import type { PackedLayer } from "../export/pack.ts";
import { openRepository } from "../export/push.ts";
import type { CacheRecord } from "../solve/records.ts";
import { cacheConfigType, formatCache, type PortableRecord } from "./document.ts";
import type { CacheTarget } from "./options.ts";

/** Layers of caches are packed the way that images have them by default. */
const format = { compression: "gzip" } as const;

/** @throws what pushing and the signal throw */
export async function exportCache(
  { backend, request, lease, signal }: ExportParts,
  platforms: BuiltPlatform[],
  { ref, all }: Extract<CacheTarget, { type: "registry" }>,
  onProgress: (name: string, current: number, total: number) => void,
): Promise<void> {
  const { store } = backend;
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
  const repository = await openRepository(backend, ref, { credentials: request.credentials, signal });
  const layers = new Map(
    [...records.values()].flatMap(({ layer }) => (layer ? [[layer.descriptor.digest, layer]] : [])),
  );
  for (const { descriptor } of layers.values())
    await repository.pushBlob(descriptor, () => store.content.open(descriptor.digest), {
      onProgress: (bytes) => onProgress(descriptor.digest, bytes, descriptor.size),
      signal,
    });
  const config = await putBytes({ store, lease }, cacheConfigType, formatCache([...records.values()]));
  await repository.pushBlob(config, () => store.content.open(config.digest), { signal });
  const manifest: Manifest = {
    schemaVersion: 2,
    mediaType: mediaTypes.ociManifest,
    config,
    layers: [...layers.values()].map(({ descriptor }) => descriptor),
  };
  const tag = parseReference(ref).tag ?? defaultTag;
  await repository.pushManifest(tag, Buffer.from(JSON.stringify(manifest)), mediaTypes.ociManifest, signal);
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
