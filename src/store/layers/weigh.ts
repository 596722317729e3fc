/** What each layer of an image adds, and what of it later layers overwrite or delete. Reads headers only. */
import { createReadStream } from "node:fs";
import { readable, type TarEntry, type TarHandler, TarReader } from "../../lib/tar/index.ts";
import type { LayerWeight, WeighedFile, WeighedWaste, Weights } from "../types.ts";
import { decompress } from "./decompress.ts";
import { opaqueMarker, whiteoutPrefix } from "./whiteout.ts";

/**
 * @param blobs paths of the layers, base first, in any compression
 * @param limit how many files, and how many wasted ones, are told: the biggest
 * @throws InvalidParameter for a malformed archive
 */
export async function weighLayers(blobs: string[], limit: number, signal: AbortSignal): Promise<Weights> {
  const scales = new Scales(limit);
  for (const blob of blobs) {
    const reader = new TarReader(scales.layer());
    const source = createReadStream(blob, { highWaterMark: 1 << 20 });
    for await (const chunk of decompress(source)) {
      signal.throwIfAborted();
      reader.push(chunk);
    }
    reader.finish();
  }
  return scales.result();
}

/** A path of the image as the layers so far have made it. */
interface Node {
  /** Of a directory. */
  children?: Map<string, Node>;
  /** Bytes of content; hard links weigh nothing. */
  size: number;
  layer: number;
}

class Scales {
  readonly #root: Node = { children: new Map(), size: 0, layer: -1 };
  readonly #layers: LayerWeight[] = [];
  readonly #waste: Biggest<WeighedWaste>;

  constructor(private readonly limit: number) {
    this.#waste = new Biggest(limit);
  }

  /** Takes the entries of the next layer. */
  layer(): TarHandler {
    const layer = this.#layers.length;
    this.#layers.push({ bytes: 0, files: 0, wasted: 0 });
    return { entry: (entry) => this.#add(entry, layer), data() {}, end() {} };
  }

  #add({ path, type, size }: TarEntry, layer: number): void {
    const parts = path.split("/").filter((part) => part !== "" && part !== ".");
    const name = parts.pop();
    if (name === undefined) return;
    if (name === opaqueMarker) {
      this.#lose(this.#find(parts), parts, layer, "deleted");
      return;
    }
    if (name.startsWith(whiteoutPrefix)) {
      const gone = name.slice(whiteoutPrefix.length);
      const parent = this.#find(parts)?.children;
      const node = parent?.get(gone);
      this.#lose(node, [...parts, gone], layer, "deleted");
      if (node && !node.children && node.layer !== layer) parent!.delete(gone);
      return;
    }
    const before = this.#find(parts)?.children?.get(name);
    if (type === "directory" && before?.children) return;
    this.#lose(before, [...parts, name], layer, "overwritten");
    const node = type === "directory" ? { children: new Map(), size: 0, layer } : { size, layer };
    this.#directory(parts, layer).set(name, node);
    if (type === "directory") return;
    const weight = this.#layers[layer]!;
    weight.bytes += size;
    weight.files++;
  }

  #find(parts: string[]): Node | undefined {
    let node: Node | undefined = this.#root;
    for (const part of parts) node = node?.children?.get(part);
    return node;
  }

  /** The children of a directory, which is made when the archive has no entry for it. */
  #directory(parts: string[], layer: number): Map<string, Node> {
    let children = this.#root.children!;
    for (const part of parts) {
      let next = children.get(part);
      if (!next?.children) {
        next = { children: new Map(), size: 0, layer };
        children.set(part, next);
      }
      children = next.children!;
    }
    return children;
  }

  /**
   * Counts the files at and below a path that layer `by` makes useless, and takes those below away. What that layer
   * has brought itself stays: its whiteouts speak of the layers below. Empty directories stay too, as they weigh
   * nothing.
   */
  #lose(top: Node | undefined, path: string[], by: number, how: WeighedWaste["how"]): void {
    if (!top) return;
    const pending: [Node, string[]][] = [[top, path]];
    for (let next = pending.pop(); next; next = pending.pop()) {
      const [{ children, size, layer }, at] = next;
      for (const [name, child] of children ?? []) {
        if (child.children || child.layer !== by) pending.push([child, [...at, name]]);
        if (!child.children && child.layer !== by) children!.delete(name);
      }
      if (children || layer === by) continue;
      this.#layers[layer]!.wasted += size;
      this.#waste.offer(size, () => ({ path: shown(at), size, layer, by, how }));
    }
  }

  result(): Weights {
    const files = new Biggest<WeighedFile>(this.limit);
    const pending: [Node, string[]][] = [[this.#root, []]];
    for (let next = pending.pop(); next; next = pending.pop()) {
      const [node, path] = next;
      for (const [name, child] of node.children ?? []) pending.push([child, [...path, name]]);
      if (!node.children)
        files.offer(node.size, () => ({ path: shown(path), size: node.size, layer: node.layer }));
    }
    return { layers: this.#layers, files: files.list(), waste: this.#waste.list() };
  }
}

const shown = (parts: string[]) => readable(`/${parts.join("/")}`);

/** Keeps the `limit` biggest of what it is offered. */
class Biggest<T extends { size: number }> {
  #items: T[] = [];
  #least = 0;

  constructor(private readonly limit: number) {}

  offer(size: number, make: () => T): void {
    if (size <= this.#least) return;
    this.#items.push(make());
    if (this.#items.length >= 4 * this.limit) this.#cut();
  }

  #cut(): void {
    this.#items = this.#items.sort((a, b) => b.size - a.size).slice(0, this.limit);
    this.#least = this.#items.length === this.limit ? this.#items.at(-1)!.size : 0;
  }

  list(): T[] {
    this.#cut();
    return this.#items;
  }
}
