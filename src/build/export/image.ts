/** What a stage has come to, written as an image: config and manifest in the content store. */
import { digestOf } from "../../lib/digest.ts";
import {
  type Descriptor,
  type HistoryEntry,
  type ImageConfig,
  type Manifest,
  mediaTypes,
  type Platform,
} from "../../lib/oci.ts";
import { platformDistance } from "../../lib/platform.ts";
import type { Lease, Store } from "../../store/types.ts";
import type { BuiltState } from "../solve/stage.ts";
import { layerFormat, layerMediaType, type PackedLayer, type Packer } from "./pack.ts";
import type { Annotation, AnnotationLevel, ImageFormat } from "./types.ts";

/** The image of one platform. */
export interface WrittenImage {
  platform: Platform;
  state: BuiltState;
  config: Descriptor;
  manifest: Descriptor;
  layers: PackedLayer[];
}

export interface ImageParts {
  store: Store;
  packer: Packer;
  lease: Lease;
}

/**
 * @param labels go over those of the Dockerfile
 * @param inlineCache what the config carries for builds to come, given the image's layers
 * @throws what packing and the signal throw
 */
export async function writeImage(
  { store, packer, lease }: ImageParts,
  state: BuiltState,
  {
    format,
    labels,
    inlineCache,
  }: {
    format: ImageFormat;
    labels: Record<string, string>;
    inlineCache?: (layers: PackedLayer[]) => Uint8Array;
  },
  signal: AbortSignal,
): Promise<WrittenImage> {
  const wanted = layerFormat(format);
  const layers = await Promise.all(
    state.layers.map((layer) => {
      if ("record" in layer) return packer.layer(layer.record, wanted);
      return format.force ? packer.base(layer.base, wanted) : layer.base;
    }),
  );
  signal.throwIfAborted();
  for (const { descriptor } of layers) lease.addBlob(descriptor.digest);
  const config = await putDocument(
    { store, lease },
    format.oci ? mediaTypes.ociConfig : mediaTypes.dockerConfig,
    {
      ...imageConfig(state, layers, labels, format.epoch),
      ...(inlineCache && { [inlineCacheField]: Buffer.from(inlineCache(layers)).toString("base64") }),
    },
  );
  const { platform } = state;
  const manifest = await putDocument(
    { store, lease },
    format.oci ? mediaTypes.ociManifest : mediaTypes.dockerManifest,
    {
      schemaVersion: 2,
      mediaType: format.oci ? mediaTypes.ociManifest : mediaTypes.dockerManifest,
      config,
      layers: layers.map(({ descriptor }) => ({
        mediaType: layerMediaType(descriptor, format.oci),
        digest: descriptor.digest,
        size: descriptor.size,
      })),
      ...annotationsFor(format.annotations, "manifest", platform),
    } satisfies Manifest,
  );
  return { platform, state, config, manifest, layers };
}

/** Where an image's config holds the cache that it brings along (BuildKit's `type=inline`). */
export const inlineCacheField = "moby.buildkit.cache.v0";

/** As the field of a document or descriptor; nothing when there are none. */
export function annotationsFor(
  annotations: readonly Annotation[],
  level: AnnotationLevel,
  platform?: Platform,
): { annotations?: Record<string, string> } {
  const found = annotations.filter(
    (one) =>
      one.level === level &&
      (one.platform === undefined ||
        (platform !== undefined && platformDistance(platform, one.platform) !== undefined)),
  );
  if (found.length === 0) return {};
  return { annotations: Object.fromEntries(found.map(({ key, value }) => [key, value])) };
}

function imageConfig(
  state: BuiltState,
  layers: PackedLayer[],
  labels: Record<string, string>,
  epoch: number | undefined,
): ImageConfig {
  const { base, platform } = state;
  const fixed = epoch === undefined ? undefined : new Date(epoch * 1000).toISOString();
  const own = state.history.map(
    ({ createdAt, createdBy, emptyLayer }): HistoryEntry => ({
      created: fixed ?? new Date(createdAt).toISOString(),
      created_by: createdBy,
      comment: "gantry",
      ...(emptyLayer ? { empty_layer: true } : {}),
    }),
  );
  const last = Math.max(...state.history.map(({ createdAt }) => createdAt));
  const rootfs = { type: "layers" as const, diff_ids: layers.map(({ diffId }) => diffId) };
  if (state.written) return { ...state.written, ...platform, rootfs };
  const Labels = Object.keys(labels).length > 0 ? { ...state.config.Labels, ...labels } : state.config.Labels;
  return {
    // From the records, not the clock: the same build from the cache is the same image.
    created:
      fixed ??
      (Number.isFinite(last)
        ? new Date(last).toISOString()
        : (base?.config.created ?? new Date(0).toISOString())),
    author: state.author,
    architecture: platform.architecture,
    variant: platform.variant,
    os: platform.os,
    config: { ...state.config, Labels },
    rootfs,
    history: [...(base?.config.history ?? []), ...own],
  };
}

/** Stores a JSON document. */
export async function putDocument(
  { store, lease }: Pick<ImageParts, "store" | "lease">,
  mediaType: string,
  document: object,
): Promise<Descriptor> {
  return putBytes({ store, lease }, mediaType, Buffer.from(JSON.stringify(document)));
}

/** Stores a document's bytes. */
export async function putBytes(
  { store, lease }: Pick<ImageParts, "store" | "lease">,
  mediaType: string,
  bytes: Uint8Array,
): Promise<Descriptor> {
  lease.addBlob(digestOf(bytes));
  return { mediaType, digest: await store.content.put(bytes), size: bytes.length };
}
