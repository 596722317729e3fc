/** Holds images to a limit of disk space: what was not used for the longest goes first. Off unless configured. */
import type { Digest } from "../../lib/digest.ts";
import { GantryError, messageOf } from "../../lib/errors.ts";
import { Later } from "../../lib/later.ts";
import type { Table } from "../../store/types.ts";
import type { Context } from "../context.ts";
import type { ImageGc } from "../types.ts";
import type { ImageService } from "./index.ts";
import { allLayers, sizeOf } from "./sizes.ts";

/** After the last change, so that a row of pulls is looked at once. Milliseconds. */
const delay = 1000;
const growing = ["pull", "load", "import", "build", "commit", "tag"];
/** Of containers: their image is used from the first of these to the last. */
const using = ["create", "start", "die", "destroy"];

/** When an image was last used, ms since the epoch. */
interface Use {
  id: Digest;
  at: number;
}

export class ImageCollector implements AsyncDisposable {
  readonly #ended = new AbortController();
  readonly #later: Later;
  readonly #uses: Table<Use>;

  constructor(
    private readonly context: Context,
    private readonly images: ImageService,
    private readonly limits: ImageGc,
  ) {
    this.#uses = context.store.metadata.table<Use>("image_uses");
    this.#later = new Later(
      () => this.#collect(),
      delay,
      (error) => console.error(`images could not be collected: ${messageOf(error)}`),
    );
    this.#later.request();
    void this.#watch();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended.abort();
    await this.#later[Symbol.asyncDispose]();
  }

  async #watch(): Promise<void> {
    const filters = { type: ["image", "container"], event: [...growing, ...using] };
    for await (const { type, actor } of this.context.events.subscribe({ filters }, this.#ended.signal)) {
      this.#note(type === "container" ? actor.attributes.image! : actor.id);
      if (type === "image") this.#later.request();
    }
  }

  #note(name: string): void {
    try {
      const { id } = this.images.find(name);
      this.#uses.put(id, { id, at: Date.now() });
    } catch (error) {
      // It may be gone since.
      if (!(error instanceof GantryError)) throw error;
    }
  }

  async #collect(): Promise<void> {
    const { maxUsedSpace, keepRecent = 0 } = this.limits;
    for (const { id } of this.#uses.list()) if (!this.context.store.images.get(id)) this.#uses.delete(id);
    const before = Date.now() - keepRecent;
    const candidates = this.images
      .list({ all: true, filters: {} })
      .filter(({ containers }) => containers === 0)
      .map(({ record }) => ({ id: record.id, usedAt: this.#uses.get(record.id)?.at ?? record.createdAt }))
      .filter(({ usedAt }) => usedAt < before)
      .sort((a, b) => a.usedAt - b.usedAt);
    for (const { id } of candidates) {
      if (this.#used() <= maxUsedSpace) return;
      await this.images.remove(id, { force: true, noPrune: false });
    }
  }

  /** Blobs and the images' unpacked layers; the build cache, which may share them, has limits of its own. Bytes. */
  #used(): number {
    const { content, images, snapshots } = this.context.store;
    let bytes = sizeOf(snapshots, allLayers(images));
    for (const { size } of content.list()) bytes += size;
    return bytes;
  }
}
