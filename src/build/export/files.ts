/** The files of a build's target, of one platform or of several, on their way to the client. */
import { Readable } from "node:stream";
import type { Platform } from "../../lib/oci.ts";
import { endOfArchive } from "../../lib/tar/index.ts";
import type { Layers } from "../../store/types.ts";
import { formatPlatform } from "../graph/scope.ts";
import type { OutputFiles } from "./types.ts";

/** @param roots mounted until the files are delivered; `split`: each in a directory named by its platform. What lies `beside` goes with the root's */
export function treeFiles(
  layers: Layers,
  roots: { platform: Platform; root: string; snapshot?: string; beside?: string }[],
  split: boolean,
): OutputFiles {
  const trees = roots.map(({ platform, ...directories }) => ({
    path: split ? formatPlatform(platform).replaceAll("/", "_") : "",
    ...directories,
  }));
  const directories = trees.flatMap(({ path, root, beside }) =>
    [root, ...(beside === undefined ? [] : [beside])].map((directory) => ({ path, directory })),
  );
  return {
    trees,
    archive: () =>
      Readable.from(
        joined(directories.map(({ path, directory }) => layers.archive(directory, "/", { as: path || "." }))),
        { objectMode: false },
      ),
  };
}

/** Archives one after the other as one: only the last keeps its end. */
async function* joined(archives: Readable[]): AsyncGenerator<Uint8Array> {
  try {
    for (const archive of archives) {
      let held = Buffer.alloc(0);
      for await (const chunk of archive) {
        const all = held.length === 0 ? (chunk as Buffer) : Buffer.concat([held, chunk as Buffer]);
        const free = Math.max(0, all.length - endOfArchive.length);
        if (free > 0) yield all.subarray(0, free);
        held = Buffer.from(all.subarray(free));
      }
    }
    yield endOfArchive;
  } finally {
    for (const archive of archives) archive.destroy();
  }
}
