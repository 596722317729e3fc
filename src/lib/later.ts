/** Work that may wait: done once, a while after it was last asked for, never twice at a time. */
export class Later implements AsyncDisposable {
  #timer: ReturnType<typeof setTimeout> | undefined;
  #running: Promise<void> = Promise.resolve();
  #ended = false;

  /**
   * @param delay milliseconds of quiet before it begins
   * @param onError gets what the work throws
   */
  constructor(
    private readonly work: () => Promise<void>,
    private readonly delay: number,
    private readonly onError: (error: unknown) => void,
  ) {}

  request(): void {
    if (this.#ended) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#running = this.#running.then(this.work).catch(this.onError);
    }, this.delay);
    // Whoever waits for the program's end doesn't wait for this.
    this.#timer.unref();
  }

  /** Drops what has not begun, and waits for what has. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended = true;
    clearTimeout(this.#timer);
    await this.#running;
  }
}
