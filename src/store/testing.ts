/** For tests: a store in a directory of its own, and layers written by hand. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pack } from "tar-stream";
import type { Digest } from "../lib/digest.ts";
import { digestOf } from "../lib/digest.ts";
import { type ImageConfig, mediaTypes } from "../lib/oci.ts";
import { openStore } from "./index.ts";
import type { ImageRecord, LayerLimits, Store } from "./types.ts";

/** An entry as tar-stream's header takes it. */
export interface Entry {
  name: string;
  type?: "file" | "link" | "symlink" | "directory" | "fifo" | "character-device";
  linkname?: string;
  content?: string | Buffer;
  mode?: number;
  uid?: number;
  gid?: number;
  mtime?: Date;
}

export async function tarOf(entries: Entry[]): Promise<Buffer> {
  const archive = pack();
  for (const { content = "", ...header } of entries) archive.entry({ mode: 0o755, ...header }, content);
  archive.finalize();
  return Buffer.concat(await Array.fromAsync(archive as AsyncIterable<Uint8Array>));
}

export class StoreLab implements AsyncDisposable {
  readonly directory = mkdtempSync(join(tmpdir(), "gs-"));
  store!: Store;

  static async open(limits?: LayerLimits): Promise<StoreLab> {
    const lab = new StoreLab();
    lab.store = await openStore(join(lab.directory, "store"), { limits });
    return lab;
  }

  async reopen(): Promise<void> {
    await this.store[Symbol.asyncDispose]();
    this.store = await openStore(join(this.directory, "store"));
  }

  /** Stores `blob` and unpacks it as a layer whose uncompressed bytes are `tar`. */
  async unpack(tar: Buffer, options: { blob?: Uint8Array; parent?: string } = {}): Promise<string> {
    const chainId = `chain-${crypto.randomUUID()}`;
    const blob = await this.store.content.put(options.blob ?? tar);
    await this.store.layers.unpack(blob, { diffId: digestOf(tar), chainId, parent: options.parent });
    return chainId;
  }

  /** An image of the given layers, registered. */
  async image(layers: Buffer[], config: Partial<ImageConfig> = {}): Promise<ImageRecord> {
    const { content, images } = this.store;
    const put = async (mediaType: string, bytes: Uint8Array) => ({
      mediaType,
      digest: await content.put(bytes),
      size: bytes.length,
    });
    const document = (value: object) => Buffer.from(JSON.stringify(value));
    const rootfs = { type: "layers", diff_ids: layers.map((tar): Digest => digestOf(tar)) };
    const manifest = {
      schemaVersion: 2,
      config: await put(
        mediaTypes.ociConfig,
        document({ os: "linux", architecture: "amd64", rootfs, ...config }),
      ),
      layers: await Promise.all(layers.map((tar) => put(mediaTypes.ociLayer, tar))),
    };
    return images.register(await put(mediaTypes.ociManifest, document(manifest)));
  }

  /** Looks at a snapshot's whole tree while it's mounted. */
  async look<T>(key: string, look: (root: string) => T | Promise<T>): Promise<T> {
    const target = mkdtempSync(join(this.directory, "look-"));
    this.store.snapshots.mountAt(key, target);
    try {
      return await look(target);
    } finally {
      this.store.snapshots.unmount(target);
    }
  }

  /** Mounts and unfinished snapshots; a test leaves none. */
  leftovers(): string[] {
    const mounts = readFileSync("/proc/self/mounts", "utf8")
      .split("\n")
      .map((line) => line.split(" ")[1] ?? "")
      .filter((path) => path.startsWith(this.directory));
    const active = this.store.snapshots.list().filter(({ kind }) => kind === "active");
    return [...mounts, ...active.map(({ key }) => key)];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.store[Symbol.asyncDispose]();
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** Waits until `condition` holds; what it stands for must come, so the bound is generous. */
export async function until(condition: () => boolean, ms = 30_000): Promise<void> {
  for (const end = performance.now() + ms; !condition(); await Bun.sleep(5))
    if (performance.now() > end) throw new Error(`waited in vain for ${condition}`);
}
