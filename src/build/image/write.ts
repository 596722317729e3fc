/** The last step: what a stage has come to becomes config, manifest and tags. */
import { digestOf } from "../../lib/digest.ts";
import { newId } from "../../lib/ids.ts";
import {
  type Descriptor,
  type HistoryEntry,
  type ImageConfig,
  type Manifest,
  mediaTypes,
} from "../../lib/oci.ts";
import { own } from "../../lib/own.ts";
import type { Lease, Store } from "../../store/types.ts";
import { activePrefix } from "../exec/workspace.ts";
import type { StageState } from "../solve/stage.ts";
import type { BuildRequest, BuildResult } from "../types.ts";
import { chainIds, type PackedLayer, type Packer } from "./pack.ts";

/** Layers of images from older registries carry Docker's media type; the bytes are the same. */
const layerTypes: Record<string, string> = { [mediaTypes.dockerLayerGzip]: mediaTypes.ociLayerGzip };

/** @throws what packing, registering and the signal throw */
export async function writeImage(
  parts: { store: Store; packer: Packer; lease: Lease },
  request: BuildRequest,
  state: StageState,
  signal: AbortSignal,
): Promise<Omit<BuildResult, "warnings">> {
  const { store, packer, lease } = parts;
  const layers = await Promise.all(
    state.layers.map((layer) => ("base" in layer ? layer.base : packer.layer(layer.record))),
  );
  signal.throwIfAborted();
  const chain = chainIds(layers.map(({ diffId }) => diffId));
  for (const [i, layer] of state.layers.entries()) {
    if ("record" in layer) await nameByChain(store, chain[i]!, layer.record, lease);
  }
  const config = await put(store, lease, mediaTypes.ociConfig, imageConfig(state, layers, request.labels));
  const manifest = await put(store, lease, mediaTypes.ociManifest, {
    schemaVersion: 2,
    mediaType: mediaTypes.ociManifest,
    config,
    layers: layers.map(({ descriptor: { digest, size, mediaType } }) => ({
      mediaType: own(layerTypes, mediaType) ?? mediaType,
      digest,
      size,
    })),
  } satisfies Manifest);
  const image = await store.images.register(manifest, { signal });
  for (const tag of request.tags) store.images.tag(tag, image.id);
  return { imageId: image.id, manifest };
}

/**
 * The tree of a step is kept under the builder's own name, as its chain id is known only after packing. The chain
 * id becomes an empty snapshot on top of it: the same tree, with no byte written twice.
 */
async function nameByChain(
  store: Store,
  chainId: string,
  record: { snapshot: string; size: number },
  lease: Lease,
): Promise<void> {
  lease.addSnapshot(chainId);
  if (store.snapshots.stat(chainId)) return;
  const key = activePrefix + newId();
  store.snapshots.prepare(key, record.snapshot);
  try {
    await store.snapshots.commit(chainId, key, record.size);
  } catch (error) {
    store.snapshots.remove(key);
    // Another build has just named the same layer.
    if (!store.snapshots.stat(chainId)) throw error;
  }
}

function imageConfig(state: StageState, layers: PackedLayer[], labels: Record<string, string>): ImageConfig {
  const { base, platform } = state;
  const own = state.history.map(
    ({ createdAt, createdBy, emptyLayer }): HistoryEntry => ({
      created: new Date(createdAt).toISOString(),
      created_by: createdBy,
      comment: "gantry",
      ...(emptyLayer ? { empty_layer: true } : {}),
    }),
  );
  const last = Math.max(...state.history.map(({ createdAt }) => createdAt));
  const Labels = Object.keys(labels).length > 0 ? { ...state.config.Labels, ...labels } : state.config.Labels;
  return {
    // From the records, not the clock: the same build from the cache is the same image.
    created: Number.isFinite(last)
      ? new Date(last).toISOString()
      : (base?.config.created ?? new Date(0).toISOString()),
    author: state.author,
    architecture: platform.architecture,
    variant: platform.variant,
    os: platform.os,
    config: { ...state.config, Labels },
    rootfs: { type: "layers", diff_ids: layers.map(({ diffId }) => diffId) },
    history: [...(base?.config.history ?? []), ...own],
  };
}

async function put(
  store: Store,
  lease: Lease,
  mediaType: string,
  document: ImageConfig | Manifest,
): Promise<Descriptor> {
  const bytes = Buffer.from(JSON.stringify(document));
  lease.addBlob(digestOf(bytes));
  return { mediaType, digest: await store.content.put(bytes), size: bytes.length };
}
