/** A cache of another registry, the other one being Debian's or ours. */
import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { digestOf } from "../../lib/digest.ts";
import { mediaTypes } from "../../lib/oci.ts";
import { createRegistryClient } from "../client/client.ts";
import { debianRegistry, pattern, pushImage, tempDir } from "../fixture.ts";
import { childRegistry } from "../fixture-child.ts";
import type { RegistryServer, RegistrySettings } from "../types.ts";
import { serveRegistry } from "./index.ts";

const repository = (server: { address: string }, path: string) =>
  createRegistryClient({}).repository({ domain: server.address, path });
const cacheOf = (upstream: { address: string }, root: string, settings: RegistrySettings = {}) =>
  serveRegistry({ addr: "127.0.0.1:0", root, proxy: `http://${upstream.address}`, ...settings });
const get = (server: RegistryServer, path: string, init: RequestInit = {}) =>
  fetch(`http://${server.address}${path}`, init);
const bytesOf = async (response: Response) => Buffer.from(await response.arrayBuffer());

describe("pull-through", () => {
  test("what was pulled once is there when upstream is gone", async () => {
    await using dir = await tempDir();
    const layer = pattern(300_000);
    const upstream = await debianRegistry();
    await using stack = new AsyncDisposableStack();
    stack.use(upstream);
    const manifest = await pushImage(repository(upstream, "a/b"), "v1", layer);
    await using cache = await cacheOf(upstream, dir.path, { "proxy-ttl": "0" });
    const pull = async () => {
      const got = await get(cache, "/v2/a/b/manifests/v1");
      expect((await bytesOf(got)).equals(manifest)).toBe(true);
      expect(got.headers.get("docker-content-digest")).toBe(digestOf(manifest));
      const blob = await get(cache, `/v2/a/b/blobs/${digestOf(layer)}`);
      expect([blob.status, digestOf(await bytesOf(blob))]).toEqual([200, digestOf(layer)]);
    };
    await pull();
    expect((await get(cache, "/v2/a/b/manifests/nosuch")).status).toBe(404);
    expect((await get(cache, `/v2/a/b/blobs/${digestOf("nosuch")}`)).status).toBe(404);
    await stack.disposeAsync();
    await pull();
    expect((await get(cache, "/v2/a/b/manifests/never-asked")).status).toBe(503);
    expect((await get(cache, "/v2/a/b/blobs/uploads/", { method: "POST" })).status).toBe(405);
  });

  test("a tag that has not moved is asked for by HEAD only, which counts as no pull", async () => {
    await using dir = await tempDir();
    await using upstream = await serveRegistry({
      addr: "127.0.0.1:0",
      root: join(dir.path, "up"),
      "limit-pulls": "1/1h",
    });
    const manifest = await pushImage(repository(upstream, "a"), "v1", pattern(10));
    await using cache = await cacheOf(upstream, join(dir.path, "cache"), { "proxy-ttl": "0" });
    for (let round = 0; round < 3; round++)
      expect((await bytesOf(await get(cache, "/v2/a/manifests/v1"))).equals(manifest)).toBe(true);
    // The one that is allowed was the first.
    expect((await get(upstream, "/v2/a/manifests/v1")).status).toBe(429);
  });

  test("over its limit the cache lets go of what was not asked for the longest, and fetches it again", async () => {
    await using dir = await tempDir();
    await using upstream = await serveRegistry({ addr: "127.0.0.1:0", root: join(dir.path, "up") });
    const layers = [1, 2, 3].map((seed) => pattern(100_000, seed));
    for (const [index, layer] of layers.entries())
      await pushImage(repository(upstream, "a"), `v${index}`, layer);
    const root = join(dir.path, "cache");
    await using cache = await cacheOf(upstream, root, { "proxy-max-size": "250k" });
    const pull = async (index: number) => {
      const got = await get(cache, `/v2/a/blobs/${digestOf(layers[index]!)}`);
      expect((await bytesOf(got)).equals(layers[index]!)).toBe(true);
    };
    const isHere = (index: number) => {
      const hex = digestOf(layers[index]!).slice("sha256:".length);
      return Bun.file(join(root, "blobs/sha256", hex.slice(0, 2), hex)).exists();
    };
    // The first is asked for again before the third comes.
    for (const index of [0, 1, 0, 2]) {
      await pull(index);
      // It is put down a moment after the client has it.
      for (let tries = 0; !(await isHere(index)) && tries < 1500; tries++) await Bun.sleep(20);
      await Bun.sleep(50);
    }
    for (let tries = 0; (await isHere(1)) && tries < 1500; tries++) await Bun.sleep(20);
    expect([await isHere(0), await isHere(1), await isHere(2)]).toEqual([true, false, true]);
    await pull(1);
  });

  test("what refers to a manifest upstream is listed here, and stays when upstream is gone", async () => {
    await using dir = await tempDir();
    const upstream = await serveRegistry({ addr: "127.0.0.1:0", root: join(dir.path, "up") });
    await using stack = new AsyncDisposableStack();
    stack.use(upstream);
    const there = repository(upstream, "a/b");
    const image = await pushImage(there, "v1", pattern(10));
    const subject = { mediaType: mediaTypes.ociManifest, digest: digestOf(image), size: image.length };
    const { config, layers } = JSON.parse(image.toString()) as { config: object; layers: object[] };
    const push = async (note: string) => {
      const annotations = { note };
      const referrer = Buffer.from(
        JSON.stringify({ schemaVersion: 2, config, layers, subject, annotations }),
      );
      return await there.pushManifest(digestOf(referrer), referrer, mediaTypes.ociManifest);
    };
    await using cache = await cacheOf(upstream, join(dir.path, "cache"), { "proxy-ttl": "0" });
    const listed = async () => {
      const answer = await get(cache, `/v2/a/b/referrers/${subject.digest}`);
      return ((await answer.json()) as { manifests: { digest: string }[] }).manifests.map(
        ({ digest }) => digest,
      );
    };
    expect(await listed()).toEqual([]);
    const first = await push("first");
    expect(await listed()).toEqual([first]);
    const second = await push("second");
    expect(await listed()).toEqual([first, second].sort());
    expect((await get(cache, `/v2/a/b/manifests/${first}`)).status).toBe(200);
    await stack.disposeAsync();
    expect(await listed()).toEqual([first, second].sort());
  });

  test("a tag that moved is seen when its time is over", async () => {
    await using dir = await tempDir();
    await using upstream = await serveRegistry({ addr: "127.0.0.1:0", root: join(dir.path, "up") });
    const first = await pushImage(repository(upstream, "a"), "v1", pattern(10, 1));
    await using slow = await cacheOf(upstream, join(dir.path, "slow"), { "proxy-ttl": "1h" });
    await using quick = await cacheOf(upstream, join(dir.path, "quick"), { "proxy-ttl": "0" });
    const pull = async (cache: RegistryServer) => await bytesOf(await get(cache, "/v2/a/manifests/v1"));
    for (const cache of [slow, quick]) expect((await pull(cache)).equals(first)).toBe(true);
    const second = await pushImage(repository(upstream, "a"), "v1", pattern(10, 2));
    expect((await pull(slow)).equals(first)).toBe(true);
    expect((await pull(quick)).equals(second)).toBe(true);
  });

  /** An upstream that counts, and gives a blob slowly, or cut, or wrong; after its first bytes it waits for `gate`. */
  function slowUpstream(
    blob: Buffer,
    behave: (count: number, from: number) => Buffer | undefined,
    gate: Promise<void> = Promise.resolve(),
  ) {
    let count = 0;
    const server = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch(request) {
        if (!request.url.includes("/blobs/")) return Response.json({});
        const headers = { "Content-Length": String(blob.length) };
        if (request.method === "HEAD") return new Response(null, { headers });
        count += 1;
        const from = Number(/bytes=(\d+)-/.exec(request.headers.get("range") ?? "")?.[1] ?? 0);
        const rest = (behave(count, from) ?? blob).subarray(from);
        const body = new ReadableStream({
          async start(controller) {
            for (let at = 0; at < rest.length; at += 100_000) {
              controller.enqueue(rest.subarray(at, at + 100_000));
              await Bun.sleep(10);
              await gate;
            }
            controller.close();
          },
        });
        const range = `bytes ${from}-${blob.length - 1}/${blob.length}`;
        return new Response(body, from > 0 ? { status: 206, headers: { "Content-Range": range } } : {});
      },
    });
    return {
      address: `127.0.0.1:${server.port}`,
      count: () => count,
      [Symbol.asyncDispose]: () => server.stop(true),
    };
  }

  test("ten clients at once cost one fetch, and see the bytes before it ends", async () => {
    await using dir = await tempDir();
    const blob = pattern(2_000_000);
    const path = `/v2/a/blobs/${digestOf(blob)}`;
    const gate = Promise.withResolvers<void>();
    await using upstream = slowUpstream(blob, () => undefined, gate.promise);
    await using cache = await cacheOf(upstream, dir.path);
    const first = await get(cache, path);
    const reader = first.body!.getReader();
    // Upstream holds the rest back.
    expect((await reader.read()).value?.length).toBeGreaterThan(0);
    setTimeout(gate.resolve, 50);
    const others = await Promise.all(
      Array.from({ length: 9 }, async (_, i) => {
        await Bun.sleep(i * 10);
        const response = await get(cache, path, { headers: i % 2 ? { range: "bytes=1000000-" } : {} });
        return [response.status, digestOf(await bytesOf(response))];
      }),
    );
    // A client that leaves does not end the fetch.
    await reader.cancel();
    for (const [i, answer] of others.entries()) {
      expect(answer).toEqual(i % 2 ? [206, digestOf(blob.subarray(1_000_000))] : [200, digestOf(blob)]);
    }
    expect(upstream.count()).toBe(1);
    expect(digestOf(await bytesOf(await get(cache, path)))).toBe(digestOf(blob));
    expect(upstream.count()).toBe(1);
  });

  test("a connection that breaks is taken up where it broke", async () => {
    await using dir = await tempDir();
    const blob = pattern(1_000_000);
    await using upstream = slowUpstream(blob, (count) =>
      count === 1 ? blob.subarray(0, 400_000) : undefined,
    );
    await using cache = await cacheOf(upstream, dir.path);
    const got = await get(cache, `/v2/a/blobs/${digestOf(blob)}`);
    expect(digestOf(await bytesOf(got))).toBe(digestOf(blob));
    expect(upstream.count()).toBe(2);
  });

  test("a wrong blob breaks the client's connection, and is not kept", async () => {
    await using dir = await tempDir();
    const blob = pattern(500_000);
    await using upstream = slowUpstream(blob, (count) => (count === 1 ? pattern(500_000, 9) : undefined));
    await using cache = await cacheOf(upstream, dir.path);
    const path = `/v2/a/blobs/${digestOf(blob)}`;
    await expect((async () => await bytesOf(await get(cache, path)))()).rejects.toThrow();
    expect(digestOf(await bytesOf(await get(cache, path)))).toBe(digestOf(blob));
  });

  test("credentials are for upstream alone", async () => {
    await using dir = await tempDir();
    const users = join(dir.path, "users");
    await Bun.write(users, `u:${await Bun.password.hash("secret", { algorithm: "bcrypt", cost: 4 })}\n`);
    await Bun.write(join(dir.path, "password"), "secret\n");
    const up = { addr: "127.0.0.1:0", root: join(dir.path, "up"), htpasswd: users, token: true };
    await using upstream = await childRegistry(up);
    const client = createRegistryClient({});
    const auth = { username: "u", password: "secret" };
    await pushImage(client.repository({ domain: upstream.address, path: "a" }, auth), "v1");
    await using cache = await cacheOf(upstream, join(dir.path, "cache"), {
      "proxy-username": "u",
      "proxy-password-file": join(dir.path, "password"),
    });
    expect((await get(cache, "/v2/a/manifests/v1")).status).toBe(200);
    await using stranger = await cacheOf(upstream, join(dir.path, "stranger"));
    expect((await get(stranger, "/v2/a/manifests/v1")).status).toBe(404);
  });
});
