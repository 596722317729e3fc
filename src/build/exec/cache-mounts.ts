/** Directories of `RUN --mount=type=cache`: they outlive builds and are shared by all that name the same id. */
import { chmodSync, chownSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { RunMount } from "./run-mounts.ts";

type CacheMount = Extract<RunMount, { type: "cache" }>;

export interface CacheMountOptions {
  /** Identifies what a new cache begins with; another base is another cache. */
  base?: string;
  /** Puts it into a new directory. */
  fill?: (directory: string) => Promise<void>;
  signal: AbortSignal;
}

export class CacheMounts {
  readonly #users = new Map<string, number>();
  readonly #filling = new Map<string, Promise<void>>();
  readonly #waiting = new Map<string, (() => void)[]>();

  constructor(private readonly root: string) {}

  /** The directory for one step; released by dispose. A locked one waits until no other step has it. */
  async acquire(
    mount: CacheMount,
    { base, fill, signal }: CacheMountOptions,
  ): Promise<{ path: string } & Disposable> {
    const identity = base === undefined ? mount.id : JSON.stringify([mount.id, base, mount.source]);
    const name = new Bun.CryptoHasher("sha256").update(identity).digest("hex");
    let path = join(this.root, name);
    if (mount.sharing === "locked") {
      while (this.#users.has(path)) await this.#released(path, signal);
    } else if (mount.sharing === "private") {
      for (let n = 1; this.#users.has(path); n++) path = join(this.root, `${name}.${n}`);
    }
    this.#users.set(path, (this.#users.get(path) ?? 0) + 1);
    const release = () => this.#release(path);
    try {
      await this.#once(path, async () => {
        if (existsSync(path)) return;
        // Under its name only when it is whole: a killed daemon leaves no half of a cache.
        const fresh = `${path}.new`;
        rmSync(fresh, { recursive: true, force: true });
        mkdirSync(fresh, { recursive: true });
        chownSync(fresh, mount.uid, mount.gid);
        chmodSync(fresh, mount.mode);
        await fill?.(fresh);
        renameSync(fresh, path);
      });
    } catch (error) {
      release();
      throw error;
    }
    return { path, [Symbol.dispose]: release };
  }

  /** Steps that come to a new cache together wait for the one that fills it. */
  async #once(path: string, make: () => Promise<void>): Promise<void> {
    const running = (this.#filling.get(path) ?? Promise.resolve()).catch(() => {}).then(make);
    this.#filling.set(path, running);
    try {
      await running;
    } finally {
      if (this.#filling.get(path) === running) this.#filling.delete(path);
    }
  }

  /** Removes those that no step has mounted. */
  prune(): void {
    if (!existsSync(this.root)) return;
    for (const name of readdirSync(this.root)) {
      const path = join(this.root, name);
      if (!this.#users.has(path)) rmSync(path, { recursive: true, force: true });
    }
  }

  #release(path: string): void {
    const left = this.#users.get(path)! - 1;
    if (left > 0) {
      this.#users.set(path, left);
      return;
    }
    this.#users.delete(path);
    const waiting = this.#waiting.get(path) ?? [];
    this.#waiting.delete(path);
    for (const wake of waiting) wake();
  }

  #released(path: string, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const abort = () => reject(signal.reason);
      if (signal.aborted) return abort();
      signal.addEventListener("abort", abort, { once: true });
      const wake = () => {
        signal.removeEventListener("abort", abort);
        resolve();
      };
      this.#waiting.set(path, [...(this.#waiting.get(path) ?? []), wake]);
    });
  }
}
