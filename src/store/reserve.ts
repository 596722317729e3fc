/**
 * Room kept on the disk. On a full one even a removal needs a little, to be recorded; without that a daemon could
 * neither start nor clear up.
 */
import { existsSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";

/** The database's log grows to this between two checkpoints. */
const reserveSize = 4 << 20;
/** Room is taken again only when so many times as much is left to others. */
const spare = 8;
const retryInterval = 1000;

export class Reserve implements Disposable {
  #retry: Timer | undefined;
  #kept = false;

  constructor(private readonly path: string) {}

  /** Takes the room, now or when there is enough again. */
  keep(): void {
    if (this.#kept) return;
    this.#kept = existsSync(this.path) || this.#take();
    if (this.#kept) {
      clearInterval(this.#retry);
      this.#retry = undefined;
      return;
    }
    this.#retry ??= setInterval(() => this.keep(), retryInterval).unref();
  }

  /** Gives the room up. @returns whether there was any */
  release(): boolean {
    if (!this.#kept) return false;
    this.#kept = false;
    rmSync(this.path, { force: true });
    this.#retry ??= setInterval(() => this.keep(), retryInterval).unref();
    return true;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#retry);
  }

  #take(): boolean {
    const { bavail, bsize } = statfsSync(dirname(this.path));
    if (bavail * bsize < reserveSize * spare) return false;
    try {
      writeFileSync(this.path, Buffer.alloc(reserveSize), { mode: 0o600 });
      return true;
    } catch {
      // Somebody was faster. A part of the room would promise what it can't hold.
      rmSync(this.path, { force: true });
      return false;
    }
  }
}
