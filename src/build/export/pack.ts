/** Packs the layers of a build while its later steps run: no step waits for compression. */
import type { Digest } from "../../lib/digest.ts";
import { type Descriptor, mediaTypes } from "../../lib/oci.ts";
import { own } from "../../lib/own.ts";
import type { Lease, Store } from "../../store/types.ts";
import type { CacheRecord, CacheRecords } from "../solve/records.ts";
import type { SharedWork } from "../solve/shared.ts";
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
    private readonly parts: {
      store: Store;
      records: CacheRecords;
      shared: SharedWork<PackedLayer>;
      lease: Lease;
    },
    private readonly wanted: LayerFormat | undefined,
  ) {}

  /** Begins with a layer that will be part of the image. */
  ahead(record: CacheRecord & { snapshot: string }): void {
    if (this.wanted) void this.layer(record, this.wanted);
  }

  /** The packed layer; begins the work on the first call. Its failure is the caller's who waits for it. */
  layer(record: CacheRecord & { snapshot: string }, format: LayerFormat): Promise<PackedLayer> {
    const variant = variantOf(format);
    const { store, records } = this.parts;
    return this.#once(`${record.snapshot} ${variant}`, async (signal, key) => {
      const known = variant === "" ? record.layer : record.variants?.[variant];
      if (known && store.content.has(known.descriptor.digest)) return known;
      const { compression, level = 1, epoch } = format;
      const layer = await this.parts.shared.run(key, { signal }, (signal) =>
        store.layers.pack(record.snapshot, { compression, level, epoch }, signal),
      );
      records.setLayer(record, layer, variant);
      return layer;
    });
  }

  /** A base image's layer in the compression of `format`. */
  base(layer: PackedLayer, format: LayerFormat): Promise<PackedLayer> {
    if (compressionOf(layer.descriptor) === format.compression) return Promise.resolve(layer);
    const { digest } = layer.descriptor;
    const { compression, level = 1 } = format;
    return this.#once(`${digest} ${variantOf(format)}`, (signal, key) =>
      this.parts.shared.run(key, { signal }, (signal) =>
        this.parts.store.layers.recompress(digest, { compression, level }, signal),
      ),
    );
  }

  #once(key: string, work: (signal: AbortSignal, key: string) => Promise<PackedLayer>): Promise<PackedLayer> {
    let packed = this.#running.get(key);
    if (!packed) {
      packed = work(this.#abort.signal, key).then((layer) => {
        this.parts.lease.addBlob(layer.descriptor.digest);
        return layer;
      });
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
