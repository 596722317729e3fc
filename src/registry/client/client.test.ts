/** The client against real registries: ours and Debian's docker-registry hold the same promises. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { digestOf } from "../../lib/digest.ts";
import { Cancelled, NotFound, Unavailable } from "../../lib/errors.ts";
import { mediaTypes } from "../../lib/oci.ts";
import { collect, debianRegistry, layerOf, ownRegistry, pattern, pushImage, streamOf } from "../fixture.ts";
import type { RegistryServer } from "../types.ts";
import { createRegistryClient } from "./client.ts";

const client = createRegistryClient({});

describe.each([
  ["our registry", ownRegistry],
  ["docker-registry", debianRegistry],
] as [string, () => Promise<RegistryServer>][])("%s", (_, start) => {
  let registry: RegistryServer;
  beforeAll(async () => {
    registry = await start();
  });
  afterAll(async () => {
    await registry[Symbol.asyncDispose]();
  });
  const repository = (path: string) => client.repository({ domain: registry.address, path });

  test("an image goes there and comes back", async () => {
    const repo = repository("a/image");
    const layer = pattern(3_000_000);
    const bytes = await pushImage(repo, "v1", layer);
    const got = await repo.manifest("v1");
    expect(got.descriptor).toEqual({
      mediaType: mediaTypes.ociManifest,
      digest: digestOf(bytes),
      size: bytes.length,
    });
    expect(Buffer.from(got.bytes).equals(bytes)).toBe(true);
    expect((await repo.manifest(digestOf(bytes))).descriptor.digest).toBe(digestOf(bytes));
    expect(await repo.hasBlob(digestOf(layer))).toBe(layer.length);
    expect((await collect(await repo.blob(layerOf(layer)))).equals(layer)).toBe(true);
    expect(repo.endpoint).toBe(`http://${registry.address}`);
  });

  test("a pull goes on at an offset", async () => {
    const repo = repository("a/resume");
    const layer = pattern(500_000, 2);
    await repo.pushBlob(layerOf(layer), streamOf(layer));
    expect((await collect(await repo.blob(layerOf(layer), 123_456))).equals(layer.subarray(123_456))).toBe(
      true,
    );
    expect(await collect(await repo.blob(layerOf(layer), layer.length))).toHaveLength(0);
  });

  test("what is there is not sent, what another repository has is mounted", async () => {
    const layer = pattern(1000, 3);
    const seen: number[] = [];
    const open = streamOf(layer, 400);
    const onProgress = (bytes: number) => seen.push(bytes);
    expect(await repository("m/a").pushBlob(layerOf(layer), open, { onProgress })).toBe("pushed");
    expect(seen.at(-1)).toBe(1000);
    expect(await repository("m/a").pushBlob(layerOf(layer), open)).toBe("exists");
    expect(await repository("m/b").pushBlob(layerOf(layer), open, { mountFrom: "m/a" })).toBe("mounted");
    expect(await repository("m/c").pushBlob(layerOf(layer), open, { mountFrom: "m/none" })).toBe("pushed");
  });

  test("what is missing", async () => {
    const repo = repository("a/missing");
    const name = `${registry.address}/a/missing`;
    await expect(repo.manifest("v1")).rejects.toThrow(
      new NotFound(`manifest for ${name}:v1 not found: manifest unknown: manifest unknown`),
    );
    expect(await repo.hasBlob(digestOf("x"))).toBeUndefined();
    await expect(repo.blob({ mediaType: "x", digest: digestOf("x"), size: 1 })).rejects.toThrow(NotFound);
  });

  test("bytes that do not have their digest are refused", async () => {
    const wrong = { ...layerOf(pattern(100)), digest: digestOf("other") };
    await expect(repository("a/wrong").pushBlob(wrong, streamOf(pattern(100)))).rejects.toThrow("digest");
  });

  test("a push can be cancelled", async () => {
    const layer = pattern(2_000_000, 4);
    const abort = new AbortController();
    const pushing = repository("a/cancel").pushBlob(layerOf(layer), streamOf(layer, 1000), {
      onProgress: () => abort.abort(),
      signal: abort.signal,
    });
    await expect(pushing).rejects.toBeInstanceOf(Cancelled);
  });

  test("a pull can be cancelled", async () => {
    const layer = pattern(2_000_000, 6);
    const repo = repository("a/cancel-pull");
    await repo.pushBlob(layerOf(layer), streamOf(layer));
    const abort = new AbortController();
    const stream = await repo.blob(layerOf(layer), 0, abort.signal);
    abort.abort();
    await expect(collect(stream)).rejects.toBeInstanceOf(Cancelled);
  });

  test("as a mirror of docker.io it comes first, then those behind it", async () => {
    const layer = pattern(1000, 5);
    await pushImage(repository("library/mirrored"), "v1", layer);
    const mirrors = ["http://127.0.0.1:1", `http://${registry.address}`];
    const hub = createRegistryClient({ mirrors }).repository({
      domain: "docker.io",
      path: "library/mirrored",
    });
    expect((await hub.manifest("v1")).descriptor.mediaType).toBe(mediaTypes.ociManifest);
    expect(hub.endpoint).toBe(`http://${registry.address}`);
    expect((await collect(await hub.blob(layerOf(layer)))).equals(layer)).toBe(true);
  });
});

test("a registry that is not there is named, with the reason", async () => {
  const refused = client.repository({ domain: "127.0.0.1:1", path: "x" }).manifest("v1");
  await expect(refused).rejects.toThrow(
    new Unavailable(
      'Get "http://127.0.0.1:1/v2/x/manifests/v1": dial tcp 127.0.0.1:1: connect: connection refused',
    ),
  );
  const unknown = client.repository({ domain: "nosuch.invalid", path: "x" }).manifest("v1");
  await expect(unknown).rejects.toThrow("dial tcp: lookup nosuch.invalid");
});
