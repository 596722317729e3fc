/** Packs the layers of a build while its later steps run: no step waits for compression. */
import type { Digest } from "../../lib/digest.ts";
import { type Descriptor, mediaTypes } from "../../lib/oci.ts";
import { own } from "../../lib/own.ts";
import type { Store } from "../../store/types.ts";
import type { CacheRecord, CacheRecords } from "../solve/records.ts";
import type { ImageFormat, LayerFormat } from "./types.ts";

export interface PackedLayer {
  descriptor: Descriptor;
  diffId: Digest;
}

/** A layer of the image in the making: the base's, or one whose step made `record`. */
export type Layer =
  | { base: PackedLayer & { chainId: string } }
  | { record: CacheRecord & { snapshot: string } };

/** How the layers of an image are packed. */
export function layerFormat({ compression, level, epoch, rewriteTimestamps }: ImageFormat): LayerFormat {
  return { compression, level, epoch: rewriteTimestamps ? epoch : undefined };
}

export class Packer implements AsyncDisposable {
  readonly #running = new Map<string, Promise<PackedLayer>>();
  readonly #abort = new AbortController();

  /** @param wanted the format that layers are packed in ahead of the export; undefined: there is no image */
  constructor(
    private readonly store: Store,
    private readonly records: CacheRecords,
    private readonly wanted: LayerFormat | undefined,
  ) {}

  /** Begins with a layer that will be part of the image. */
  ahead(record: CacheRecord & { snapshot: string }): void {
    if (this.wanted) void this.layer(record, this.wanted);
  }

  /** The packed layer; begins the work on the first call. Its failure is the caller's who waits for it. */
  layer(record: CacheRecord & { snapshot: string }, format: LayerFormat): Promise<PackedLayer> {
    const variant = variantOf(format);
    return this.#once(`${record.snapshot} ${variant}`, async () => {
      const known = variant === "" ? record.layer : record.variants?.[variant];
      if (known && this.store.content.has(known.descriptor.digest)) return known;
      const { compression, level = 1, epoch } = format;
      const options = { compression, level, epoch };
      const layer = await this.store.layers.pack(record.snapshot, options, this.#abort.signal);
      this.records.setLayer(record, layer, variant);
      return layer;
    });
  }

  /** A base image's layer in the compression of `format`. */
  base(layer: PackedLayer, format: LayerFormat): Promise<PackedLayer> {
    if (compressionOf(layer.descriptor) === format.compression) return Promise.resolve(layer);
    const { digest } = layer.descriptor;
    return this.#once(`${digest} ${variantOf(format)}`, async () => {
      const { compression, level = 1 } = format;
      return this.store.layers.recompress(digest, { compression, level }, this.#abort.signal);
    });
  }

  #once(key: string, work: () => Promise<PackedLayer>): Promise<PackedLayer> {
    let packed = this.#running.get(key);
    if (!packed) {
      packed = work();
      packed.catch(() => {});
      this.#running.set(key, packed);
    }
    return packed;
  }

  /** Stops what still runs, and waits until it has. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#abort.abort();
    await Promise.allSettled(this.#running.values());
  }
}

/** Tells formats apart; empty for the plain one. */
function variantOf({ compression, level, epoch }: LayerFormat): string {
  if (compression === "gzip" && level === undefined && epoch === undefined) return "";
  return `${compression} ${level ?? ""} ${epoch ?? ""}`;
}

const compressions: Record<string, LayerFormat["compression"]> = {
  [mediaTypes.ociLayer]: "none",
  [mediaTypes.dockerLayer]: "none",
  [mediaTypes.ociLayerGzip]: "gzip",
  [mediaTypes.dockerLayerGzip]: "gzip",
  [mediaTypes.ociLayerZstd]: "zstd",
  [mediaTypes.dockerLayerZstd]: "zstd",
};

export function compressionOf({ mediaType }: Descriptor): LayerFormat["compression"] | undefined {
  return own(compressions, mediaType);
}

/** Images from elsewhere carry either family of media types; the bytes are the same. */
export function layerMediaType(descriptor: Descriptor, oci: boolean): string {
  switch (compressionOf(descriptor)) {
    case "gzip":
      return oci ? mediaTypes.ociLayerGzip : mediaTypes.dockerLayerGzip;
    case "zstd":
      return oci ? mediaTypes.ociLayerZstd : mediaTypes.dockerLayerZstd;
    case "none":
      return oci ? mediaTypes.ociLayer : mediaTypes.dockerLayer;
    default:
      return descriptor.mediaType;
  }
}
