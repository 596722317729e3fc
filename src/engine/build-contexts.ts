/** Directories that builds read from. Those with a key keep their files, so that the next build sends only changes. */
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, statSync, utimesSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { spreadDirectories } from "../linux/inode-flags.ts";

/** Kept directories beyond this number go, those longest unused first. */
const keptLimit = 16;

export class BuildContexts {
  readonly #inUse = new Set<string>();
  readonly #removals = new Set<Promise<void>>();

  /**
   * @param kept directory of those with a key
   * @param temporary directory of the others, emptied when the daemon starts
   */
  constructor(
    private readonly kept: string,
    private readonly temporary: string,
  ) {}

  /**
   * A directory for one build alone, until disposed. With a key it holds what the last build with that key left;
   * a second build at the same time gets an empty one, which goes when it ends.
   */
  open(key?: string): { path: string } & AsyncDisposable {
    const path =
      key === undefined ? undefined : join(this.kept, createHash("sha256").update(key).digest("hex"));
    if (path === undefined || this.#inUse.has(path)) {
      const own = join(this.temporary, `build-${crypto.randomUUID()}`);
      mkdirSync(own, { recursive: true, mode: 0o700 });
      return { path: own, [Symbol.asyncDispose]: () => this.#remove(own) };
    }
    mkdirSync(this.kept, { recursive: true, mode: 0o700 });
    spreadDirectories(this.kept);
    mkdirSync(path, { recursive: true, mode: 0o700 });
    this.#inUse.add(path);
    return {
      path,
      [Symbol.asyncDispose]: async () => {
        const now = new Date();
        utimesSync(path, now, now);
        this.#inUse.delete(path);
        await this.#removeBeyond(keptLimit);
      },
    };
  }

  /** Resolves when it is gone: until then its files have two names where a layer took them over. */
  #remove(path: string): Promise<void> {
    const removal = rm(path, { recursive: true, force: true })
      .catch((error: unknown) => console.error(`cannot remove the build context ${path}:`, error))
      .finally(() => this.#removals.delete(removal));
    this.#removals.add(removal);
    return removal;
  }

  /** Resolves when the directories of ended builds are gone. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#removals);
  }

  /** Forgets what no build uses now. */
  async prune(): Promise<void> {
    await this.#removeBeyond(0);
  }

  async #removeBeyond(limit: number): Promise<void> {
    const idle = this.#names()
      .map((name) => join(this.kept, name))
      .filter((path) => !this.#inUse.has(path))
      .map((path) => ({ path, usedAt: statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0 }))
      .sort((a, b) => b.usedAt - a.usedAt);
    for (const { path } of idle.slice(limit)) {
      this.#inUse.add(path);
      try {
        await rm(path, { recursive: true, force: true });
      } finally {
        this.#inUse.delete(path);
      }
    }
  }

  #names(): string[] {
    mkdirSync(this.kept, { recursive: true, mode: 0o700 });
    return readdirSync(this.kept);
  }
}
