/**
 * Layers that are unpacked while the archive that brings them still comes. Nobody knows yet whether an image has
 * them, on what they stand, and whether their bytes are those that the image speaks of: their trees have no name
 * until somebody takes them by the digest of the complete file.
 */
import { availableParallelism } from "node:os";
import type { Digest } from "../../lib/digest.ts";
import { Slots } from "../../lib/slots.ts";
import type { OverlaySnapshots, UnnamedTree } from "../snapshots.ts";
import type { LayerLimits } from "../types.ts";
import { type ArrivingFile, closeArriving } from "./arriving.ts";
import type { WorkerPool } from "./pool.ts";
import type { Jobs } from "./protocol.ts";

/** A tree and what is known of it; the tree is its taker's. */
export type Unpacked = Jobs["unpack"]["result"] & { tree: UnnamedTree };

export class LayersAhead implements AsyncDisposable {
  readonly #abort = new AbortController();
  readonly #signal: AbortSignal;
  readonly #slots = new Slots(availableParallelism());
  /** By key; undefined for what could not be unpacked, which will be told when it is asked for. */
  readonly #running = new Map<number, Promise<Unpacked | undefined>>();
  readonly #complete = new Map<Digest, Promise<Unpacked | undefined>>();

  constructor(
    private readonly parts: { snapshots: OverlaySnapshots; workers: WorkerPool; limits: LayerLimits },
    signal?: AbortSignal,
  ) {
    this.#signal = signal ? AbortSignal.any([signal, this.#abort.signal]) : this.#abort.signal;
  }

  begin(file: ArrivingFile): void {
    this.#running.set(
      file.key,
      this.#slots
        .run(() => this.#unpack(file), this.#signal)
        .catch(() => undefined)
        .finally(() => closeArriving(file)),
    );
  }

  async #unpack(file: ArrivingFile): Promise<Unpacked> {
    const { snapshots, workers, limits } = this.parts;
    const tree = snapshots.unnamed();
    try {
      const task = { blob: file, directory: tree.directory, hash: file.compressed, limits };
      return { tree, ...(await workers.run("unpack", task, this.#signal)) };
    } catch (error) {
      snapshots.discard(tree);
      throw error;
    }
  }

  /** The archive is complete; from now on layers can be taken. */
  settle(digests: ReadonlyMap<number, Digest>): void {
    for (const [key, unpacked] of this.#running) {
      const digest = digests.get(key);
      // The same layer twice is unpacked twice, and used once.
      if (digest === undefined || this.#complete.has(digest)) continue;
      this.#complete.set(digest, unpacked);
      this.#running.delete(key);
    }
  }

  /** The tree of the layer with that digest, once; undefined when there is none. */
  async take(blob: Digest): Promise<Unpacked | undefined> {
    const found = this.#complete.get(blob);
    this.#complete.delete(blob);
    return found;
  }

  /** Ends what still runs, and drops what nobody has taken. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#abort.abort();
    for (const unpacked of [...this.#running.values(), ...this.#complete.values()]) {
      const found = await unpacked;
      if (found) this.parts.snapshots.discard(found.tree);
    }
  }
}
