/** Layers by worker threads. */
import { rm } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { Readable } from "node:stream";
import type { Digest } from "../../lib/digest.ts";
import { type Descriptor, mediaTypes } from "../../lib/oci.ts";
import { Slots } from "../../lib/slots.ts";
import type { FileContentStore } from "../content.ts";
import type { OverlaySnapshots } from "../snapshots.ts";
import type { FileDigests, LayerLimits, Layers, Weights } from "../types.ts";
import type { WorkerPool } from "./pool.ts";
import { Credits } from "./streams.ts";

const mediaTypeOf = {
  gzip: mediaTypes.ociLayerGzip,
  zstd: mediaTypes.ociLayerZstd,
  none: mediaTypes.ociLayer,
} as const;

/** Output of an archive that may wait in the daemon for its reader (bytes). */
const archiveBuffer = 1 << 20;

export class WorkerLayers implements Layers {
  /** Chains being unpacked. */
  readonly #unpacking = new Map<string, Promise<void>>();
  /** More at once would only wait for one another, each with its buffers. */
  readonly #slots = new Slots(availableParallelism());

  constructor(
    private readonly content: FileContentStore,
    private readonly snapshots: OverlaySnapshots,
    private readonly workers: WorkerPool,
    private readonly limits: LayerLimits = {},
  ) {}

  async unpack(...[blob, expect, signal]: Parameters<Layers["unpack"]>): Promise<void> {
    const { chainId } = expect;
    // Whoever waits for another's unpacking tries itself when that one fails or is cancelled.
    for (let running = this.#unpacking.get(chainId); running; running = this.#unpacking.get(chainId))
      await running.catch(() => {});
    signal?.throwIfAborted();
    if (this.snapshots.stat(chainId)) return;
    const work = this.#unpack(blob, expect, signal).finally(() => this.#unpacking.delete(chainId));
    this.#unpacking.set(chainId, work);
    await work;
  }

  async #unpack(
    ...[blob, { diffId, chainId, parent, below }, signal]: Parameters<Layers["unpack"]>
  ): Promise<void> {
    const path = this.content.path(blob);
    const tree = this.snapshots.unnamed();
    const { directory } = tree;
    try {
      // A blob's own digest was checked when it came.
      const task = {
        blob: path,
        directory,
        diffId: diffId === blob ? undefined : diffId,
        limits: this.limits,
      };
      const { size, implied } = await this.#slots.run(() => this.workers.run("unpack", task, signal), signal);
      await below;
      if (parent !== undefined && implied.length > 0) {
        const lower = this.snapshots.treesOf(parent);
        await this.workers.run("inherit", { directory, lower, paths: implied }, signal);
      }
      this.snapshots.adopt(tree, chainId, size, parent);
    } catch (error) {
      this.snapshots.discard(tree);
      throw error;
    }
  }

  async pack(
    ...[key, options = {}, signal]: Parameters<Layers["pack"]>
  ): Promise<{ descriptor: Descriptor; diffId: Digest }> {
    const compression = options.compression ?? "gzip";
    const directory = this.snapshots.upperDir(key);
    const lower = this.snapshots.lowerDirs(key);
    return this.#packed(compression, (target) =>
      this.workers.run("pack", { ...options, compression, target, directory, lower }, signal),
    );
  }

  recompress(
    ...[blob, options, signal]: Parameters<Layers["recompress"]>
  ): Promise<{ descriptor: Descriptor; diffId: Digest }> {
    const path = this.content.path(blob);
    return this.#packed(options.compression, (target) =>
      this.workers.run("recompress", { ...options, blob: path, target }, signal),
    );
  }

  /** Takes in the layer that `write` leaves at the path it is given. */
  async #packed(
    compression: keyof typeof mediaTypeOf,
    write: (target: string) => Promise<{ digest: Digest; size: number; diffId: Digest }>,
  ): Promise<{ descriptor: Descriptor; diffId: Digest }> {
    const target = this.content.scratchPath();
    try {
      const { digest, size, diffId } = await write(target);
      await this.content.adopt(target, digest);
      return { descriptor: { mediaType: mediaTypeOf[compression], digest, size }, diffId };
    } finally {
      // Gone already when the content store has taken it.
      await rm(target, { force: true });
    }
  }

  async extract(
    ...[tar, directory, options = {}, signal]: Parameters<Layers["extract"]>
  ): Promise<FileDigests> {
    signal?.throwIfAborted();
    const credits = new Credits();
    const task = { directory, limits: this.limits, ...options };
    const job = this.workers.start("extract", task, { onCredit: () => credits.add() });
    signal?.addEventListener("abort", job.abort);
    const feeding = feed(tar, credits, job.input).catch((error: unknown) => {
      job.abort();
      throw error;
    });
    try {
      // The job's own failure ends the feeding, whose failure ends the job: nothing is left running.
      const [fed, done] = await Promise.allSettled([
        feeding,
        job.done.catch((error: Error) => {
          credits.fail(error);
          throw error;
        }),
      ]);
      signal?.throwIfAborted();
      if (fed.status === "rejected") throw fed.reason;
      if (done.status === "rejected") throw done.reason;
      return done.value;
    } finally {
      signal?.removeEventListener("abort", job.abort);
    }
  }

  measure(directory: string, signal?: AbortSignal): Promise<{ bytes: number; inodes: number }> {
    return this.workers.run("measure", { directory }, signal);
  }

  async weigh(...[blobs, limit, signal]: Parameters<Layers["weigh"]>): Promise<Weights> {
    const paths = blobs.map((blob) => this.content.path(blob));
    return await this.workers.run("weigh", { blobs: paths, limit }, signal);
  }

  archive(...[root, path, options = {}]: Parameters<Layers["archive"]>): Readable {
    /** Chunks taken from the worker that the reader had no room for. */
    let owed = 0;
    const stream = new Readable({
      highWaterMark: archiveBuffer,
      read() {
        for (; owed > 0; owed--) job.credit();
      },
      destroy(error, done) {
        job.abort();
        done(error);
      },
    });
    const job = this.workers.start(
      "archive",
      { root, path, ...options },
      {
        onOutput(bytes) {
          if (stream.push(bytes)) job.credit();
          else owed++;
        },
      },
    );
    job.done.then(
      () => stream.push(null),
      (error: Error) => stream.destroy(error),
    );
    return stream;
  }
}

/** Sends a stream as a job's input; the stream stays open for who owns it. */
async function feed(
  source: Readable,
  credits: Credits,
  send: (bytes: Uint8Array | undefined) => void,
): Promise<void> {
  for await (const chunk of source.iterator({ destroyOnReturn: false })) {
    await credits.take();
    // A copy: the buffer goes to the worker, and a chunk may be a part of one that others use.
    send(new Uint8Array(chunk as Uint8Array));
  }
  send(undefined);
}
