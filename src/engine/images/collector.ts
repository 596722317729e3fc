/** Holds images to a limit of disk space: the oldest that nobody uses go first. Off unless configured. */
import { messageOf } from "../../lib/errors.ts";
import { Later } from "../../lib/later.ts";
import type { Context } from "../context.ts";
import type { ImageGc } from "../types.ts";
import type { ImageService } from "./index.ts";

/** After the last change, so that a row of pulls is looked at once. Milliseconds. */
const delay = 1000;
const growing = ["pull", "load", "import", "build", "commit", "tag"];

export class ImageCollector implements AsyncDisposable {
  readonly #ended = new AbortController();
  readonly #later: Later;

  constructor(
    private readonly context: Context,
    private readonly images: ImageService,
    private readonly limits: ImageGc,
  ) {
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
    const filters = { type: ["image"], event: growing };
    for await (const _ of this.context.events.subscribe({ filters }, this.#ended.signal))
      this.#later.request();
  }

  async #collect(): Promise<void> {
    const { maxUsedSpace, keepRecent = 0 } = this.limits;
    const before = Date.now() - keepRecent;
    const candidates = this.images
      .list({ all: true, filters: {} })
      .filter(({ record, containers }) => containers === 0 && record.createdAt < before)
      .sort((a, b) => a.record.createdAt - b.record.createdAt);
    for (const { record } of candidates) {
      if (this.#used() <= maxUsedSpace) return;
      await this.images.remove(record.id, { force: true, noPrune: false });
    }
  }

  /** Blobs and unpacked layers. Bytes. */
  #used(): number {
    const { content, snapshots } = this.context.store;
    let bytes = 0;
    for (const { size } of content.list()) bytes += size;
    for (const { size = 0 } of snapshots.list()) bytes += size;
    return bytes;
  }
}
