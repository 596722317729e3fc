/** Layers by worker threads. */
import { rm } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { Readable } from "node:stream";
import type { Digest } from "../../lib/digest.ts";
import { InvalidParameter } from "../../lib/errors.ts";
import { type Descriptor, mediaTypes } from "../../lib/oci.ts";
import { Slots } from "../../lib/slots.ts";
import type { FileContentStore } from "../content.ts";
import type { OverlaySnapshots } from "../snapshots.ts";
import type { LayerLimits, Layers, ReceivedArchive, Weights } from "../types.ts";
import { LayersAhead, type Unpacked } from "./ahead.ts";
import { type ArrivingFile, arrivedOf, closeArriving } from "./arriving.ts";
import type { JobListener, WorkerPool } from "./pool.ts";
import type { Jobs } from "./protocol.ts";
import { Credits } from "./streams.ts";

const mediaTypeOf = {
  gzip: mediaTypes.ociLayerGzip,
  zstd: mediaTypes.ociLayerZstd,
  none: mediaTypes.ociLayer,
} as const;

/** Between two words on how far a layer is (milliseconds). */
const progressInterval = 100;

/** Output of an archive that may wait in the daemon for its reader (bytes). */
const archiveBuffer = 1 << 20;

export class WorkerLayers implements Layers {
  /** Chains being unpacked. */
  readonly #unpacking = new Map<string, Promise<void>>();
  /** More at once would only wait for one another, each with its buffers. */
  readonly #slots = new Slots(availableParallelism());
  /** Of archives that are being loaded. */
  readonly #ahead = new Set<LayersAhead>();

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
    ...[blob, { diffId, chainId, parent, below, onRead }, signal]: Parameters<Layers["unpack"]>
  ): Promise<void> {
    const path = this.content.path(blob);
    const { tree, size, implied, ...found } =
      (await this.#takeAhead(blob)) ?? (await this.#unpackTo(path, diffId !== blob, signal, onRead));
    const { directory } = tree;
    try {
      // A blob's own digest was checked when it came.
      const actual = found.diffId ?? blob;
      if (actual !== diffId)
        throw new InvalidParameter(`uncompressed digest is ${actual}, the image's config says ${diffId}`);
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

  /** @param hash whether the digest of the uncompressed bytes is wanted */
  async #unpackTo(
    blob: string,
    hash: boolean,
    signal?: AbortSignal,
    onRead?: (bytes: number) => void,
  ): Promise<Unpacked> {
    const tree = this.snapshots.unnamed();
    const read = onRead && new SharedArrayBuffer(8);
    const count = read && new BigInt64Array(read);
    const told = count && setInterval(() => onRead!(Number(Atomics.load(count, 0))), progressInterval);
    try {
      const task = { blob, directory: tree.directory, hash, limits: this.limits, read };
      return { tree, ...(await this.#slots.run(() => this.workers.run("unpack", task, signal), signal)) };
    } catch (error) {
      this.snapshots.discard(tree);
      throw error;
    } finally {
      clearInterval(told);
    }
  }

  async #takeAhead(blob: Digest): Promise<Unpacked | undefined> {
    for (const ahead of this.#ahead) {
      const unpacked = await ahead.take(blob);
      if (unpacked) return unpacked;
    }
    return undefined;
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

  async extract(...[tar, directory, options = {}, signal]: Parameters<Layers["extract"]>): Promise<void> {
    await this.#extract(tar, { directory, limits: this.limits, ...options }, {}, signal);
  }

  receiveContext(
    ...[archive, directory, signal]: Parameters<Layers["receiveContext"]>
  ): Promise<ReadonlyMap<number, string>> {
    return this.#fed("receiveContext", archive, { directory, limits: this.limits }, {}, signal);
  }

  async receive(
    ...[archive, directory, signal, onLayer]: Parameters<Layers["receive"]>
  ): Promise<ReceivedArchive> {
    const { snapshots, workers, limits } = this;
    await using stack = new AsyncDisposableStack();
    const ahead = stack.use(new LayersAhead({ snapshots, workers, limits }, signal));
    const task = { directory, limits, owner: { uid: 0, gid: 0 }, digests: true };
    const onArriving = (file: ArrivingFile) => {
      const { path, size } = file;
      onLayer?.({ path, size, arrived: () => arrivedOf(file) });
      if (this.#isHere(path)) closeArriving(file);
      else ahead.begin(file);
    };
    const { digests, layers } = await this.#extract(archive, task, { onArriving }, signal);
    ahead.settle(layers);
    this.#ahead.add(ahead);
    stack.defer(() => void this.#ahead.delete(ahead));
    const owned = stack.move();
    return { digests, [Symbol.asyncDispose]: () => owned.disposeAsync() };
  }

  /** Whether a file of an OCI layout is a blob that is in the store already, as far as its name says. */
  #isHere(path: string): boolean {
    const digest = /^(?:\.\/)?blobs\/sha256\/([0-9a-f]{64})$/.exec(path)?.[1];
    return digest !== undefined && this.content.has(`sha256:${digest}`);
  }

  #extract(
    tar: Readable,
    task: Jobs["extract"]["task"],
    listener: Pick<JobListener, "onArriving">,
    signal?: AbortSignal,
  ): Promise<Jobs["extract"]["result"]> {
    return this.#fed("extract", tar, task, listener, signal);
  }

  /** Runs a job whose input is an archive. */
  async #fed<N extends "extract" | "receiveContext">(
    name: N,
    tar: Readable,
    task: Jobs[N]["task"],
    listener: Pick<JobListener, "onArriving">,
    signal?: AbortSignal,
  ): Promise<Jobs[N]["result"]> {
    signal?.throwIfAborted();
    const credits = new Credits();
    const job = this.workers.start(name, task, { ...listener, onCredit: (used) => credits.add(used) });
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
    for (let rest = chunk as Uint8Array; rest.length > 0; ) {
      await credits.take();
      // A copy: the buffer goes to the worker, and a chunk may be a part of one that others use.
      const copy = credits.copyOf(rest);
      rest = rest.subarray(copy.length);
      send(copy);
    }
  }
  send(undefined);
}
