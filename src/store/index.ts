/** The store: content, snapshots, layers, images and metadata below one directory. */
import { closeSync, mkdirSync, openSync } from "node:fs";
import { join } from "node:path";
import { Conflict } from "../lib/errors.ts";
import { tryLock } from "../linux/fs.ts";
import { FileContentStore } from "./content.ts";
import { driverStatus } from "./driver-status.ts";
import { ImageStore } from "./images.ts";
import { WorkerLayers } from "./layers/index.ts";
import { WorkerPool } from "./layers/pool.ts";
import { SqliteMetadata } from "./metadata.ts";
import { OverlaySnapshots, overlayOptions } from "./snapshots.ts";
import type { OpenStore } from "./types.ts";

export { chainIds } from "./chain.ts";
export { decompress } from "./layers/decompress.ts";
export { followInRoot, resolveInRoot } from "./resolve.ts";
export {
  attestedBy,
  isAttestation,
  isImage,
  isImageConfig,
  isIndex,
  isManifest,
  maxIndexDepth,
} from "./targets.ts";

/**
 * Opens (creating) the store at `root`, and clears what a crash left half-done.
 * @throws Conflict when another process has it open
 */
export const openStore: OpenStore = async (root, options = {}) => {
  mkdirSync(root, { recursive: true, mode: 0o711 });
  const lock = openSync(join(root, "lock"), "w", 0o600);
  if (!tryLock(lock)) {
    closeSync(lock);
    throw new Conflict(`${root} is in use by another process`);
  }
  const metadata = new SqliteMetadata(join(root, "gantry.db"));
  const workers = new WorkerPool();
  const content = new FileContentStore(join(root, "content"));
  content.clearStale();
  const snapshots = new OverlaySnapshots(join(root, "snapshots"), metadata, (directory) =>
    workers.run("measure", { directory }),
  );
  snapshots.recover();
  const layers = new WorkerLayers(content, snapshots, workers, options.limits);
  const images = new ImageStore(metadata, content, snapshots, layers);
  await images.recover();
  return {
    root,
    metadata,
    content,
    snapshots,
    layers,
    images,
    driverStatus: () => driverStatus(root, overlayOptions),
    async verify(digest, signal) {
      if (!content.has(digest)) return false;
      return (await workers.run("digest", { path: content.path(digest) }, signal)) === digest;
    },
    async [Symbol.asyncDispose]() {
      await snapshots.settle();
      await workers[Symbol.asyncDispose]();
      metadata[Symbol.dispose]();
      closeSync(lock);
    },
  };
};
