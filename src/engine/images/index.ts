import type { Readable } from "node:stream";
import type { Digest } from "../../lib/digest.ts";
import { InvalidParameter, NoSpace } from "../../lib/errors.ts";
import type { HistoryEntry, Platform } from "../../lib/oci.ts";
import { familiar, familiarName, parseReference } from "../../lib/reference.ts";
import { parseSize } from "../../lib/units.ts";
import type { Credentials, FoundRepository } from "../../registry/types.ts";
import type { ImageRecord, Target } from "../../store/types.ts";
import type { Context } from "../context.ts";
import { booleanFilter, checkFilters, matchAny, matchLabels, untilFilter } from "../filters.ts";
import { layerDirectories } from "../layer-directories.ts";
import type {
  Attestation,
  ContainerRecord,
  EngineImages,
  Filters,
  ImageDetails,
  ImageSummary,
  ImageWeight,
  ImportOptions,
  OnProgress,
  RemoteManifest,
} from "../types.ts";
import { imageEvent } from "./events.ts";
import { importImage, importUrl } from "./import.ts";
import { loadImages } from "./load.ts";
import { attestationsOf, manifestsOf } from "./manifests.ts";
import { ImageMounts } from "./mounts.ts";
import { findImage, findTarget, fullName, imagesOf, namesOf, requireImage, targetOf } from "./names.ts";
import { pullAllTags, pullImage } from "./pull.ts";
import { pushImage } from "./push.ts";
import { pushManifestList, remoteManifest } from "./remote.ts";
import { Removal, type Removed } from "./remove.ts";
import { saveImages } from "./save.ts";
import { searchImages } from "./search.ts";
import { diskSizes, layersOf, sharedSizes, sizeOf } from "./sizes.ts";
import { weighImage } from "./why-big.ts";

/** What Docker orders and filters images by: when it was built, not when it came here. Milliseconds since the epoch. */
const madeAt = ({ config, createdAt }: ImageRecord) => Date.parse(config.created ?? "") || createdAt;

/** All operations on images; what each means is in the files beside. */
export class ImageService implements EngineImages {
  readonly #mounts: ImageMounts;

  constructor(
    private readonly context: Context,
    private readonly containers: () => ContainerRecord[],
  ) {
    this.#mounts = new ImageMounts(context);
    // A container holds the trees that it mounts, as it holds its own.
    context.store.images.addRoots(() =>
      containers().flatMap(({ mounts }) => mounts.flatMap(({ image }) => image?.chain ?? [])),
    );
  }

  list(options: {
    all: boolean;
    filters: Filters;
    manifests?: boolean;
    sharedSize?: boolean;
  }): ImageSummary[] {
    const { filters } = options;
    const { images } = this.context.store;
    checkFilters(filters, ["before", "since", "dangling", "label", "label!", "reference", "until"]);
    const dangling = booleanFilter(filters, "dangling");
    const until = untilFilter(filters);
    const before = filters.before?.map((target) => madeAt(this.find(target)));
    const since = filters.since?.map((target) => madeAt(this.find(target)));
    const containers = this.containers();
    const members = images.members();
    const list = images
      .list()
      .filter(({ id }) => !members.has(id))
      .map((record) => matching(this.#summary(record, containers), filters))
      .filter((summary) => summary !== undefined)
      .filter(
        ({ record, repoTags }) =>
          (dangling === undefined || (repoTags.length === 0) === dangling) &&
          (until === undefined || madeAt(record) < until) &&
          (before ?? []).every((time) => madeAt(record) < time) &&
          (since ?? []).every((time) => madeAt(record) > time) &&
          matchLabels(filters, record.config.config?.Labels),
      )
      .map((summary) => ({ summary, time: madeAt(summary.record) }))
      .sort((a, b) => b.time - a.time)
      .map(({ summary }) => summary);
    if (options.manifests) {
      // Beside what each manifest takes of the disk only the same of all makes sense.
      const sizes = diskSizes(this.context.store);
      for (const summary of list) {
        summary.manifests = manifestsOf(this.context, targetOf(images, summary.record), containers);
        summary.size = sizes.of(summary.record).size;
      }
    }
    if (options.sharedSize) {
      const shared = sharedSizes(this.context.store);
      for (const summary of list) summary.sharedSize = shared(summary.record);
    }
    return list;
  }

  get(target: string, options: { platform?: Platform; manifests?: boolean } = {}): ImageSummary {
    const found = findTarget(this.context.store.images, target, options.platform);
    const containers = this.containers();
    return {
      ...this.#summary(found.record, containers, found.target),
      ...(options.manifests && { manifests: manifestsOf(this.context, found.target, containers) }),
    };
  }

  platforms(target: string): ImageRecord[] {
    const { record, target: found } = findTarget(this.context.store.images, target);
    return [record, ...imagesOf(this.context.store.images, found)];
  }

  details(record: ImageRecord): ImageDetails {
    const top = record.layers.at(-1)?.chainId;
    return { layers: top === undefined ? {} : layerDirectories(this.context.store.snapshots, top) };
  }

  find(target: string, platform?: Platform): ImageRecord {
    return findImage(this.context.store.images, target, platform);
  }

  /** The container's image is the named one or was built on its layers. */
  isAncestor(target: string, container: ContainerRecord): boolean {
    let ancestor: ImageRecord;
    try {
      ancestor = this.find(target);
    } catch {
      return false;
    }
    if (ancestor.id === container.imageId) return true;
    const own = this.context.store.images.get(container.imageId)?.layers ?? [];
    return (
      ancestor.layers.length > 0 &&
      ancestor.layers.every((layer, index) => own[index]?.diffId === layer.diffId)
    );
  }

  history(
    target: string,
    platform?: Platform,
  ): { id: string; createdAt: number; createdBy: string; tags: string[]; size: number; comment: string }[] {
    const { record, repoTags } = this.get(target, { platform });
    const { snapshots } = this.context.store;
    let layer = 0;
    const entries = (record.config.history ?? record.layers.map((): HistoryEntry => ({}))).map((entry) => {
      const size = entry.empty_layer ? 0 : (snapshots.stat(record.layers[layer++]?.chainId ?? "")?.size ?? 0);
      return {
        id: "<missing>",
        createdAt: Date.parse(entry.created ?? "") || record.createdAt,
        createdBy: entry.created_by ?? "",
        tags: [] as string[],
        size,
        comment: entry.comment ?? "",
      };
    });
    entries.reverse();
    if (entries[0]) Object.assign(entries[0], { id: record.id, tags: repoTags });
    return entries;
  }

  async pull(
    reference: string,
    options: { allTags?: boolean; platform?: Platform; auth?: Credentials; signal: AbortSignal },
    onProgress: OnProgress,
  ): Promise<void> {
    const pulled: Promise<unknown> = options.allTags
      ? pullAllTags(this.context, parseReference(reference), options, onProgress)
      : pullImage(this.context, reference, options, onProgress);
    await this.#orFree(pulled);
  }

  push(
    reference: string,
    options: { tag?: string; platform?: Platform; auth?: Credentials; signal: AbortSignal },
    onProgress: OnProgress,
  ): Promise<void> {
    return pushImage(this.context, reference, options, onProgress);
  }

  tag(target: string, repository: string, tag: string): void {
    const found = findTarget(this.context.store.images, target);
    const { record } = found;
    const name = fullName(tag ? `${repository}:${tag}` : repository);
    if (parseReference(name).digest)
      throw new InvalidParameter("refusing to create a tag with a digest reference");
    this.context.store.images.tag(name, record.id, found.target.descriptor.digest);
    imageEvent(this.context, record, "tag", familiar(parseReference(name)));
  }

  async remove(
    target: string,
    options: { force: boolean; noPrune: boolean; platforms?: Platform[] },
  ): Promise<Removed[]> {
    const removal = new Removal(this.context, this.containers, this.#mounts);
    if (options.platforms?.length) await removal.platforms(target, options.platforms, options.force);
    else await removal.image(target, options.force);
    return removal.removed;
  }

  async prune(filters: Filters): Promise<{ deleted: Removed[]; bytes: number }> {
    checkFilters(filters, ["dangling", "label", "label!", "larger-than", "until"]);
    const largerThan = filters["larger-than"]?.map(parseSize) ?? [];
    const danglingOnly = booleanFilter(filters, "dangling") ?? true;
    const until = untilFilter(filters);
    const removal = new Removal(this.context, this.containers, this.#mounts);
    for (const { record, repoTags, size, containers } of this.list({ all: true, filters: {} })) {
      if ((danglingOnly && repoTags.length > 0) || containers > 0 || removal.isUsed(record.id)) continue;
      if (
        largerThan.every((bytes) => size > bytes) &&
        matchLabels(filters, record.config.config?.Labels) &&
        (until === undefined || madeAt(record) <= until)
      )
        removal.whole(record);
    }
    removal.orphans();
    const { bytes } = await this.context.store.images.collect({ interrupted: true });
    this.context.events.publish("image", "prune", "", { reclaimed: String(bytes) });
    return { deleted: removal.removed, bytes };
  }

  async save(targets: string[], platforms: Platform[], signal: AbortSignal): Promise<Readable> {
    return saveImages(this.context, targets, platforms, signal);
  }

  load(archive: Readable, platforms: Platform[], onProgress: OnProgress, signal: AbortSignal): Promise<void> {
    return this.#orFree(loadImages(this.context, archive, platforms, onProgress, signal));
  }

  weigh(
    target: string,
    options: { platform?: Platform; limit: number },
    signal: AbortSignal,
  ): Promise<ImageWeight> {
    return weighImage(this.context, target, options, signal);
  }

  attestations(
    target: string,
    options: { platform?: Platform; types: string[]; statement: boolean },
  ): Promise<Attestation[]> {
    return attestationsOf(this.context, target, options);
  }

  importTar(archive: Readable, options: ImportOptions, signal: AbortSignal): Promise<Digest> {
    return this.#orFree(importImage(this.context, archive, options, signal));
  }

  importUrl(
    url: string,
    options: ImportOptions,
    onProgress: OnProgress,
    signal: AbortSignal,
  ): Promise<Digest> {
    return this.#orFree(importUrl(this.context, url, options, onProgress, signal));
  }

  search(
    term: string,
    options: { limit: number; filters: Filters; auth?: Credentials; signal: AbortSignal },
  ): Promise<FoundRepository[]> {
    return searchImages(this.context, term, options);
  }

  mount(target: string, platform?: Platform): string {
    return this.#mounts.mount(requireImage(this.find(target, platform), target));
  }

  unmount(target: string, platform?: Platform): void {
    this.#mounts.unmount(this.find(target, platform));
  }

  mounts(): { id: Digest; path: string }[] {
    return this.#mounts.list();
  }

  /** @returns of the mounts that the kernel has below exec-root, those of images */
  keepMounts(mounted: readonly string[]): string[] {
    return this.#mounts.settle(mounted);
  }

  remoteManifest(
    reference: string,
    options: { auth?: Credentials; signal: AbortSignal },
  ): Promise<RemoteManifest> {
    return remoteManifest(this.context, reference, options);
  }

  pushManifestList(
    reference: string,
    list: { mediaType: string; bytes: Uint8Array; sources: string[] },
    options: { auth?: Credentials; signal: AbortSignal },
  ): Promise<{ digest: string; brought: string[] }> {
    return pushManifestList(this.context, reference, list, options);
  }

  login(domain: string, auth: Credentials): Promise<{ status: string; identityToken?: string }> {
    return this.context.registry.login(domain, auth);
  }

  /** What was brought before the disk was full is in the way of everything else, so it goes. */
  async #orFree<T>(work: Promise<T>): Promise<T> {
    try {
      return await work;
    } catch (error) {
      if (error instanceof NoSpace) await this.context.store.images.collect({ interrupted: true });
      throw error;
    }
  }

  #summary(record: ImageRecord, containers: readonly ContainerRecord[], target?: Target): ImageSummary {
    const { store } = this.context;
    const whole = target ?? targetOf(store.images, record);
    const ids = new Set([record.id, ...imagesOf(store.images, whole).map(({ id }) => id)]);
    return {
      record,
      descriptor: whole.descriptor,
      ...namesOf(store.images, record.id),
      size: ids.size > 1 ? sizeOf(store.snapshots, layersOf(store, record, whole)) : record.size,
      containers: containers.filter(({ imageId }) => ids.has(imageId)).length,
      sharedSize: -1,
    };
  }
}

/** With those names only that the filter `reference` asks for; undefined when none is left. */
function matching(summary: ImageSummary, filters: Filters): ImageSummary | undefined {
  if (!filters.reference?.length) return summary;
  const wanted = (name: string) => matchAny(filters, "reference", (pattern) => matchReference(pattern, name));
  const repoTags = summary.repoTags.filter(wanted);
  const repoDigests = summary.repoDigests.filter(wanted);
  if (repoTags.length + repoDigests.length === 0) return undefined;
  return { ...summary, repoTags, repoDigests };
}

/** `busybox`, `busybox:*`, `*nginx*`: the pattern against the name with and without its tag. */
function matchReference(pattern: string, name: string): boolean {
  const glob = new Bun.Glob(pattern);
  return glob.match(name) || glob.match(familiarName(parseReference(name)));
}
