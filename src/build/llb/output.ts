/** What an operation gives: a tree of files, as others take it. */

import type { Layer } from "../export/pack.ts";
import type { SourceTree } from "../files/tree.ts";
import type { StageHistory, Tree } from "../solve/stage.ts";
import type { BuildBackend } from "../types.ts";

/** A tree as layers over one another. */
export interface Layered {
  tree: Tree;
  layers: Layer[];
  /** Record of the last step, for the cache's own listing. */
  record?: string;
  /** Of the steps since the image that it began from. */
  history: StageHistory[];
  /** It is this image, unchanged. */
  image?: Awaited<ReturnType<BuildBackend["resolveImage"]>>;
}

export interface Output {
  /** Names its content in keys. */
  id: string;
  /** To read them. A client's files have owners of another machine. */
  files(): SourceTree;
  owners: "keep" | { uid: number; gid: number };
  /** On the disk it is a directory of its own, which no snapshot holds. */
  onDisk: boolean;
  layered(): Promise<Layered>;
}

export const nothing: Layered = { tree: { id: "scratch" }, layers: [], history: [] };
