/** Images, their names, and what they keep alive. */
import { type Digest, isDigest } from "../lib/digest.ts";
import { NotFound } from "../lib/errors.ts";
import { parseImageConfig, parseManifest } from "../lib/oci-schema.ts";
import { together } from "../lib/together.ts";
import { type FileContentStore, ingestLifetime } from "./content.ts";
import { artifactRecord, pairLayers } from "./records.ts";
import type { OverlaySnapshots } from "./snapshots.ts";
import {
  childrenOf,
  imageTarget,
  isImage,
  lookAt,
  ownTarget,
  principal,
  Targets,
  withReferrers,
} from "./targets.ts";
import type {
  ImageName,
  ImageRecord,
  Images,
  Layers,
  Lease,
  Metadata,
  Table,
  Target,
  TargetManifest,
} from "./types.ts";

export class ImageStore implements Images {
  readonly #recordTable: Table<ImageRecord>;
  readonly #nameTable: Table<ImageName>;
  readonly #targets: Targets;
  /** The tables' content: every `run` and `ps` asks for images, so that answers come from memory. */
  readonly #records: Map<Digest, ImageRecord>;
  readonly #byManifest: Map<Digest, ImageRecord>;
  /** Asked for with every list of images; a blob doesn't change. */
  readonly #manifestSizes = new Map<Digest, number>();
  readonly #names: Map<string, ImageName>;
  readonly #namesOf = new Map<Digest, Map<string, ImageName>>();
  readonly #leases = new Set<HeldLease>();
  readonly #roots: (() => Iterable<string>)[] = [];

  constructor(
    metadata: Metadata,
    private readonly content: FileContentStore,
    private readonly snapshots: OverlaySnapshots,
    private readonly layers: Layers,
  ) {
    this.#recordTable = metadata.table<ImageRecord>("images");
    this.#nameTable = metadata.table<ImageName>("image_names");
    this.#targets = new Targets(metadata);
    this.#records = new Map(this.#recordTable.list().map((record) => [record.id, record]));
    this.#byManifest = new Map(this.list().map((record) => [record.manifest, record]));
    this.#names = new Map(this.#nameTable.list().map((name) => [name.reference, name]));
    for (const name of this.#names.values()) this.#addName(name);
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
    if (!isImage(manifest)) {
      const artifact = artifactRecord(this.content, descriptor, manifest);
      if (!this.#records.has(artifact.id)) this.#putRecord(artifact);
      return this.#records.get(artifact.id)!;
    }
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
    const known = this.#records.get(record.id);
    // The same image under another manifest, e.g. compressed otherwise: a target of its own, which names may mean. One
    // with referrers may be there from before, and must know of the image.
    if ((known && known.manifest !== descriptor.digest) || this.#targets.get(descriptor.digest))
      this.#targets.put(imageTarget(descriptor, record));
    if (known && this.content.has(known.manifest)) return known;
    this.#putRecord(record);
    for (const name of this.namesOf(record.id))
      if (name.target === known?.manifest) this.tag(name.reference, record.id);
    return record;
  }

  async registerIndex(
    ...[descriptor, options = {}]: Parameters<Images["registerIndex"]>
  ): Promise<{ target: Target; image: ImageRecord }> {
    using lease = this.lease();
    lease.addBlob(descriptor.digest);
    const target: Target = { descriptor, manifests: [] };
    for await (const child of childrenOf(this.content, descriptor.digest)) {
      lease.addBlob(child.digest);
      const found = await lookAt(this.content, child);
      for (const blob of found.blobs ?? []) lease.addBlob(blob);
      const image = found.kind === "image" && found.blobs ? await this.register(child, options) : undefined;
      target.manifests.push({ ...found, ...(image && { image: image.id }) });
    }
    const image = principal(target, this.#records);
    if (!image) throw new NotFound(`no image of index ${descriptor.digest} is here`);
    this.#targets.put(target);
    for (const id of imagesIn(target)) {
      const record = this.#records.get(id)!;
      if (record.beside !== (id !== image.id)) this.#putRecord({ ...record, beside: id !== image.id });
    }
    for (const { reference, target } of this.names())
      if (target === descriptor.digest) this.tag(reference, image.id, target);
    return { target, image: this.#records.get(image.id)! };
  }

  refer(digest: Digest, referrers: TargetManifest[]): void {
    const target = this.target(digest);
    if (!target) throw new NotFound(`no image has the manifest ${digest}`);
    if (referrers.length > 0) this.#targets.put(withReferrers(target, referrers));
  }

  #putRecord(record: ImageRecord): void {
    this.#forgetRecord(record.id);
    this.#recordTable.put(record.id, record);
    this.#records.set(record.id, record);
    this.#byManifest.set(record.manifest, record);
  }

  async #unpack(
    layers: ImageRecord["layers"],
    options: Parameters<Images["register"]>[1] = {},
  ): Promise<void> {
    let below = Promise.resolve();
    await together(options.signal ?? new AbortController().signal, (signal) =>
      layers.map(({ descriptor, diffId, chainId }, index) => {
        if (this.snapshots.stat(chainId)) return below;
        const expect = { diffId, chainId, parent: layers[index - 1]?.chainId, below };
        below = this.layers.unpack(descriptor.digest, expect, signal).then(() => options.onLayer?.(diffId));
        return below;
      }),
    );
  }

  get(id: Digest): ImageRecord | undefined {
    return this.#records.get(id);
  }

  list(): ImageRecord[] {
    return [...this.#records.values()];
  }

  names(): ImageName[] {
    return [...this.#names.values()];
  }

  namesOf(id: Digest): ImageName[] {
    return [...(this.#namesOf.get(id)?.values() ?? [])];
  }

  nameOf(reference: string): ImageName | undefined {
    return this.#names.get(reference);
  }

  byName(reference: string): ImageRecord | undefined {
    const name = this.#names.get(reference);
    return name && this.#records.get(name.id);
  }

  target(digest: Digest): Target | undefined {
    const known = this.#targets.get(digest);
    if (known) return known;
    const own = this.#byManifest.get(digest);
    return own && ownTarget(own, this.#manifestSize(digest));
  }

  /** A manifest that the disk has lost is still what the names stand for: a pull brings it back. */
  #manifestSize(digest: Digest): number {
    let size = this.#manifestSizes.get(digest);
    if (size === undefined) {
      if (!this.content.has(digest)) return 0;
      size = this.content.size(digest);
      this.#manifestSizes.set(digest, size);
    }
    return size;
  }

  members(): Set<Digest> {
    const members = new Set([...this.#namedTargets()].flatMap(imagesIn));
    for (const id of this.#namesOf.keys()) members.delete(id);
    return members;
  }

  orphans(): ImageRecord[] {
    const reached = new Set([...this.#namedTargets()].flatMap(imagesIn));
    return this.list().filter(({ id, beside }) => beside && !reached.has(id) && !this.#namesOf.has(id));
  }

  *#namedTargets(): Generator<Target> {
    const named = new Set(this.names().map(({ target }) => target));
    for (const target of this.#targets.list()) if (named.has(target.descriptor.digest)) yield target;
  }

  byPrefix(prefix: string): ImageRecord[] {
    const exact = `sha256:${prefix}`;
    if (isDigest(exact)) return [this.#records.get(exact)].filter((record) => record !== undefined);
    return this.list().filter((record) => record.id.startsWith(exact));
  }

  tag(reference: string, id: Digest, target?: Digest): void {
    const record = this.#records.get(id);
    if (!record) throw new NotFound(`No such image: ${id}`);
    const name = { reference, id, target: target ?? record.manifest };
    const before = this.#names.get(reference);
    if (before?.id === id && before.target === name.target) return;
    this.#nameTable.put(reference, name);
    this.#forgetName(reference);
    this.#names.set(reference, name);
    this.#addName(name);
  }

  untag(reference: string): void {
    this.#nameTable.delete(reference);
    this.#forgetName(reference);
  }

  #addName(name: ImageName): void {
    const own = this.#namesOf.get(name.id) ?? new Map<string, ImageName>();
    this.#namesOf.set(name.id, own.set(name.reference, name));
  }

  #forgetName(reference: string): void {
    const name = this.#names.get(reference);
    if (!name) return;
    this.#names.delete(reference);
    const own = this.#namesOf.get(name.id);
    own?.delete(reference);
    if (own?.size === 0) this.#namesOf.delete(name.id);
  }

  remove(id: Digest): void {
    for (const { reference } of this.namesOf(id)) this.untag(reference);
    this.#recordTable.delete(id);
    this.#forgetRecord(id);
    // An index that keeps its other images goes on without this one.
    for (const target of this.#targets.list()) {
      if (!imagesIn(target).includes(id)) continue;
      const manifests = target.manifests.map((manifest) =>
        manifest.image === id ? { descriptor: manifest.descriptor, kind: manifest.kind } : manifest,
      );
      this.#targets.put({ ...target, manifests });
    }
  }

  #forgetRecord(id: Digest): void {
    const record = this.#records.get(id);
    if (record) {
      this.#byManifest.delete(record.manifest);
      this.#manifestSizes.delete(record.manifest);
    }
    this.#records.delete(id);
  }

  async collect(
    ...[{ interrupted = false } = {}]: Parameters<Images["collect"]>
  ): Promise<{ removed: Digest[]; bytes: number }> {
    this.#dropTargets();
    const kept = this.#reached();
    const leased = new Set([...this.#leases].flatMap(({ blobs }) => [...blobs]));
    let bytes = this.content.dropPartial(leased, interrupted ? 0 : ingestLifetime);
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

  /** Targets that no name and no work in progress speaks of. */
  #dropTargets(): void {
    const kept = new Set<Digest>(this.names().map(({ target }) => target));
    for (const lease of this.#leases) for (const digest of lease.blobs) kept.add(digest);
    for (const { descriptor } of [...this.#targets.list()])
      if (!kept.has(descriptor.digest)) this.#targets.delete(descriptor.digest);
  }

  #reached(): { blobs: Set<Digest>; snapshots: Set<string> } {
    const blobs = new Set<Digest>();
    const roots = new Set<string>(this.#roots.flatMap((list) => [...list()]));
    for (const { id, manifest, layers, artifact } of this.#records.values()) {
      blobs.add(id).add(manifest);
      for (const digest of artifact?.blobs ?? []) blobs.add(digest);
      for (const { descriptor, chainId } of layers) {
        blobs.add(descriptor.digest);
        roots.add(chainId);
      }
    }
    for (const { descriptor, manifests } of this.#targets.list()) {
      blobs.add(descriptor.digest);
      for (const manifest of manifests) {
        if (manifest.blobs) blobs.add(manifest.descriptor.digest);
        for (const digest of manifest.blobs ?? []) blobs.add(digest);
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

const imagesIn = ({ manifests }: Target) => manifests.flatMap(({ image }) => image ?? []);

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
