/** The build cache between machines: in a registry of its own, or within images. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildOutputs } from "./support/build-output.ts";
import { run, TestDaemon } from "./support/daemon.ts";
import { disposeAll } from "./support/dispose.ts";
import { TestRegistry } from "./support/registry.ts";

const withBuildx = (await run(["docker", "buildx", "version"])).code === 0;

let first: TestDaemon;
let second: TestDaemon;
let registry: TestRegistry;
let directory: string;
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "gt-cache-"));
  registry = await TestRegistry.start();
  first = await TestDaemon.start();
  second = await TestDaemon.start();
});
afterAll(() => disposeAll(first, second, registry, directory));

/** @param word what makes this build another one than those before */
function contextOf(word: string): string {
  const context = mkdtempSync(join(directory, "context-"));
  writeFileSync(join(context, "file"), word);
  writeFileSync(
    join(context, "Dockerfile"),
    [
      "FROM busybox AS make",
      "COPY file /file",
      `RUN echo only ${word} > /only && cat /proc/sys/kernel/random/uuid > /unique`,
      "FROM busybox",
      "ENV A=b",
      "RUN true",
      "COPY --from=make /only /unique /",
      "RUN cat /only && rm -rf /tmp && mkdir -p /d && echo x > /d/y",
    ].join("\n"),
  );
  return context;
}

const cached = (text: string) => text.match(/Using cache/g)?.length ?? 0;
/** The steps besides FROM. */
const steps = 6;

describe("a cache in a registry", () => {
  test("spares another machine all steps, with mode=max those of other stages too", async () => {
    const context = contextOf("max");
    const ref = `${registry.address}/cache/max`;
    const built = await buildOutputs(first, context, {
      cacheto: JSON.stringify([`type=registry,ref=${ref},mode=max`]),
    });
    expect(built.error).toBeUndefined();
    expect(cached(built.text)).toBe(0);
    const again = await buildOutputs(second, context, {
      cachefrom: JSON.stringify([`type=registry,ref=${ref}`]),
      t: "from-cache",
    });
    expect(again.error).toBeUndefined();
    expect(cached(again.text)).toBe(steps);
    expect(again.id).toBe(built.id!);
    expect(await second.ok(["run", "--rm", "from-cache", "cat", "/only", "/d/y"])).toBe("only max\nx");
    // What came is the second machine's own now.
    expect(cached((await buildOutputs(second, context, {})).text)).toBe(steps);
    const manifest = await fetch(`http://${registry.address}/v2/cache/max/manifests/latest`);
    expect(await manifest.json()).toMatchObject({
      config: { mediaType: "application/vnd.buildkit.cacheconfig.v0" },
    });
  });

  test("with layers that are not what it says: their steps are done again", async () => {
    const context = contextOf("tampered");
    const repository = `http://${registry.address}/v2/cache/tampered`;
    await buildOutputs(first, context, {
      cacheto: JSON.stringify([`type=registry,ref=${registry.address}/cache/tampered,mode=max`]),
    });
    const manifest = (await (await fetch(`${repository}/manifests/latest`)).json()) as {
      config: { digest: string; size: number };
    };
    const cache = (await (await fetch(`${repository}/blobs/${manifest.config.digest}`)).json()) as {
      layers: { annotations: { diffID: string } }[];
      "gantry.records.v1": { result: string }[];
    };
    for (const { annotations } of cache.layers) annotations.diffID = `sha256:${"0".repeat(64)}`;
    // The name of an image's tree is none that a step gives.
    cache["gantry.records.v1"][0]!.result = `sha256:${"0".repeat(64)}`;
    const bytes = Buffer.from(JSON.stringify(cache));
    const digest = `sha256:${new Bun.CryptoHasher("sha256").update(bytes).digest("hex")}`;
    const upload = await fetch(`${repository}/blobs/uploads/`, { method: "POST" });
    const location = new URL(upload.headers.get("location")!, repository);
    location.searchParams.set("digest", digest);
    const put = (url: URL | string, body: Uint8Array | string, type: string) =>
      fetch(url, { method: "PUT", body, headers: { "content-type": type } });
    expect((await put(location, bytes, "application/octet-stream")).status).toBe(201);
    manifest.config = { ...manifest.config, digest, size: bytes.length };
    const type = "application/vnd.oci.image.manifest.v1+json";
    expect((await put(`${repository}/manifests/latest`, JSON.stringify(manifest), type)).status).toBe(201);
    const built = await buildOutputs(second, context, {
      cachefrom: JSON.stringify([`${registry.address}/cache/tampered`]),
      t: "tampered",
    });
    expect(built.error).toBeUndefined();
    expect(built.text).toContain("a step of the cache is of no use, and done again");
    expect(await second.ok(["run", "--rm", "tampered", "cat", "/only"])).toBe("only tampered");
  });

  test("that is not there, or is none, costs nothing but a warning", async () => {
    const query = { cachefrom: JSON.stringify([`type=registry,ref=${registry.address}/no/such`]) };
    const built = await buildOutputs(first, contextOf("missing"), query);
    expect(built.error).toBeUndefined();
    expect(built.text).toContain("nothing was taken from the cache");
  });

  test("that can't be written fails the build, unless that is to be ignored", async () => {
    const to = (more: string) => ({
      cacheto: JSON.stringify([`type=registry,ref=127.0.0.1:1/no/registry${more}`]),
    });
    expect((await buildOutputs(first, contextOf("write"), to(""))).error).toBeDefined();
    const ignored = await buildOutputs(first, contextOf("write"), to(",ignore-error=true"));
    expect(ignored.error).toBeUndefined();
    expect(ignored.text).toContain("the cache was not exported");
  });
});

test("an image brings its own cache along (type=inline)", async () => {
  const context = contextOf("inline");
  const name = `${registry.address}/cache/inline:1`;
  const built = await buildOutputs(first, context, { cacheto: '["type=inline"]' }, [
    { Type: "registry", Attrs: { name } },
  ]);
  expect(built.error).toBeUndefined();
  const again = await buildOutputs(second, context, { cachefrom: JSON.stringify([name]) });
  expect(again.error).toBeUndefined();
  // The steps of the other stage are not in the image; what they gave is, so nothing that it is made of is done again.
  expect(cached(again.text)).toBeGreaterThanOrEqual(2);
  const image = await second.ok(["inspect", "-f", "{{.Id}}", again.id!]);
  expect(image).toBe(again.id!);
});

/** Builds by a client that has a session, and so can keep a cache in a directory. */
const gantry = (daemon: TestDaemon, args: string[]) =>
  daemon.gantry(["build", "--progress", "plain", ...args]);
const buildx = (daemon: TestDaemon, args: string[]) =>
  run(["docker", "buildx", "build", "--progress", "plain", ...args], { env: { DOCKER_HOST: daemon.host } });
const clients: [string, typeof gantry][] = [
  ["gantry", gantry],
  ...(withBuildx ? [["buildx", buildx] as const] : []),
].map(([name, client]) => [name, client] as [string, typeof gantry]);

describe.each(clients)("a cache in a directory: %s", (name, build) => {
  test("spares another machine all steps; any OCI tool reads it", async () => {
    const context = contextOf(`directory ${name}`);
    const cache = join(mkdtempSync(join(directory, "cache-")), "new");
    const to = `type=local,dest=${cache},mode=max,compression=zstd,tag=one`;
    expect(await build(first, ["--cache-to", to, context])).toMatchObject({ code: 0 });
    const layout = `oci:${cache}:one`;
    const manifest = JSON.parse((await run(["skopeo", "inspect", "--raw", layout])).stdout);
    expect(manifest.config.mediaType).toBe("application/vnd.buildkit.cacheconfig.v0");
    for (const { mediaType } of manifest.layers) expect(mediaType).toMatch(/\+zstd$/);
    const again = await build(second, ["--cache-from", `type=local,src=${cache},tag=one`, context]);
    expect(again).toMatchObject({ code: 0 });
    expect(again.stderr.match(/ CACHED$/gm)).toHaveLength(steps);
    // A second export finds its blobs there, and takes the tag over.
    expect(await build(second, ["--cache-to", `type=local,dest=${cache},tag=one`, context])).toMatchObject({
      code: 0,
    });
    const index = JSON.parse(readFileSync(join(cache, "index.json"), "utf8"));
    expect(index.manifests).toHaveLength(1);
  });

  test("as BuildKit wrote it before 0.21, below an index", async () => {
    const context = contextOf(`index ${name}`);
    const cache = mkdtempSync(join(directory, "cache-"));
    const to = `type=local,dest=${cache},mode=max,image-manifest=false`;
    expect(await build(first, ["--cache-to", to, context])).toMatchObject({ code: 0 });
    const again = await build(second, ["--cache-from", `type=local,src=${cache}`, context]);
    expect(again).toMatchObject({ code: 0 });
    expect(again.stderr.match(/ CACHED$/gm)).toHaveLength(steps);
  });

  test("that is not there, or is damaged, costs nothing but a warning", async () => {
    const context = contextOf(`damaged ${name}`);
    const cache = mkdtempSync(join(directory, "cache-"));
    const missing = await build(first, ["--cache-from", `type=local,src=${cache}/none`, context]);
    expect(missing).toMatchObject({ code: 0 });
    expect(missing.stderr).toMatch(/local cache import at .*none not found/);
    expect(await build(first, ["--cache-to", `type=local,dest=${cache}`, context])).toMatchObject({
      code: 0,
    });
    for (const blob of new Bun.Glob("blobs/sha256/*").scanSync(cache))
      rewriteFile(join(cache, blob), (bytes) => bytes.fill(32, 10, 20));
    const damaged = await build(second, ["--cache-from", `type=local,src=${cache}`, context]);
    expect(damaged).toMatchObject({ code: 0 });
    expect(damaged.stderr).toContain("nothing was taken from the cache");
  });
});

/** In place of a file whose mode forbids writing. */
function rewriteFile(path: string, change: (bytes: Buffer) => Buffer): void {
  const bytes = change(readFileSync(path));
  rmSync(path);
  writeFileSync(path, bytes);
}

test.skipIf(!withBuildx)("docker buildx: --cache-to and --cache-from", async () => {
  const context = contextOf("buildx");
  const ref = `type=registry,ref=${registry.address}/cache/buildx`;
  expect(await buildx(first, ["--cache-to", `${ref},mode=max`, context])).toMatchObject({ code: 0 });
  const again = await buildx(second, ["--cache-from", ref, context]);
  expect(again).toMatchObject({ code: 0 });
  expect(again.stderr.match(/ CACHED$/gm)).toHaveLength(steps);
});
