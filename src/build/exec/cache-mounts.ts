/** Directories of `RUN --mount=type=cache`: they outlive builds and are shared by all that name the same id. */
import { chmodSync, chownSync, existsSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { RunMount } from "./run-mounts.ts";

type CacheMount = Extract<RunMount, { type: "cache" }>;

export class CacheMounts {
  readonly #users = new Map<string, number>();
  readonly #waiting = new Map<string, (() => void)[]>();

  constructor(private readonly root: string) {}

  /** The directory for one step; released by dispose. A locked one waits until no other step has it. */
  async acquire(mount: CacheMount, signal: AbortSignal): Promise<{ path: string } & Disposable> {
    const name = new Bun.CryptoHasher("sha256").update(mount.id).digest("hex");
    let path = join(this.root, name);
    if (mount.sharing === "locked") {
      while (this.#users.has(path)) await this.#released(path, signal);
    } else if (mount.sharing === "private") {
      for (let n = 1; this.#users.has(path); n++) path = join(this.root, `${name}.${n}`);
    }
    this.#users.set(path, (this.#users.get(path) ?? 0) + 1);
    if (!existsSync(path)) {
      mkdirSync(path, { recursive: true });
      chownSync(path, mount.uid, mount.gid);
      chmodSync(path, mount.mode);
    }
    return { path, [Symbol.dispose]: () => this.#release(path) };
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
