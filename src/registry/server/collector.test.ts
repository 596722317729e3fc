/** Garbage collection: what goes, what stays, and that nothing is lost while others push, pull, delete and kill. */
import { describe, expect, test } from "bun:test";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { type Digest, digestOf } from "../../lib/digest.ts";
import { mediaTypes } from "../../lib/oci.ts";
import { freePort, pattern, tempDir } from "../fixture.ts";
import { childRegistry } from "../fixture-child.ts";
import { collect } from "./collector.ts";
import { parseManifest } from "./manifest-body.ts";
import { openRegistry } from "./storage.ts";

const hour = 3_600_000;

describe("collect", () => {
  const config = Buffer.from("{}");
  const descriptor = (bytes: Uint8Array, mediaType: string = mediaTypes.ociLayerGzip) => ({
    mediaType,
    digest: digestOf(bytes),
    size: bytes.length,
  });
  const manifestOf = (layer: Uint8Array, extra: object = {}) =>
    Buffer.from(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: mediaTypes.ociManifest,
        config: descriptor(config, mediaTypes.ociConfig),
        layers: [descriptor(layer)],
        ...extra,
      }),
    );

  async function using(task: (tools: Awaited<ReturnType<typeof toolsOf>>) => Promise<void>): Promise<void> {
    await using dir = await tempDir();
    await using opened = await openRegistry(dir.path);
    await task(await toolsOf(opened.registry));
  }

  async function toolsOf(registry: Awaited<ReturnType<typeof openRegistry>>["registry"]) {
    const putBlob = async (repository: string, bytes: Uint8Array) => {
      const session = await registry.uploads.begin(repository);
      await session.ingest.append(
        (async function* () {
          yield bytes;
        })(),
      );
      await registry.commitBlob(repository, session.ingest, digestOf(bytes));
      await registry.uploads.end(session);
    };
    const put = async (repository: string, bytes: Buffer, ...tags: string[]) => {
      const body = parseManifest(bytes, null);
      await registry.putManifest(repository, digestOf(bytes), bytes, body, tags);
    };
    const run = (untagged: boolean, graceMs = hour, later = 2 * hour) =>
      collect(registry, { graceMs, uploadAgeMs: hour, untagged }, Date.now() + later);
    const has = async (bytes: Uint8Array) => (await registry.blobs.size(digestOf(bytes))) !== undefined;
    return { registry, putBlob, put, run, has };
  }

  test("blobs that no manifest names go, when they are old", () =>
    using(async ({ putBlob, put, run, has }) => {
      const [used, unused] = [pattern(100, 1), pattern(100, 2)];
      for (const bytes of [config, used, unused]) await putBlob("a", bytes);
      await put("a", manifestOf(used), "v1");
      expect(await run(false, hour, 0)).toMatchObject({ links: 0, blobs: 0 });
      expect(await run(false)).toMatchObject({ links: 1, blobs: 1, manifests: 0 });
      expect([await has(used), await has(unused), await has(config)]).toEqual([true, false, true]);
    }));

  test("without a tag a manifest stays, unless it shall go", () =>
    using(async ({ putBlob, put, run, has, registry }) => {
      const layers = [1, 2, 3, 4].map((seed) => pattern(100, seed));
      for (const bytes of [config, ...layers]) await putBlob("a", bytes);
      const [loose, child, subject, tagged] = layers.map((layer) => manifestOf(layer));
      for (const bytes of [loose!, child!, subject!]) await put("a", bytes);
      await put("a", tagged!, "v1");
      const index = Buffer.from(
        JSON.stringify({
          schemaVersion: 2,
          mediaType: mediaTypes.ociIndex,
          manifests: [descriptor(child!, mediaTypes.ociManifest)],
        }),
      );
      await put("a", index, "all");
      const signature = manifestOf(layers[0]!, { subject: descriptor(tagged!, mediaTypes.ociManifest) });
      const orphan = manifestOf(layers[2]!, { subject: descriptor(subject!, mediaTypes.ociManifest) });
      await put("a", signature);
      await put("a", orphan);
      expect(await run(false)).toMatchObject({ manifests: 0, links: 0 });
      expect(await run(true)).toMatchObject({ manifests: 3, links: 1 });
      const left = (await registry.metadata.manifests("a")).map(({ digest }) => digest);
      expect(left.sort()).toEqual([child!, tagged!, index, signature].map((bytes) => digestOf(bytes)).sort());
      expect([await has(layers[0]!), await has(layers[2]!)]).toEqual([true, false]);
    }));

  test("foreign layers that were pushed all the same stay", () =>
    using(async ({ putBlob, put, run, has }) => {
      const layer = pattern(100);
      for (const bytes of [config, layer]) await putBlob("a", bytes);
      await put(
        "a",
        manifestOf(layer, { layers: [{ ...descriptor(layer), urls: ["https://x.example/"] }] }),
        "v1",
      );
      await run(true);
      expect(await has(layer)).toBe(true);
    }));

  test("abandoned uploads go", () =>
    using(async ({ registry, run }) => {
      await registry.uploads.begin("a");
      expect(await run(false, hour, 0)).toMatchObject({ uploads: 0 });
      expect(await run(false)).toMatchObject({ uploads: 1 });
      expect(await Array.fromAsync(registry.blobs.ingests())).toEqual([]);
    }));
});

/** A push that took so long that what it built on was collected; ms. */
const graceMs = 2000;
class TooSlow extends Error {}

/** A multiple of the repositories. */
const tagsOfEach = 150;

/** How long the test below goes on: `GANTRY_GC_SECONDS=600`. */
const seconds = Number(process.env.GANTRY_GC_SECONDS ?? 60);

test(
  "pushes, pulls, deletes, collections and kills at once lose nothing",
  async () => {
    await using dir = await tempDir();
    const settings = {
      root: dir.path,
      "gc-interval": "50ms",
      "gc-grace": `${graceMs}ms`,
      "upload-age": `${graceMs}ms`,
      "gc-untagged": true,
    };
    // Clients that ask while it is dead must not be given its port to ask from.
    let server = await childRegistry({ ...settings, addr: `127.0.0.1:${await freePort()}` });
    await using stack = new AsyncDisposableStack();
    stack.defer(() => server.kill());
    const { address } = server;
    const base = `http://${address}`;
    const until = Date.now() + seconds * 1000;
    /** A slow machine gets more time for the least that is asked below. */
    const isOver = () =>
      Date.now() > until && ((alive.size > 9 && pulls > 20) || Date.now() > until + 40_000);

    /** Tags whose push was acknowledged, and those whose end is open: a delete without an answer. */
    const alive = new Map<string, Digest>();
    const unsure = new Set<string>();
    let pulls = 0;
    const layers = Array.from({ length: 12 }, (_, i) => pattern(20_000 + i * 7_000, i + 1));

    const call = async (method: string, path: string, init: RequestInit = {}) => {
      const response = await fetch(new URL(path, base), { method, ...init });
      return { response, bytes: Buffer.from(await response.arrayBuffer()) };
    };
    const refuse = (what: string, status: number, startedAt: number) => {
      const isLate = status === 404 && performance.now() - startedAt > graceMs;
      throw new (isLate ? TooSlow : Error)(`${what}: ${status}`);
    };
    const pushBlob = async (name: string, bytes: Uint8Array<ArrayBuffer>) => {
      const digest = digestOf(bytes);
      if ((await call("HEAD", `/v2/${name}/blobs/${digest}`)).response.ok) return;
      const startedAt = performance.now();
      const begun = await call("POST", `/v2/${name}/blobs/uploads/`);
      const location = begun.response.headers.get("location")!;
      if (Math.random() < 0.2) return await pushBlob(name, bytes); // leaves the upload as it is
      const half = bytes.length >> 1;
      await call("PATCH", location, { body: bytes.subarray(0, half) });
      const { response } = await call("PUT", `${location}?digest=${digest}`, { body: bytes.subarray(half) });
      if (response.status !== 201) refuse("PUT blob", response.status, startedAt);
    };
    const push = async (name: string, tag: string) => {
      const startedAt = performance.now();
      const config = Buffer.from(JSON.stringify({ tag, at: Math.random() }));
      const chosen = layers.filter(() => Math.random() < 0.3);
      for (const bytes of [config, ...chosen]) await pushBlob(name, new Uint8Array(bytes));
      const descriptorOf = (bytes: Uint8Array) => ({
        mediaType: mediaTypes.ociLayerGzip,
        digest: digestOf(bytes),
        size: bytes.length,
      });
      const manifest = Buffer.from(
        JSON.stringify({ schemaVersion: 2, config: descriptorOf(config), layers: chosen.map(descriptorOf) }),
      );
      const headers = { "content-type": mediaTypes.ociManifest };
      const path = `/v2/${name}/manifests/${tag}`;
      const key = `${name}:${tag}`;
      // The deleter is at it, or a server that was killed has it or not.
      if (unsure.has(key)) return;
      alive.delete(key);
      unsure.add(key);
      const { response } = await call("PUT", path, { body: manifest, headers });
      if (response.status !== 201) refuse("PUT manifest", response.status, startedAt);
      alive.set(key, digestOf(manifest));
      unsure.delete(key);
    };
    const pull = async (key: string, digest: Digest) => {
      const [name, tag] = key.split(":");
      const { response, bytes } = await call("GET", `/v2/${name}/manifests/${tag}`);
      expect([key, response.status, digestOf(bytes)]).toEqual([key, 200, digest]);
      for (const blob of parseManifest(bytes, mediaTypes.ociManifest).blobs) {
        const got = await call("GET", `/v2/${name}/blobs/${blob}`);
        expect([key, got.response.status, digestOf(got.bytes)]).toEqual([key, 200, blob]);
      }
      pulls += 1;
    };
    /** A server that was killed is no failure: what it acknowledged before counts. */
    const whileServed = async (task: () => Promise<void>) => {
      try {
        await task();
      } catch (error) {
        if (!(error instanceof TooSlow || (error instanceof Error && "code" in error))) throw error;
        await Bun.sleep(50);
      }
    };
    const pusher = async (id: number) => {
      for (let i = 0; !isOver(); i++) {
        // Tags come again, and leave manifests that none leads to.
        await whileServed(() => push(`repo${i % 3}`, `t${id}-${i % tagsOfEach}`));
        await Bun.sleep(5);
      }
    };
    const puller = async () => {
      while (!isOver()) {
        const all = [...alive];
        const [key, digest] = all[Math.floor(Math.random() * all.length)] ?? [];
        if (key && digest) {
          await whileServed(async () => {
            try {
              await pull(key, digest);
            } catch (error) {
              // The deleter may have been first.
              if (alive.get(key) === digest || (error instanceof Error && "code" in error)) throw error;
            }
          });
        }
        await Bun.sleep(5);
      }
    };
    const deleter = async () => {
      while (!isOver()) {
        await Bun.sleep(30);
        const key = [...alive.keys()][Math.floor(Math.random() * alive.size)];
        if (!key || alive.size < 10) continue;
        alive.delete(key);
        unsure.add(key);
        const [name, tag] = key.split(":");
        await whileServed(async () => {
          const { response } = await call("DELETE", `/v2/${name}/manifests/${tag}`);
          expect(response.status).toBe(202);
          unsure.delete(key);
        });
      }
    };
    const killer = async () => {
      while (Date.now() < until - 3000) {
        await Bun.sleep(3000);
        await server.kill();
        server = await childRegistry({ ...settings, addr: address });
      }
    };
    await Promise.all([pusher(1), pusher(2), pusher(3), puller(), puller(), deleter(), killer()]);

    expect(alive.size).toBeGreaterThan(9);
    expect(pulls).toBeGreaterThan(20);
    const wanted = new Set<string>();
    for (const [key, digest] of alive) await pull(key, digest);
    // When all is old, what is left is what tags lead to.
    await Bun.sleep(graceMs + 500);
    await server.kill();
    await using opened = await openRegistry(dir.path);
    await collect(opened.registry, { graceMs: 0, uploadAgeMs: 0, untagged: true });
    for (const name of await opened.registry.metadata.allRepositories()) {
      for (const { digest, isTagged } of await opened.registry.metadata.manifests(name)) {
        expect(isTagged).toBe(true);
        const record = await opened.registry.manifest(name, { digest });
        const body = parseManifest(await opened.registry.manifestBytes(record), record.mediaType);
        for (const blob of [digest, ...body.blobs]) wanted.add(blob);
      }
      for (const tag of await opened.registry.metadata.tags(name, "", 100_000)) {
        expect(alive.has(`${name}:${tag}`) || unsure.has(`${name}:${tag}`)).toBe(true);
      }
    }
    expect(new Set(await Array.fromAsync(opened.registry.blobs.list()))).toEqual(wanted as Set<Digest>);
    expect(await readdir(join(dir.path, "ingest"))).toEqual([]);
  },
  (seconds + 120) * 1000,
);
