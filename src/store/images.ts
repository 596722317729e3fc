/** Images, their names, and what they keep alive. */
import { type Digest, isDigest } from "../lib/digest.ts";
import { InvalidParameter, NotFound } from "../lib/errors.ts";
import type { Descriptor } from "../lib/oci.ts";
import { parseImageConfig, parseManifest } from "../lib/oci-schema.ts";
import { chainIds } from "./chain.ts";
import type { FileContentStore } from "./content.ts";
import type { OverlaySnapshots } from "./snapshots.ts";
import type { ImageRecord, Images, Layers, Lease, Metadata, Table } from "./types.ts";

/** What a name stands for; a document, so that it may grow. */
interface Name {
  reference: string;
  id: Digest;
}

export class ImageStore implements Images {
  readonly #recordTable: Table<ImageRecord>;
  readonly #nameTable: Table<Name>;
  /** The tables' content: every `run` and `ps` asks for images, so that answers come from memory. */
  readonly #records: Map<Digest, ImageRecord>;
  readonly #names: Map<string, Digest>;
  readonly #leases = new Set<HeldLease>();
  readonly #roots: (() => Iterable<string>)[] = [];

  constructor(
    metadata: Metadata,
    private readonly content: FileContentStore,
    private readonly snapshots: OverlaySnapshots,
    private readonly layers: Layers,
  ) {
    this.#recordTable = metadata.table<ImageRecord>("images");
    this.#nameTable = metadata.table<Name>("image_names");
    this.#records = new Map(this.#recordTable.list().map((record) => [record.id, record]));
    this.#names = new Map(this.#nameTable.list().map(({ reference, id }) => [reference, id]));
  }

  /** Unpacks again what a crash has taken from images whose blobs are there. */
  async recover(): Promise<void> {
    for (const record of this.#records.values()) {
      const chain = record.layers.at(-1)?.chainId;
      if (chain === undefined || this.snapshots.stat(chain)) continue;
      await this.#unpack(record.layers).catch((error: unknown) =>
        console.error(`image ${record.id} has lost layers; pull it again:`, error),
      );
    }
  }

  async register(...[descriptor, options = {}]: Parameters<Images["register"]>): Promise<ImageRecord> {
    using lease = this.lease();
    lease.addBlob(descriptor.digest);
    const manifest = parseManifest(await this.content.bytes(descriptor.digest));
    lease.addBlob(manifest.config.digest);
    const config = parseImageConfig(await this.content.bytes(manifest.config.digest));
    const layers = pairLayers(manifest.layers, config.rootfs.diff_ids);
    for (const { chainId, descriptor } of layers) {
      lease.addSnapshot(chainId);
      lease.addBlob(descriptor.digest);
    }
    await this.#unpack(layers, options);
    const record: ImageRecord = {
      id: manifest.config.digest,
      manifest: descriptor.digest,
      manifestMediaType: descriptor.mediaType,
      config,
      platform: { os: config.os, architecture: config.architecture, variant: config.variant },
      layers,
      size: layers.reduce((sum, { chainId }) => sum + (this.snapshots.stat(chainId)?.size ?? 0), 0),
      createdAt: Date.now(),
    };
    // The same image under another manifest keeps its own: its names by digest speak of that one.
    const known = this.#records.get(record.id);
    if (known && this.content.has(known.manifest)) return known;
    this.#recordTable.put(record.id, record);
    this.#records.set(record.id, record);
    return record;
  }

  async #unpack(
    layers: ImageRecord["layers"],
    options: Parameters<Images["register"]>[1] = {},
  ): Promise<void> {
    for (const [index, { descriptor, diffId, chainId }] of layers.entries()) {
      if (this.snapshots.stat(chainId)) continue;
      const parent = layers[index - 1]?.chainId;
      await this.layers.unpack(descriptor.digest, { diffId, chainId, parent }, options.signal);
      options.onLayer?.(diffId);
    }
  }

  get(id: Digest): ImageRecord | undefined {
    return this.#records.get(id);
  }

  list(): ImageRecord[] {
    return [...this.#records.values()];
  }

  names(): Name[] {
    return Array.from(this.#names, ([reference, id]) => ({ reference, id }));
  }

  byName(reference: string): ImageRecord | undefined {
    const id = this.#names.get(reference);
    return id && this.#records.get(id);
  }

  byPrefix(prefix: string): ImageRecord[] {
    const exact = `sha256:${prefix}`;
    if (isDigest(exact)) return [this.#records.get(exact)].filter((record) => record !== undefined);
    return this.list().filter((record) => record.id.startsWith(exact));
  }

  tag(reference: string, id: Digest): void {
    if (!this.#records.has(id)) throw new NotFound(`No such image: ${id}`);
    if (this.#names.get(reference) === id) return;
    this.#nameTable.put(reference, { reference, id });
    this.#names.set(reference, id);
  }

  untag(reference: string): void {
    this.#nameTable.delete(reference);
    this.#names.delete(reference);
  }

  remove(id: Digest): void {
    for (const name of this.names()) if (name.id === id) this.untag(name.reference);
    this.#recordTable.delete(id);
    this.#records.delete(id);
  }

  async collect(): Promise<{ removed: Digest[]; bytes: number }> {
    const kept = this.#reached();
    let bytes = 0;
    // Newest first, so that those above go before those below; a row's number is its age.
    for (const { key, kind, size } of this.snapshots.list().reverse()) {
      if (kind === "active" || kept.snapshots.has(key)) continue;
      this.snapshots.remove(key);
      bytes += size ?? 0;
    }
    const removed: Digest[] = [];
    for (const { digest, size } of this.content.list()) {
      if (kept.blobs.has(digest) || this.content.isArriving(digest)) continue;
      this.content.remove(digest);
      removed.push(digest);
      bytes += size;
    }
    return { removed, bytes };
  }

  lease(): Lease {
    const lease = new HeldLease((ended) => this.#leases.delete(ended));
    this.#leases.add(lease);
    return lease;
  }

  addRoots(roots: () => Iterable<string>): void {
    this.#roots.push(roots);
  }

  #reached(): { blobs: Set<Digest>; snapshots: Set<string> } {
    const blobs = new Set<Digest>();
    const roots = new Set<string>(this.#roots.flatMap((list) => [...list()]));
    for (const { id, manifest, layers } of this.#records.values()) {
      blobs.add(id).add(manifest);
      for (const { descriptor, chainId } of layers) {
        blobs.add(descriptor.digest);
        roots.add(chainId);
      }
    }
    for (const lease of this.#leases) {
      for (const digest of lease.blobs) blobs.add(digest);
      for (const key of lease.snapshots) roots.add(key);
    }
    const snapshots = new Set<string>();
    const infos = new Map(this.snapshots.list().map((info) => [info.key, info]));
    const keep = (key: string | undefined) => {
      for (let at = key; at !== undefined && !snapshots.has(at); at = infos.get(at)?.parent)
        snapshots.add(at);
    };
    for (const key of roots) keep(key);
    for (const { key, kind } of infos.values()) if (kind === "active") keep(key);
    return { blobs, snapshots };
  }
}

class HeldLease implements Lease {
  readonly blobs = new Set<Digest>();
  readonly snapshots = new Set<string>();

  constructor(private readonly onEnd: (lease: HeldLease) => void) {}

  addBlob(digest: Digest): void {
    this.blobs.add(digest);
  }

  addSnapshot(key: string): void {
    this.snapshots.add(key);
  }

  [Symbol.dispose](): void {
    this.onEnd(this);
  }
}

/** @throws InvalidParameter when manifest and config count layers differently */
function pairLayers(layers: Descriptor[], diffIds: Digest[]): ImageRecord["layers"] {
  if (layers.length !== diffIds.length)
    throw new InvalidParameter(
      `invalid image: ${layers.length} layers in the manifest, ${diffIds.length} in the config`,
    );
  const chains = chainIds(diffIds);
  return layers.map((descriptor, index) => ({
    descriptor,
    diffId: diffIds[index]!,
    chainId: chains[index]!,
  }));
}
