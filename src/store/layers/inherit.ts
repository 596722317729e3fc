import { closeSync, fchmodSync, fchownSync } from "node:fs";
import { type ByteString, toBytes } from "../../lib/tar/index.ts";
import * as fs from "../../linux/fs.ts";

const openDirectory = fs.O_RDONLY | fs.O_DIRECTORY | fs.O_NOFOLLOW;

/** Between two breaths for others. */
const batch = 200;

/**
 * Directories that a layer's archive needs and does not describe take owner, mode and time from the layers below, as
 * they would in a tree that all layers are unpacked into.
 * @param lower trees of the layers below, nearest first
 * @param paths in `directory`; its own root is the empty one
 */
export async function inheritDirectories(
  directory: string,
  lower: readonly string[],
  paths: readonly ByteString[],
  signal: AbortSignal,
): Promise<void> {
  using own = fs.Descriptor.directory(directory);
  using below = new Trees(lower);
  for (const [n, path] of paths.entries()) {
    if (n % batch === batch - 1) await new Promise((resolve) => setImmediate(resolve));
    signal.throwIfAborted();
    const model = below.find(path);
    if (!model) continue;
    const fd = openIn(own.fd, path);
    // The archive itself may have put something else in its place.
    if (fd === undefined) continue;
    try {
      fchownSync(fd, model.uid, model.gid);
      fchmodSync(fd, model.mode & 0o7777);
      fs.setMtime(fd, model.mtime);
    } finally {
      closeSync(fd);
    }
  }
}

/** Trees opened as they are wanted. */
class Trees implements Disposable {
  readonly #roots: fs.Descriptor[] = [];
  /** For each tree directories that it lacks, which have nothing in it either. */
  readonly #missing: Set<ByteString>[];

  constructor(private readonly paths: readonly string[]) {
    this.#missing = paths.map(() => new Set());
  }

  /** The nearest one's directory at `path`; asked for outer directories first, it looks less often. */
  find(path: ByteString): fs.FileStat | undefined {
    const parent = path.slice(0, Math.max(path.lastIndexOf("/"), 0));
    for (const [at, missing] of this.#missing.entries()) {
      const fd = missing.has(parent) ? undefined : openIn(this.#root(at), path);
      if (fd === undefined) {
        missing.add(path);
        continue;
      }
      try {
        return fs.statAt(fd, "");
      } finally {
        closeSync(fd);
      }
    }
    return undefined;
  }

  #root(at: number): number {
    this.#roots[at] ??= fs.Descriptor.directory(this.paths[at]!);
    return this.#roots[at].fd;
  }

  [Symbol.dispose](): void {
    for (const root of this.#roots) root?.[Symbol.dispose]();
  }
}

const openIn = (root: number, path: ByteString) =>
  fs.unlessMissing(() => fs.openInRoot(root, toBytes(path || "."), openDirectory));
