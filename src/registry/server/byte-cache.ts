/** Small things that are asked for again and again, the least recently used forgotten first. */

export class ByteCache {
  readonly #entries = new Map<string, Uint8Array<ArrayBuffer>>();
  #size = 0;

  /** @param limit of all values together, bytes */
  constructor(private readonly limit: number) {}

  get(key: string): Uint8Array<ArrayBuffer> | undefined {
    const value = this.#entries.get(key);
    if (value) {
      // A map keeps the order of insertion: the last used goes to its end.
      this.#entries.delete(key);
      this.#entries.set(key, value);
    }
    return value;
  }

  set(key: string, value: Uint8Array<ArrayBuffer>): void {
    this.#size += value.length - (this.#entries.get(key)?.length ?? 0);
    this.#entries.delete(key);
    this.#entries.set(key, value);
    for (const [oldest, { length }] of this.#entries) {
      if (this.#size <= this.limit) return;
      this.#entries.delete(oldest);
      this.#size -= length;
    }
  }
}
