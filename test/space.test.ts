/** What `system df` says is so; prune and the automatic collection take what they should, and nothing in use. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { run, TestDaemon, until } from "./support/daemon.ts";
import { disposeAll } from "./support/dispose.ts";
import { publishMultiPlatform } from "./support/multi-platform.ts";
import { TestRegistry } from "./support/registry.ts";

const mib = 1 << 20;
let daemon: TestDaemon;
let registry: TestRegistry;
let scratch: string;
beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), "gt-space-"));
  registry = await TestRegistry.start();
  daemon = await TestDaemon.start({
    config: { "gantry-gc": { maxUsedSpace: "60m", keepRecent: "0s" } },
  });
});
afterAll(() => disposeAll(daemon, registry, scratch));

/** An image on busybox with a layer of `size` random bytes. */
async function build(tag: string, size: number, more = ""): Promise<void> {
  const context = mkdtempSync(join(scratch, "c-"));
  writeFileSync(join(context, "f"), crypto.getRandomValues(Buffer.alloc(size)));
  writeFileSync(join(context, "Dockerfile"), `FROM busybox\nCOPY f /f\n${more}`);
  await daemon.ok(["build", "-q", "-t", tag, context]);
}

/** Bytes of the files below a directory, by the real du. */
async function du(directory: string): Promise<number> {
  const { stdout } = await run(["du", "-s", "-B1", "--apparent-size", directory]);
  return Number(stdout.split("\t")[0]);
}

/** Of all that images and build caches are made of. */
const duOfImages = async () =>
  (await du(join(daemon.dataRoot, "snapshots"))) + (await du(join(daemon.dataRoot, "content")));

const within = (got: number, want: number) => Math.abs(got - want) / want < 0.01;

interface Usage {
  LayersSize: number;
  Images: { RepoTags: string[]; Size: number; SharedSize: number }[];
  Containers: { SizeRw: number }[];
  BuildCache: { Size: number; Shared: boolean }[];
  Volumes: { Name: string; UsageData: { Size: number } }[];
}

const usageNow = async () => (await (await daemon.request("/system/df")).json()) as Usage;

test("df agrees with du to one percent", async () => {
  await build("one", 8 * mib);
  await build("two", 6 * mib);
  const write = "dd if=/dev/zero of=/written bs=1M count=9; dd if=/dev/zero of=/data/kept bs=1M count=7";
  await daemon.ok([
    "run",
    "--name",
    "writer",
    "-v",
    "kept:/data",
    "--network",
    "none",
    "one",
    "sh",
    "-c",
    write,
  ]);
  const usage = await usageNow();
  const image = (tag: string) => usage.Images.find(({ RepoTags }) => RepoTags.includes(`${tag}:latest`))!;
  const shared = image("busybox").SharedSize;
  expect([image("one").SharedSize, image("two").SharedSize]).toEqual([shared, shared]);
  // Unpacked and, as random bytes can't be made smaller, packed as well.
  expect(within(image("one").Size - shared, 16 * mib)).toBe(true);
  expect(within(image("two").Size - shared, 12 * mib)).toBe(true);
  expect(within(usage.LayersSize, shared + 28 * mib)).toBe(true);
  expect(within(usage.Volumes[0]!.UsageData.Size, await du(join(daemon.dataRoot, "volumes/kept")))).toBe(
    true,
  );
  expect(usage.Containers[0]!.SizeRw).toBe(9 * mib);
  // The images' layers, as they came and unpacked, and what the container has written.
  const total = usage.LayersSize + usage.Containers[0]!.SizeRw;
  expect(within(total, await duOfImages())).toBe(true);
  await daemon.ok(["rm", "-v", "writer"]);
  await daemon.ok(["volume", "rm", "kept"]);
  expect(readdirSync(join(daemon.dataRoot, "tmp"))).toEqual([]);
});

test("an image that is here twice, built and pulled, takes its space twice, and df says so", async () => {
  const image = `${registry.address}/twice:1`;
  await build(image, 5 * mib);
  await daemon.ok(["push", "-q", image]);
  await daemon.ok(["rmi", image]);
  await daemon.ok(["pull", "-q", image]);
  const usage = await usageNow();
  const cache = usage.BuildCache.filter(({ Shared }) => !Shared).reduce((sum, { Size }) => sum + Size, 0);
  expect(cache).toBeGreaterThanOrEqual(5 * mib);
  expect(within(usage.LayersSize + cache, await duOfImages())).toBe(true);
  await daemon.ok(["builder", "prune", "-af"]);
  const pruned = await usageNow();
  expect(pruned.LayersSize).toBe(usage.LayersSize);
  expect(within(pruned.LayersSize, await duOfImages())).toBe(true);
  await daemon.ok(["rmi", image]);
});

test("prune by label and age", async () => {
  await build("kept", 1000, "LABEL stage=keep\n");
  await build("gone", 1000, "LABEL stage=test\n");
  await daemon.ok(["image", "prune", "-af", "--filter", "label=stage=test", "--filter", "until=1h"]);
  expect(await daemon.ok(["images", "-q", "gone"])).not.toBe("");
  await daemon.ok(["image", "prune", "-af", "--filter", "label=stage=test"]);
  expect(await daemon.ok(["images", "-q", "gone"])).toBe("");
  expect(await daemon.ok(["images", "-q", "kept"])).not.toBe("");
});

test("prune by size, ours: --filter larger-than=SIZE", async () => {
  await build("small", 1 * mib);
  await build("large", 5 * mib);
  await daemon.ok(["image", "prune", "-af", "--filter", "label!=stage", "--filter", "larger-than=4MiB"]);
  expect(await daemon.ok(["images", "-q", "large"])).toBe("");
  expect(await daemon.ok(["images", "-q", "small"])).not.toBe("");
  const wrong = await daemon.gantry(["image", "prune", "-af", "--filter", "larger-than=big"]);
  expect(wrong.stderr).toContain("invalid size: 'big'");
  await daemon.ok(["rmi", "small"]);
});

test("an image for several platforms is as large as all that are here, each layer once", async () => {
  const image = `${registry.address}/multi:1`;
  await publishMultiPlatform(`${registry.address}/multi`, "1", "space");
  const packed = () => du(join(daemon.dataRoot, "content/blobs/sha256"));
  const before = await packed();
  await daemon.ok(["pull", "-q", image]);
  await daemon.ok(["pull", "-q", "--platform", "linux/arm64", image]);
  const usage = await usageNow();
  const multi = usage.Images.find(({ RepoTags }) => RepoTags.includes(image))!;
  // Both platforms are made of the same two layers; one of them is busybox's, which others have too, packed otherwise.
  expect(multi.SharedSize).toBe(Number(await daemon.ok(["inspect", "-f", "{{.Size}}", "busybox"])));
  expect(multi.Size - multi.SharedSize).toBe("space".length + (await packed()) - before);
  // The tree of platforms shows the same.
  const tree = (await (
    await daemon.request("/images/json?manifests=1")
  ).json()) as (Usage["Images"][number] & {
    Manifests: { Size: { Total: number } }[];
  })[];
  expect(new Set(tree.map(({ Size }) => Size))).toEqual(new Set(usage.Images.map(({ Size }) => Size)));
  const whole = tree.find(({ RepoTags }) => RepoTags.includes("busybox:latest"))!;
  expect(whole.Manifests.map(({ Size }) => Size.Total)).toEqual([whole.Size]);
  const unique = usage.Images.reduce((sum, { Size, SharedSize }) => sum + Size - SharedSize, 0);
  // All that several have is busybox.
  const busybox = usage.Images.find(({ RepoTags }) => RepoTags.includes("busybox:latest"))!;
  expect(unique + busybox.SharedSize).toBe(usage.LayersSize);
  await daemon.ok(["rmi", image]);
});

test("what a pull in flight needs is not collected", async () => {
  const image = `${registry.address}/flight:1`;
  await build(image, 4 * mib);
  await daemon.ok(["push", image]);
  await daemon.ok(["rmi", image]);
  let pulling = true;
  const collecting = (async () => {
    let rounds = 0;
    for (; pulling; rounds++) await daemon.request("/images/prune?filters=%7B%7D", { method: "POST" });
    return rounds;
  })();
  for (let round = 0; round < 4; round++) {
    await daemon.ok(["pull", "-q", image]);
    await daemon.ok(["run", "--rm", "--network", "none", image, "test", "-s", "/f"]);
    await daemon.ok(["rmi", image]);
  }
  pulling = false;
  expect(await collecting).toBeGreaterThan(4);
  expect((await daemon.gantry(["system", "check"])).code).toBe(0);
});

test("over the limit images go by themselves, that first which was not used for the longest", async () => {
  await daemon.ok(["create", "--name", "user", "busybox"]);
  for (const tag of ["old", "older"]) await build(tag, 12 * mib);
  // The oldest is used again, so that it is the other's turn.
  await daemon.ok(["run", "--rm", "--network", "none", "old", "true"]);
  // What the cache holds is not freed with an image.
  await daemon.ok(["builder", "prune", "-af"]);
  await build("new", 12 * mib);
  mkdirSync(scratch, { recursive: true });
  await daemon.ok(["builder", "prune", "-af"]);
  await daemon.ok(["tag", "new", "newest"]);
  await until(async () => (await daemon.ok(["images", "-q", "older"])) === "", "what was not used goes");
  expect(await daemon.ok(["images", "-q", "old"])).not.toBe("");
  expect(await daemon.ok(["images", "-q", "busybox"])).not.toBe("");
  expect(await daemon.ok(["run", "--rm", "--network", "none", "newest", "test", "-s", "/f"])).toBe("");
  await daemon.ok(["rm", "user"]);
});
