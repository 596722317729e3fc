/** Parts that this layer's tests share. */
import { rmSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { onInterrupt } from "../../test/support/interrupt.ts";
import { digestOf } from "../lib/digest.ts";
import { type Descriptor, mediaTypes } from "../lib/oci.ts";
import { serveRegistry } from "./index.ts";
import type { RegistryServer, RepositoryClient } from "./types.ts";

export interface TempDir extends AsyncDisposable {
  path: string;
}

export async function tempDir(): Promise<TempDir> {
  const path = await mkdtemp(join(tmpdir(), "gantry-registry-"));
  const cleared = onInterrupt(() => rmSync(path, { recursive: true, force: true }));
  return {
    path,
    async [Symbol.asyncDispose]() {
      await rm(path, { recursive: true, force: true });
      cleared();
    },
  };
}

/** Our own server on a free port, with a directory that goes with it. */
export async function ownRegistry(): Promise<RegistryServer & { root: string }> {
  const dir = await tempDir();
  const server = await serveRegistry({ addr: "127.0.0.1:0", root: dir.path });
  return {
    address: server.address,
    root: dir.path,
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      await dir[Symbol.asyncDispose]();
    },
  };
}

/** Debian's docker-registry on a free port. */
export async function debianRegistry(): Promise<RegistryServer & { pid: number }> {
  const dir = await tempDir();
  const address = `127.0.0.1:${await freePort()}`;
  const config = {
    version: "0.1",
    log: { level: "error", accesslog: { disabled: true } },
    storage: { filesystem: { rootdirectory: dir.path }, delete: { enabled: true } },
    http: { addr: address },
  };
  const configPath = join(dir.path, "config.yml");
  await Bun.write(configPath, JSON.stringify(config));
  const child = Bun.spawn(["docker-registry", "serve", configPath], { stdout: "ignore", stderr: "ignore" });
  const cleared = onInterrupt(() => child.kill("SIGKILL"));
  const stop = async () => {
    child.kill();
    await child.exited;
    cleared();
    await dir[Symbol.asyncDispose]();
  };
  for (let tries = 0; ; tries++) {
    const response = await fetch(`http://${address}/v2/`).catch(() => undefined);
    if (response?.ok) return { address, pid: child.pid, [Symbol.asyncDispose]: stop };
    if (tries === 2000 || child.exitCode !== null) {
      await stop();
      throw new Error("docker-registry did not start");
    }
    await Bun.sleep(25);
  }
}

/** A free port that no outgoing connection is given meanwhile: below the range of those. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = 10_000 + Math.floor(Math.random() * 20_000);
    const server = createServer();
    const isFree = await new Promise<boolean>((resolve) => {
      server.once("error", () => resolve(false)).listen(port, "127.0.0.1", () => resolve(true));
    });
    if (!isFree) continue;
    await new Promise((resolve) => server.close(resolve));
    return port;
  }
}

/** Bytes that look random and are the same every time. */
export function pattern(size: number, seed = 1): Buffer {
  const bytes = Buffer.allocUnsafe(size);
  let state = seed;
  for (let i = 0; i < size; i++) {
    state = (state * 1_103_515_245 + 12_345) & 0x7fff_ffff;
    bytes[i] = state >> 16;
  }
  return bytes;
}

export function layerOf(bytes: Uint8Array): Descriptor {
  return { mediaType: mediaTypes.ociLayerGzip, digest: digestOf(bytes), size: bytes.length };
}

/** A stream in pieces of `chunk` bytes. */
export function streamOf(bytes: Buffer, chunk = 64 * 1024): () => Readable {
  return () =>
    Readable.from(
      (function* () {
        for (let at = 0; at < bytes.length; at += chunk) yield bytes.subarray(at, at + chunk);
      })(),
      { objectMode: false },
    );
}

export async function collect(stream: Readable): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** Pushes an image of one layer and gives its manifest. */
export async function pushImage(
  repository: RepositoryClient,
  tag: string,
  layer = pattern(1000),
  extra: object = {},
): Promise<Buffer> {
  const config = Buffer.from(
    JSON.stringify({ architecture: "amd64", os: "linux", rootfs: { type: "layers", diff_ids: [] } }),
  );
  const configDescriptor = { ...layerOf(config), mediaType: mediaTypes.ociConfig };
  await repository.pushBlob(layerOf(layer), streamOf(layer));
  await repository.pushBlob(configDescriptor, streamOf(config));
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: mediaTypes.ociManifest,
      config: configDescriptor,
      layers: [layerOf(layer)],
      ...extra,
    }),
  );
  await repository.pushManifest(tag, manifest, mediaTypes.ociManifest);
  return manifest;
}
