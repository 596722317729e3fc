/** Lets a long synchronous walk give way: the daemon's thread is never held for more than a few milliseconds. */
export class Breather {
  #since = performance.now();

  constructor(
    private readonly signal?: AbortSignal,
    private readonly slice = 3,
  ) {}

  /** Returns at once, or after other work had its turn. @throws the signal's reason when aborted */
  breathe(): void | Promise<void> {
    if (performance.now() - this.#since < this.slice) return;
    return this.#pause();
  }

  async #pause(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    this.signal?.throwIfAborted();
    this.#since = performance.now();
  }
}
