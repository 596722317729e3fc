/** What the steps of one build share, whatever the build is written in: images, records, files that stay mounted. */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { messageOf } from "../../lib/errors.ts";
import { newId, shortId } from "../../lib/ids.ts";
import type { Platform } from "../../lib/oci.ts";
import type { Lease } from "../../store/types.ts";
import type { BuildOrigin } from "../attest/types.ts";
import type { ImportedCache } from "../cache/import.ts";
import type { CacheMounts } from "../exec/cache-mounts.ts";
import { Views } from "../exec/workspace.ts";
import { Packer } from "../export/pack.ts";
import type { LayerFormat } from "../export/types.ts";
import { layoutImage } from "../files/layout.ts";
import { SourceTree } from "../files/tree.ts";
import { hostPlatform } from "../graph/scope.ts";
import type { BaseImage, BuildBackend, BuildRequest, ImageLayout } from "../types.ts";
import type { Digests } from "./digests.ts";
import type { Explanations } from "./explain.ts";
import { keyOf } from "./key.ts";
import type { Progress } from "./progress.ts";
import type { CacheRecord, CacheRecords } from "./records.ts";
import type { Wish } from "./shared.ts";
import type { Tree } from "./stage.ts";
import type { PullEvent, SharedWorks, StepEvent } from "./works.ts";

/** Of the builder, for all builds. */
export interface BuilderParts {
  backend: BuildBackend;
  records: CacheRecords;
  digests: Digests;
  explanations: Explanations;
  cacheMounts: CacheMounts;
  shared: SharedWorks;
  now: () => number;
}

export interface StepSessionParts extends BuilderParts {
  request: BuildRequest;
  progress: Progress;
  imported: ImportedCache;
  /** How layers are packed while later steps run; undefined: not at all. */
  layers: LayerFormat | undefined;
  /** The build's directories. */
  files: AsyncDisposable;
}

export class StepSession implements AsyncDisposable {
  readonly backend: BuildBackend;
  readonly request: BuildRequest;
  readonly records: CacheRecords;
  readonly digests: Digests;
  readonly explanations: Explanations;
  readonly cacheMounts: CacheMounts;
  readonly progress: Progress;
  readonly lease: Lease;
  readonly views: Views;
  readonly packer: Packer;
  /** Aborted by the caller, or by the first step that fails. */
  readonly signal: AbortSignal;

  readonly #imported: ImportedCache;
  readonly #now: () => number;
  readonly #images = new Map<string, Promise<BaseImage>>();
  readonly #steps = new Map<string, Promise<CacheRecord>>();
  readonly #shared: SharedWorks;
  /** Begun here, and not over: other builds may still want them. */
  readonly #begun = new Set<Promise<unknown>>();
  readonly #trees = new Map<string, SourceTree>();
  readonly #used = new Set<string>();
  readonly #sources: AsyncDisposable;
  #released: PromiseLike<void> | undefined;
  readonly #failed = new AbortController();
  readonly #directory: string;

  constructor(parts: StepSessionParts, signal: AbortSignal) {
    const { store } = parts.backend;
    this.backend = parts.backend;
    this.request = parts.request;
    this.records = parts.records;
    this.digests = parts.digests;
    this.explanations = parts.explanations;
    this.cacheMounts = parts.cacheMounts;
    this.progress = parts.progress;
    this.#shared = parts.shared;
    this.#now = parts.now;
    this.#imported = parts.imported;
    this.#sources = parts.files;
    this.#directory = join(parts.backend.execDir, shortId(newId()));
    this.signal = AbortSignal.any([signal, this.#failed.signal]);
    this.lease = store.images.lease();
    this.views = new Views(store.snapshots, parts.backend.execDir);
    this.packer = new Packer(
      { store, records: parts.records, shared: parts.shared.packs, lease: this.lease },
      parts.layers,
    );
  }

  /** Waits for work that goes on side by side. The first failure stops the rest, and is thrown. */
  async together<T>(works: readonly Promise<T>[]): Promise<T[]> {
    let failure: { error: unknown } | undefined;
    for (const work of works) {
      work.catch((error) => {
        failure ??= { error };
        this.#failed.abort(error);
      });
    }
    await Promise.allSettled(works);
    if (failure) throw failure.error;
    return Promise.all(works);
  }

  /**
   * An image, found once a build, and kept until its end.
   * @param layout where it is, when it is nowhere else
   */
  async findImage(
    reference: string,
    platform: Platform | undefined,
    options: {
      layout?: ImageLayout;
      pull?: boolean;
      onProgress?: (name: string, current: number, total?: number) => void;
    } = {},
  ): Promise<BaseImage> {
    const wanted = platform ?? this.request.platform;
    const key = JSON.stringify([reference, wanted]);
    let found = this.#images.get(key);
    if (!found) {
      const { credentials } = this.request;
      const { onProgress, layout, pull = this.request.pull } = options;
      const wish = {
        signal: this.signal,
        onEvent: ({ name, current, total }: PullEvent) => onProgress?.(name, current, total),
      };
      if (layout)
        found = layoutImage(this.backend.store, layout, wanted ?? hostPlatform(), this.lease, this.signal);
      found ??= this.#shared.pulls.run(keyOf(key, pull), wish, (signal, tell) =>
        this.backend.resolveImage(reference, {
          pull,
          platform: wanted,
          signal,
          credentials,
          onProgress: (name, current, total) => tell({ name, current, total }),
        }),
      );
      this.#images.set(key, found);
    }
    const image = await found;
    for (const { descriptor } of image.layers) this.lease.addBlob(descriptor.digest);
    const top = image.layers.at(-1);
    if (top) this.lease.addSnapshot(top.chainId);
    return image;
  }

  treeOf(image: BaseImage): Tree {
    const top = image.layers.at(-1);
    return top ? { id: top.chainId, snapshot: top.chainId } : { id: "scratch" };
  }

  /** A tree's files, mounted on the first call. */
  filesOf(tree: Tree): SourceTree {
    let known = this.#trees.get(tree.id);
    if (!known) {
      known = new SourceTree(this.views.open(tree.snapshot));
      this.#trees.set(tree.id, known);
    }
    return known;
  }

  /** A directory for downloads of this build. */
  downloads(): string {
    return this.#directory;
  }

  newRecord(
    id: string,
    fields: Pick<CacheRecord, "result" | "description"> & Partial<CacheRecord>,
  ): CacheRecord {
    const at = this.#now();
    return { size: 0, ...fields, id, createdAt: at, lastUsedAt: at, usageCount: 0 };
  }

  /**
   * A step's record, of here or of a cache that the build takes steps from.
   * @param parent the snapshot with the tree before it
   */
  async known(id: string, parent: string | undefined): Promise<CacheRecord | undefined> {
    const record = this.records.find(id);
    if (record) return record;
    try {
      return await this.#imported.find(id, parent, this.lease, this.signal);
    } catch (error) {
      this.signal.throwIfAborted();
      this.progress.note(`a step of the cache is of no use, and done again: ${messageOf(error)}`);
      return undefined;
    }
  }

  /** The images that were found, for provenance. */
  async bases(): Promise<BuildOrigin["bases"]> {
    return Promise.all(
      [...this.#images].map(async ([key, image]) => ({
        reference: (JSON.parse(key) as [string])[0],
        image: await image,
      })),
    );
  }

  /** The steps that the build has met. */
  usedRecords(): CacheRecord[] {
    return [...this.#used].flatMap((id) => this.records.find(id) ?? []);
  }

  /** Keeps a record and its files until the build ends. */
  use(record: CacheRecord): void {
    if (record.snapshot !== undefined) this.lease.addSnapshot(record.snapshot);
    if (record.layer) this.lease.addBlob(record.layer.descriptor.digest);
    if (this.#used.has(record.id)) return;
    this.#used.add(record.id);
    this.records.pin(record.id);
    this.records.touch(record.id);
  }

  /** What comes to the same step at once does it once. */
  once(id: string, work: () => Promise<CacheRecord>): Promise<CacheRecord> {
    let running = this.#steps.get(id);
    if (!running) {
      running = work();
      this.#steps.set(id, running);
    }
    return running;
  }

  /** Does a step together with other builds. @param alone one without cache does its own */
  share(
    key: string,
    alone: boolean,
    wish: Omit<Wish<StepEvent>, "signal">,
    work: (signal: AbortSignal, tell: (event: StepEvent) => void) => Promise<CacheRecord>,
  ): Promise<CacheRecord> {
    const { steps, slots } = this.#shared;
    const own = alone ? keyOf(key, this.#directory) : key;
    return steps.run(own, { ...wish, signal: this.signal }, (signal, tell) => {
      const begun = slots.run(() => work(signal, tell), signal).finally(() => this.#begun.delete(begun));
      this.#begun.add(begun);
      return begun;
    });
  }

  /** Gives the client's files back, once: no step of this build reads them any more. */
  protected async release(): Promise<void> {
    if (this.#begun.size > 0) await Promise.allSettled(this.#begun);
    this.#released ??= this.#sources[Symbol.asyncDispose]();
    await this.#released;
  }

  /**
   * Ends the build. What it reads from stays while another build wants a step that was begun here: then it goes
   * when that step is over.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.packer[Symbol.asyncDispose]();
    if (this.#begun.size === 0) return this.#close();
    void Promise.allSettled(this.#begun)
      .then(() => this.#close())
      .catch((error) => console.error("cannot remove what a build left:", error));
  }

  async #close(): Promise<void> {
    this.views[Symbol.dispose]();
    rmSync(this.#directory, { recursive: true, force: true });
    this.records.flush();
    this.explanations.flush();
    for (const id of this.#used) this.records.unpin(id);
    this.lease[Symbol.dispose]();
    await this.release();
  }
}
