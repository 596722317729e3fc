/** Packs the layers of a build while its later steps run: no step waits for compression. */
import { type Digest, digestOf } from "../../lib/digest.ts";
import type { Descriptor } from "../../lib/oci.ts";
import type { Lease, Store } from "../../store/types.ts";
import type { CacheRecord, CacheRecords } from "../solve/records.ts";
import type { SharedWork } from "../solve/shared.ts";

export interface PackedLayer {
  descriptor: Descriptor;
  diffId: Digest;
}

/** A layer of the image in the making: the base's, or one whose step made `record`. */
export type Layer =
  | { base: PackedLayer & { chainId: string } }
  | { record: CacheRecord & { snapshot: string } };

export class Packer implements AsyncDisposable {
  readonly #running = new Map<string, Promise<PackedLayer>>();
  readonly #abort = new AbortController();

  constructor(
    private readonly store: Store,
    private readonly records: CacheRecords,
    private readonly shared: SharedWork<PackedLayer>,
    private readonly lease: Lease,
  ) {}

  /** The packed layer; begins the work on the first call. Its failure is the caller's who waits for it. */
  layer(record: CacheRecord & { snapshot: string }): Promise<PackedLayer> {
    let packed = this.#running.get(record.snapshot);
    if (!packed) {
      packed = this.#pack(record);
      packed.catch(() => {});
      this.#running.set(record.snapshot, packed);
    }
    return packed;
  }

  async #pack(record: CacheRecord & { snapshot: string }): Promise<PackedLayer> {
    if (record.layer && this.store.content.has(record.layer.descriptor.digest)) return record.layer;
    const options = { compression: "gzip", level: 1 } as const;
    const { signal } = this.#abort;
    const layer = await this.shared.run(record.snapshot, { signal }, (signal) =>
      this.store.layers.pack(record.snapshot, options, signal),
    );
    this.lease.addBlob(layer.descriptor.digest);
    this.records.setLayer(record, layer);
    return layer;
  }

  /** Stops what still runs, and waits until it has. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#abort.abort();
    await Promise.allSettled(this.#running.values());
  }
}

/** OCI image-spec, config.md "Layer ChainID". */
export function chainIds(diffIds: Digest[]): Digest[] {
  const chain: Digest[] = [];
  for (const diffId of diffIds) {
    const parent = chain.at(-1);
    chain.push(parent === undefined ? diffId : digestOf(`${parent} ${diffId}`));
  }
  return chain;
}
