/** Digests of selections from trees that never change under their names: images and finished stages. */
import type { Store, Table } from "../../store/types.ts";

interface Entry {
  key: string;
  digest: string;
}

export class Digests {
  readonly #table: Table<Entry>;

  constructor(store: Store) {
    this.#table = store.metadata.table("build_digests");
  }

  async get(key: string, compute: () => Promise<string>): Promise<string> {
    const known = this.#table.get(key);
    if (known) return known.digest;
    const digest = await compute();
    this.#table.put(key, { key, digest });
    return digest;
  }

  clear(): void {
    for (const { key } of this.#table.list()) this.#table.delete(key);
  }
}
