/** Downloads that are cut, given up, killed, shared, or deleted under way: what is here is not fetched again. */
import { afterAll, beforeAll, beforeEach, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { CuttingProxy } from "./support/cutting-proxy.ts";
import { executable, TestDaemon, until } from "./support/daemon.ts";
import { disposeAll } from "./support/dispose.ts";
import { digestOf, Repository } from "./support/multi-platform.ts";
import { TestRegistry } from "./support/registry.ts";

const layerSize = 6 << 20;
const oci = "application/vnd.oci.image";

let daemon: TestDaemon;
let registry: TestRegistry;
let proxy: CuttingProxy;
beforeAll(async () => {
  registry = await TestRegistry.start();
  proxy = new CuttingProxy(registry.address);
  daemon = await TestDaemon.start({ images: false });
});
afterAll(() => disposeAll(daemon, proxy, registry));
beforeEach(() => {
  Object.assign(proxy, {
    sent: 0,
    requests: 0,
    mostOpen: 0,
    cuts: 0,
    spoils: 0,
    delay: 0,
    ignoresRange: false,
  });
});

/** An image of `count` layers that nothing compresses; its name leads through the proxy. */
async function publish(name: string, count = 1, size = layerSize): Promise<string> {
  const repository = new Repository(`${registry.address}/${name}`);
  const tars = Array.from({ length: count }, (_, index) => tarOfRandom(`file${index}`, size));
  const layers = [];
  for (const tar of tars) layers.push(await repository.blob(`${oci}.layer.v1.tar`, tar));
  const config = await repository.blob(`${oci}.config.v1+json`, {
    os: "linux",
    architecture: "amd64",
    rootfs: { type: "layers", diff_ids: tars.map(digestOf) },
  });
  await repository.manifest("1", { config, layers });
  return `${proxy.address}/${name}:1`;
}

function tarOfRandom(name: string, size: number): Buffer<ArrayBuffer> {
  const archive = Bun.spawnSync(
    ["sh", "-c", `d=$(mktemp -d) && cat > $d/${name} && tar -C $d -cf - ${name} && rm -r $d`],
    { stdin: randomBytes(size) },
  );
  return Buffer.from(archive.stdout);
}

/** Starts a pull and waits until it has some bytes; then the rest of them hardly comes. */
async function pullUntil(image: string, bytes: number): Promise<Bun.Subprocess> {
  const client = Bun.spawn([executable, "pull", image], {
    env: { ...process.env, GANTRY_HOST: daemon.host },
    stdout: "ignore",
    stderr: "ignore",
  });
  await until(() => proxy.sent > bytes, "the first bytes of a pull");
  proxy.delay = 2000;
  await until(
    () => arrived() > bytes,
    () => `${arrived()} bytes of ${proxy.sent} to be ${bytes}`,
  );
  return client;
}

/** Bytes of downloads that have not ended. */
function arrived(): number {
  const directory = join(daemon.dataRoot, "content/ingest");
  return readdirSync(directory)
    .map((name) => statSync(join(directory, name), { throwIfNoEntry: false })?.size ?? 0)
    .reduce((sum, size) => sum + size, 0);
}

/** Bytes of the layers of an image beyond which something was fetched twice: what was on its way at the end. */
const slack = 2 << 20;

test("broken connections: each byte comes once", async () => {
  const image = await publish("cut");
  proxy.cuts = 3;
  await daemon.ok(["pull", image]);
  expect(proxy.requests).toBeGreaterThanOrEqual(4);
  expect(proxy.sent).toBeLessThan(layerSize + slack);
  await daemon.ok(["rmi", image]);
});

test("a registry that knows no ranges sends all again, and the image is right", async () => {
  const image = await publish("rangeless");
  Object.assign(proxy, { cuts: 2, ignoresRange: true });
  await daemon.ok(["pull", image]);
  expect(proxy.requests).toBeGreaterThanOrEqual(3);
  expect(await daemon.ok(["export", await daemon.ok(["create", image, "x"])])).toContain("file0");
  await daemon.ok(["rm", ...(await daemon.ok(["ps", "-aq"])).split("\n")]);
  await daemon.ok(["rmi", image]);
});

test("wrong bytes are asked for once more, then told, and nothing of them is kept", async () => {
  const image = await publish("spoilt");
  // The config comes first: it is spoilt once, the layer too.
  proxy.spoils = 1;
  await daemon.ok(["pull", image]);
  await daemon.ok(["rmi", image]);
  proxy.spoils = 100;
  const refused = await daemon.gantry(["pull", image]);
  expect(refused.code).toBe(1);
  expect(refused.stderr).toMatch(/digest|sha256:/);
  expect(proxy.requests).toBeLessThanOrEqual(3 + 2);
  expect(await daemon.ok(["images", "-aq"])).toBe("");
  expect(readdirSync(join(daemon.dataRoot, "content/ingest"))).toEqual([]);
  expect(await daemon.gantry(["system", "check"])).toMatchObject({ code: 0 });
  proxy.spoils = 0;
  await daemon.ok(["pull", image]);
  await daemon.ok(["rmi", image]);
});

test("forty layers come three at a time, and lie in their order", async () => {
  const image = await publish("forty", 40, 64 << 10);
  // Long enough for three to meet on one processor.
  proxy.delay = 30;
  await daemon.ok(["pull", image]);
  expect(proxy.mostOpen).toBe(3);
  expect(proxy.requests).toBe(41);
  const history = JSON.parse(await daemon.ok(["image", "why-big", "--json", image]));
  expect(history.Layers).toHaveLength(40);
  const names = (await daemon.ok(["export", await daemon.ok(["create", image, "x"])])).match(/file\d+/g);
  expect(new Set(names)).toHaveProperty("size", 40);
  await daemon.ok(["rm", ...(await daemon.ok(["ps", "-aq"])).split("\n")]);
  await daemon.ok(["rmi", image]);
});

test("a pull that its client gave up goes on from there", async () => {
  const image = await publish("aborted");
  proxy.delay = 20;
  const client = await pullUntil(image, layerSize / 2);
  client.kill("SIGINT");
  await client.exited;
  await until(() => proxy.open === 0, "the end of the download");
  expect(proxy.sent).toBeLessThan(layerSize);
  expect(await daemon.ok(["images", "-aq"])).toBe("");
  proxy.delay = 0;
  await daemon.ok(["pull", image]);
  expect(proxy.sent).toBeLessThan(layerSize + slack);
  await daemon.ok(["rmi", image]);
});

test("what a pull that was given up has left is taken by a prune", async () => {
  const image = await publish("left");
  proxy.delay = 20;
  const client = await pullUntil(image, layerSize / 2);
  const left = () => readdirSync(join(daemon.dataRoot, "content/ingest"));
  // A pull under way is left alone.
  const underWay = left();
  expect(underWay).toHaveLength(1);
  await daemon.ok(["image", "prune", "-f"]);
  expect(left()).toEqual(underWay);
  client.kill("SIGINT");
  await client.exited;
  // The daemon has heard of it some time after the client is gone.
  let said = "";
  await until(
    async () => {
      said += await daemon.ok(["image", "prune", "-f"]);
      return left().length === 0;
    },
    () => `nothing to be left of a pull: ${left()}`,
  );
  expect(said).toMatch(/Total reclaimed space: [\d.]+MB/);
});

test("a pull that ended with the daemon goes on from there", async () => {
  const image = await publish("killed", 2);
  proxy.delay = 20;
  const client = await pullUntil(image, layerSize);
  await daemon.crash();
  await client.exited;
  await until(() => proxy.open === 0, "the end of the download");
  proxy.delay = 0;
  await daemon.boot();
  expect(await daemon.ok(["images", "-aq"])).toBe("");
  await daemon.ok(["pull", image]);
  expect(proxy.sent).toBeLessThan(2 * layerSize + slack);
  await daemon.ok(["rmi", image]);
});

test("two pulls of one image share the work", async () => {
  const image = await publish("shared", 2);
  proxy.delay = 2;
  await Promise.all([daemon.ok(["pull", image]), daemon.docker(["pull", image])]);
  expect(proxy.sent).toBeLessThan(2 * layerSize + slack);
  await daemon.ok(["rmi", image]);
});

test("what is deleted while it is pulled is whole in the end", async () => {
  const image = await publish("deleted", 3);
  await daemon.ok(["pull", image]);
  await daemon.ok(["tag", image, "other:1"]);
  for (let round = 0; round < 2; round++) {
    const removed = daemon.gantry(["rmi", "-f", image, "other:1"]);
    await Promise.all([daemon.ok(["pull", image]), removed, daemon.gantry(["image", "prune", "-af"])]);
    // Whichever came last: nothing is half there.
    const pulled = await daemon.gantry(["pull", image]);
    expect(pulled).toMatchObject({ code: 0 });
    expect(await daemon.ok(["export", await daemon.ok(["create", image, "x"])])).toContain("file2");
    await daemon.ok(["rm", ...(await daemon.ok(["ps", "-aq"])).split("\n")]);
    await daemon.ok(["tag", image, "other:1"]);
  }
  await daemon.ok(["rmi", "-f", image, "other:1"]);
  const left = () =>
    ["content/blobs/sha256", "snapshots"].map((name) => readdirSync(join(daemon.dataRoot, name)));
  await until(
    () => Bun.deepEquals(left(), [[], ["empty"]]),
    () => `the end of ${left()}`,
  );
});

test("why-big tells layers, files and waste", async () => {
  const image = await publish("big", 2);
  await daemon.ok(["pull", "-q", image]);
  const told = JSON.parse(await daemon.ok(["image", "why-big", "--json", image]));
  expect(told.Layers).toMatchObject([{ Bytes: layerSize, Wasted: 0 }, { Bytes: layerSize }]);
  expect(await daemon.ok(["image", "why-big", "-n", "1", image])).toMatch(
    /^12\.6MB in 2 layers, 12\.6MB compressed; 0B \(0%\) wasted\n[\s\S]*6\.29MB\s+[01]\s+\/file[01]$/,
  );
  await daemon.ok(["rmi", image]);
});
