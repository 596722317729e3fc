/** Names and images go: `rmi` and `image prune`. */
import type { Digest } from "../../lib/digest.ts";
import { Conflict, InvalidParameter } from "../../lib/errors.ts";
import { shortId } from "../../lib/ids.ts";
import type { Platform } from "../../lib/oci.ts";
import { familiar, familiarName, parseReference } from "../../lib/reference.ts";
import { isIndex } from "../../store/index.ts";
import type { ImageName, ImageRecord } from "../../store/types.ts";
import type { Context } from "../context.ts";
import type { ContainerRecord } from "../types.ts";
import { imageEvent } from "./events.ts";
import type { ImageMounts } from "./mounts.ts";
import { findTarget } from "./names.ts";

export type Removed = { untagged: string } | { deleted: string };

/** One removal: what has gone so far, and who uses what. */
export class Removal {
  readonly removed: Removed[] = [];

  constructor(
    private readonly context: Context,
    private readonly containers: () => ContainerRecord[],
    private readonly mounts: ImageMounts,
  ) {}

  /** By a name: that name; the image too with its last one. By an id: all. @throws NotFound, Conflict in use */
  async image(text: string, force: boolean): Promise<void> {
    const { images } = this.context.store;
    const { record, name } = findTarget(images, text);
    const tags = images.namesOf(record.id).filter(({ reference }) => !parseReference(reference).digest);
    if (name) {
      const others = tags.filter(({ reference }) => reference !== name.reference);
      if (others.length === 0) this.#checkUnused(record, text, force, "name");
      this.#untag(name);
      if (others.length > 0) {
        this.#forgetDigests(name.reference, others, record);
        if (this.orphans() > 0) await images.collect();
        return;
      }
    } else {
      if (tags.length > 1 && !force)
        throw new Conflict(
          `conflict: unable to delete ${shortId(record.id)} (must be forced) - image is referenced in multiple repositories`,
        );
      this.#checkUnused(record, text, force, "id");
    }
    for (const rest of images.namesOf(record.id)) this.#untag(rest);
    if (!this.isUsed(record.id)) this.#delete(record);
    this.orphans();
    await this.#collect([record]);
  }

  /** Single platforms of an index; what else it has stays. @throws InvalidParameter, NotFound, Conflict in use */
  async platforms(text: string, platforms: Platform[], force: boolean): Promise<void> {
    const { images } = this.context.store;
    const chosen = platforms.map((platform) => findTarget(images, text, platform));
    for (const { record, target } of chosen) {
      if (!isIndex(target.descriptor.mediaType))
        throw new InvalidParameter(`${text} is an image for one platform: remove it as a whole`);
      this.#checkUnused(record, record.id, force, "id");
    }
    const gone = new Set(chosen.map(({ record }) => record));
    const { target } = chosen[0]!;
    const kept = target.manifests.flatMap(({ image }) => image ?? []);
    if (kept.every((id) => [...gone].some((record) => record.id === id))) return this.image(text, force);
    for (const record of gone) {
      const names = images.namesOf(record.id);
      images.remove(record.id);
      // The names stay, with what is left of the index.
      const next = kept.find((id) => images.get(id))!;
      for (const { reference, target } of names) images.tag(reference, next, target);
      if (names.length > 0) await images.registerIndex(target.descriptor);
      this.removed.push({ deleted: record.id });
      imageEvent(this.context, record, "delete");
    }
    await this.#collect([...gone]);
  }

  /** An image that nobody uses, with its names. */
  whole(record: ImageRecord): void {
    for (const name of this.context.store.images.namesOf(record.id)) this.#untag(name);
    this.#delete(record);
  }

  /** Images of indexes that have lost their last name. @returns how many went */
  orphans(): number {
    const gone = this.context.store.images.orphans().filter(({ id }) => !this.isUsed(id));
    for (const record of gone) this.#delete(record);
    return gone.length;
  }

  isUsed(image: Digest): boolean {
    return (
      this.mounts.pathOf(image) !== undefined ||
      this.containers().some((container) => usesImage(container, image))
    );
  }

  #delete(record: ImageRecord): void {
    this.context.store.images.remove(record.id);
    this.removed.push({ deleted: record.id });
    imageEvent(this.context, record, "delete");
  }

  async #collect(records: ImageRecord[]): Promise<void> {
    const { removed } = await this.context.store.images.collect();
    const layers = new Set(
      records.flatMap(({ layers }) => layers.map(({ descriptor }) => descriptor.digest)),
    );
    for (const digest of removed) if (layers.has(digest)) this.removed.push({ deleted: digest });
  }

  #untag({ reference, id }: ImageName): void {
    this.context.store.images.untag(reference);
    this.removed.push({ untagged: familiar(parseReference(reference)) });
    const record = this.context.store.images.get(id);
    if (record) imageEvent(this.context, record, "untag");
  }

  /** With the last tag of a repository its digests go too, unless it was one of them that was removed. */
  #forgetDigests(name: string, otherTags: ImageName[], record: ImageRecord): void {
    const repositoryOf = (text: string) => familiarName(parseReference(text));
    const repository = repositoryOf(name);
    const left = otherTags.some(({ reference }) => repositoryOf(reference) === repository);
    if (parseReference(name).digest || left) return;
    for (const other of this.context.store.images.namesOf(record.id))
      if (parseReference(other.reference).digest && repositoryOf(other.reference) === repository)
        this.#untag(other);
  }

  #checkUnused(record: ImageRecord, target: string, force: boolean, by: "name" | "id"): void {
    const path = this.mounts.pathOf(record.id);
    if (path !== undefined && !(by === "name" && force))
      throw new Conflict(
        `conflict: unable to delete ${shortId(record.id)} (cannot be forced) - image is mounted at ${path}`,
      );
    for (const container of this.containers()) {
      if (!usesImage(container, record.id)) continue;
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

/** As what it runs on, or as one of its mounts. */
function usesImage({ imageId, mounts }: ContainerRecord, image: Digest): boolean {
  return imageId === image || mounts.some((mount) => mount.image?.id === image);
}
