import type { Readable } from "node:stream";
import type { Digest } from "../../lib/digest.ts";
import { Conflict, InvalidParameter, NoSpace } from "../../lib/errors.ts";
import { shortId } from "../../lib/ids.ts";
import type { HistoryEntry, Platform } from "../../lib/oci.ts";
import { familiar, familiarName, parseReference } from "../../lib/reference.ts";
import type { Credentials } from "../../registry/types.ts";
import type { ImageRecord } from "../../store/types.ts";
import type { Context } from "../context.ts";
import { booleanFilter, checkFilters, matchAny, matchLabels, untilFilter } from "../filters.ts";
import { layerDirectories } from "../layer-directories.ts";
import type {
  ContainerRecord,
  EngineImages,
  Filters,
  ImageDetails,
  ImageSummary,
  OnProgress,
} from "../types.ts";
import { loadImages, saveImages } from "./archive.ts";
import { inspectDistribution } from "./distribution.ts";
import { importImage } from "./import.ts";
import { findImage, fullName, namesOf } from "./names.ts";
import { pullImage } from "./pull.ts";
import { pushImage } from "./push.ts";

type Removed = { untagged: string } | { deleted: string };

/** All operations on images; what each means is in the files beside. */
export class ImageService implements EngineImages {
  constructor(
    private readonly context: Context,
    private readonly containers: () => ContainerRecord[],
  ) {}

  list(options: { all: boolean; filters: Filters }): ImageSummary[] {
    const { filters } = options;
    checkFilters(filters, ["before", "since", "dangling", "label", "label!", "reference", "until"]);
    const dangling = booleanFilter(filters, "dangling");
    const until = untilFilter(filters);
    const before = filters.before?.map((target) => this.find(target).createdAt);
    const since = filters.since?.map((target) => this.find(target).createdAt);
    return this.context.store.images
      .list()
      .map((record) => this.#matching(record, filters))
      .filter((summary) => summary !== undefined)
      .filter(
        ({ record, repoTags }) =>
          (dangling === undefined || (repoTags.length === 0) === dangling) &&
          (until === undefined || record.createdAt < until) &&
          (before ?? []).every((time) => record.createdAt < time) &&
          (since ?? []).every((time) => record.createdAt > time) &&
          matchLabels(filters, record.config.config?.Labels),
      )
      .sort((a, b) => b.record.createdAt - a.record.createdAt);
  }

  get(target: string): ImageSummary {
    return this.#summary(this.find(target));
  }

  details(record: ImageRecord): ImageDetails {
    const { content, snapshots } = this.context.store;
    const top = record.layers.at(-1)?.chainId;
    return {
      manifest: {
        mediaType: record.manifestMediaType,
        digest: record.manifest,
        size: content.has(record.manifest) ? content.size(record.manifest) : 0,
      },
      layers: top === undefined ? {} : layerDirectories(snapshots, top),
    };
  }

  find(target: string): ImageRecord {
    return findImage(this.context.store.images, target);
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
  ): { id: string; createdAt: number; createdBy: string; tags: string[]; size: number; comment: string }[] {
    const { record, repoTags } = this.get(target);
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
    options: { platform?: Platform; auth?: Credentials; signal: AbortSignal },
    onProgress: OnProgress,
  ): Promise<void> {
    await this.#orFree(pullImage(this.context, reference, options, onProgress));
  }

  push(
    reference: string,
    options: { tag?: string; auth?: Credentials; signal: AbortSignal },
    onProgress: OnProgress,
  ): Promise<void> {
    return pushImage(this.context, reference, options, onProgress);
  }

  tag(target: string, repository: string, tag: string): void {
    const record = this.find(target);
    const name = fullName(tag ? `${repository}:${tag}` : repository);
    if (parseReference(name).digest)
      throw new InvalidParameter("refusing to create a tag with a digest reference");
    this.context.store.images.tag(name, record.id);
    this.context.events.publish("image", "tag", record.id, { name: familiar(parseReference(name)) });
  }

  async remove(target: string, options: { force: boolean; noPrune: boolean }): Promise<Removed[]> {
    const record = this.find(target);
    const { images } = this.context.store;
    const tags = images
      .names()
      .filter((name) => name.id === record.id && !parseReference(name.reference).digest)
      .map((name) => name.reference);
    const byId = record.id.includes(target);
    const removed: Removed[] = [];
    if (!byId) {
      const name = fullName(target);
      const others = tags.filter((tag) => tag !== name);
      if (others.length === 0) this.#checkUnused(record, target, options.force, "name");
      this.#untag(name, record, removed);
      if (others.length > 0) {
        this.#forgetDigests(name, others, record, removed);
        return removed;
      }
    } else {
      if (tags.length > 1 && !options.force) {
        throw new Conflict(
          `conflict: unable to delete ${shortId(record.id)} (must be forced) - image is referenced in multiple repositories`,
        );
      }
      this.#checkUnused(record, target, options.force, "id");
    }
    for (const name of images.names())
      if (name.id === record.id) this.#untag(name.reference, record, removed);
    if (this.#users(record).length > 0) return removed;
    images.remove(record.id);
    removed.push({ deleted: record.id });
    this.context.events.publish("image", "delete", record.id, { name: record.id });
    const { removed: blobs } = await images.collect();
    for (const digest of blobs)
      if (record.layers.some((layer) => layer.descriptor.digest === digest))
        removed.push({ deleted: digest });
    return removed;
  }

  /** With the last tag of a repository its digests go too, unless it was one of them that was removed. */
  #forgetDigests(name: string, otherTags: string[], record: ImageRecord, removed: Removed[]): void {
    const repositoryOf = (text: string) => familiarName(parseReference(text));
    const repository = repositoryOf(name);
    if (parseReference(name).digest || otherTags.some((tag) => repositoryOf(tag) === repository)) return;
    for (const { id, reference } of this.context.store.images.names())
      if (id === record.id && parseReference(reference).digest && repositoryOf(reference) === repository)
        this.#untag(reference, record, removed);
  }

  async prune(filters: Filters): Promise<{ deleted: Removed[]; bytes: number }> {
    checkFilters(filters, ["dangling", "label", "label!", "until"]);
    const danglingOnly = booleanFilter(filters, "dangling") ?? true;
    const until = untilFilter(filters);
    const { images } = this.context.store;
    const deleted: Removed[] = [];
    for (const { record, repoTags } of this.list({ all: true, filters: {} })) {
      if ((danglingOnly && repoTags.length > 0) || this.#users(record).length > 0) continue;
      if (
        !matchLabels(filters, record.config.config?.Labels) ||
        (until !== undefined && record.createdAt > until)
      )
        continue;
      for (const name of images.names())
        if (name.id === record.id) this.#untag(name.reference, record, deleted);
      images.remove(record.id);
      deleted.push({ deleted: record.id });
    }
    const { bytes } = await images.collect();
    this.context.events.publish("image", "prune", "", { reclaimed: String(bytes) });
    return { deleted, bytes };
  }

  async save(targets: string[], signal: AbortSignal): Promise<Readable> {
    return saveImages(this.context, targets, signal);
  }

  load(archive: Readable, onProgress: OnProgress, signal: AbortSignal): Promise<void> {
    return this.#orFree(loadImages(this.context, archive, onProgress, signal));
  }

  importTar(
    archive: Readable,
    options: { repository?: string; tag?: string; message: string; changes: string[]; platform?: Platform },
    signal: AbortSignal,
  ): Promise<Digest> {
    return importImage(this.context, archive, options, signal);
  }

  distribution(
    ...[reference, options]: Parameters<EngineImages["distribution"]>
  ): ReturnType<EngineImages["distribution"]> {
    return inspectDistribution(this.context, reference, options);
  }

  login(domain: string, auth: Credentials): Promise<{ status: string; identityToken?: string }> {
    return this.context.registry.login(domain, auth);
  }

  /** What was brought before the disk was full is in the way of everything else, so it goes. */
  async #orFree(work: Promise<unknown>): Promise<void> {
    try {
      await work;
    } catch (error) {
      if (error instanceof NoSpace) await this.context.store.images.collect();
      throw error;
    }
  }

  #summary(record: ImageRecord): ImageSummary {
    return {
      record,
      ...namesOf(this.context.store.images, record.id),
      containers: this.#users(record).length,
      sharedSize: -1,
    };
  }

  /** With those names only that the filter `reference` asks for; undefined when none is left. */
  #matching(record: ImageRecord, filters: Filters): ImageSummary | undefined {
    const summary = this.#summary(record);
    if (!filters.reference?.length) return summary;
    const wanted = (name: string) =>
      matchAny(filters, "reference", (pattern) => matchReference(pattern, name));
    const repoTags = summary.repoTags.filter(wanted);
    const repoDigests = summary.repoDigests.filter(wanted);
    if (repoTags.length + repoDigests.length === 0) return undefined;
    return { ...summary, repoTags, repoDigests };
  }

  #users(record: ImageRecord): ContainerRecord[] {
    return this.containers().filter((container) => container.imageId === record.id);
  }

  #untag(reference: string, record: ImageRecord, removed: Removed[]): void {
    this.context.store.images.untag(reference);
    removed.push({ untagged: familiar(parseReference(reference)) });
    this.context.events.publish("image", "untag", record.id, { name: record.id });
  }

  #checkUnused(record: ImageRecord, target: string, force: boolean, by: "name" | "id"): void {
    for (const container of this.#users(record)) {
      const who = shortId(container.id);
      const running = container.state.status === "running" || container.state.status === "paused";
      if (by === "name") {
        if (!force)
          throw new Conflict(
            `conflict: unable to remove repository reference "${target}" (must force) - container ${who} is using its referenced image ${shortId(record.id)}`,
          );
      } else if (running) {
        throw new Conflict(
          `conflict: unable to delete ${shortId(record.id)} (cannot be forced) - image is being used by running container ${who}`,
        );
      } else if (!force) {
        throw new Conflict(
          `conflict: unable to delete ${shortId(record.id)} (must be forced) - image is being used by stopped container ${who}`,
        );
      }
    }
  }
}

/** `busybox`, `busybox:*`, `*nginx*`: the pattern against the name with and without its tag. */
function matchReference(pattern: string, name: string): boolean {
  const glob = new Bun.Glob(pattern);
  return glob.match(name) || glob.match(familiarName(parseReference(name)));
}
