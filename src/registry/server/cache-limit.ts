/** Holds the blobs of a cache to a limit: what was not asked for the longest goes, and comes again when it is wanted. */
import type { Digest } from "../../lib/digest.ts";
import { messageOf } from "../../lib/errors.ts";
import type { Registry } from "./registry.ts";

export class CacheLimit {
  /** Sizes in bytes, that first which was not used for the longest. Read from the store when it is first needed. */
  #sizes: Map<Digest, number> | undefined;
  #running: Promise<void> = Promise.resolve();

  /** @param maxBytes of all blobs together; manifests count, but stay */
  constructor(
    private readonly registry: Registry,
    private readonly maxBytes: number,
  ) {}

  used(digest: Digest): void {
    const size = this.#sizes?.get(digest);
    if (size === undefined) return;
    this.#sizes!.delete(digest);
    this.#sizes!.set(digest, size);
  }

  /** A blob has come; others may have to go for it. */
  added(digest: Digest, size: number): void {
    this.#running = this.#running
      .then(() => this.#trim(digest, size))
      .catch((error) => console.error(`registry: limit of the cache: ${messageOf(error)}`));
  }

  async #trim(digest: Digest, size: number): Promise<void> {
    this.#sizes ??= await this.#read();
    this.#sizes.delete(digest);
    this.#sizes.set(digest, size);
    let total = 0;
    for (const bytes of this.#sizes.values()) total += bytes;
    for (const [oldest, bytes] of [...this.#sizes]) {
      if (total <= this.maxBytes || oldest === digest) return;
      if (!(await this.#drop(oldest))) continue;
      this.#sizes.delete(oldest);
      total -= bytes;
    }
  }

  /** @returns whether it is gone: a manifest is not */
  async #drop(digest: Digest): Promise<boolean> {
    const { metadata } = this.registry;
    for (const repository of await metadata.allRepositories()) await metadata.unlinkBlob(repository, digest);
    return await this.registry.removeIfUnnamed(digest);
  }

  async #read(): Promise<Map<Digest, number>> {
    const sizes = new Map<Digest, number>();
    for await (const digest of this.registry.blobs.list())
      sizes.set(digest, (await this.registry.blobs.size(digest)) ?? 0);
    return sizes;
  }
}
