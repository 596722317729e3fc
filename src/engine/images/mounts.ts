/** Images mounted for looking inside: read-only trees that stay through an end of the daemon, not of the machine. */
import { mkdirSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import { type Digest, hexOf } from "../../lib/digest.ts";
import { InvalidParameter, NotFound } from "../../lib/errors.ts";
import type { ImageRecord, Table } from "../../store/types.ts";
import { type Context, paths } from "../context.ts";

/** Written before the mount is made, and gone after it: no mount is without its row. */
interface MountedImage {
  id: Digest;
  path: string;
  chain: string;
}

export class ImageMounts {
  readonly #table: Table<MountedImage>;

  constructor(private readonly context: Context) {
    this.#table = context.store.metadata.table<MountedImage>("image_mounts");
    context.store.images.addRoots(() => this.#table.list().map(({ chain }) => chain));
  }

  /** Mounts an image, unless it is. @returns the path @throws InvalidParameter when it has no layers */
  mount(record: ImageRecord): string {
    const known = this.#table.get(record.id);
    if (known) return known.path;
    const chain = record.layers.at(-1)?.chainId;
    if (!chain) throw new InvalidParameter(`image ${record.id} has no layers to look into`);
    const path = join(paths.imageMounts(this.context.options), hexOf(record.id).slice(0, 12));
    this.#table.put(record.id, { id: record.id, path, chain });
    try {
      this.context.store.snapshots.mountAt(chain, path);
    } catch (error) {
      this.#forget(record.id, path);
      throw error;
    }
    return path;
  }

  /** @throws NotFound when it is not mounted; whatever umount says when somebody is in it */
  unmount(record: ImageRecord): void {
    const known = this.#table.get(record.id);
    if (!known) throw new NotFound(`image ${record.id} is not mounted`);
    this.context.store.snapshots.unmount(known.path);
    this.#forget(known.id, known.path);
  }

  pathOf(id: Digest): string | undefined {
    return this.#table.get(id)?.path;
  }

  list(): { id: Digest; path: string }[] {
    return this.#table.list();
  }

  /** Forgets mounts that the kernel no longer has. @returns the places of the others */
  settle(mounted: readonly string[]): string[] {
    for (const { id, path } of this.#table.list()) if (!mounted.includes(path)) this.#forget(id, path);
    return this.#table.list().map(({ path }) => path);
  }

  #forget(id: Digest, path: string): void {
    mkdirSync(path, { recursive: true });
    rmdirSync(path);
    this.#table.delete(id);
  }
}
