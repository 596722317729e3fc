/** Digests of selections from trees that never change under their names: images and finished stages. */
import type { Store, Table } from "../../store/types.ts";
import { SharedWork } from "./shared.ts";

interface Entry {
  key: string;
  digest: string;
}

export class Digests {
  readonly #table: Table<Entry>;
  readonly #running = new SharedWork<string>();

  constructor(store: Store) {
    this.#table = store.metadata.table("build_digests");
  }

  /** @param compute done once for all who ask meanwhile; the tree is its first caller's */
  async get(
    key: string,
    signal: AbortSignal,
    compute: (signal: AbortSignal) => Promise<string>,
  ): Promise<string> {
    const known = this.#table.get(key);
    if (known) return known.digest;
    return this.#running.run(key, { signal, bound: true }, async (signal) => {
      const digest = await compute(signal);
      this.#table.put(key, { key, digest });
      return digest;
    });
  }

  clear(): void {
    for (const { key } of this.#table.list()) this.#table.delete(key);
  }
}
