/** What the disk has lost or spoilt is found, told with the images it is part of, and mended from a registry. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { readdirSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { TestDaemon } from "./support/daemon.ts";
import { disposeAll } from "./support/dispose.ts";
import { publishMultiPlatform } from "./support/multi-platform.ts";
import { TestRegistry } from "./support/registry.ts";

let daemon: TestDaemon;
let registry: TestRegistry;
let blobs: string;
let pulled: string;
beforeAll(async () => {
  registry = await TestRegistry.start();
  daemon = await TestDaemon.start();
  blobs = join(daemon.dataRoot, "content/blobs/sha256");
  // Pushed as one name and pulled, so that it has a digest in a registry.
  pulled = `${registry.address}/box:1`;
  await daemon.ok(["tag", "busybox", pulled]);
  await daemon.ok(["push", pulled]);
  await daemon.ok(["rmi", "busybox", pulled]);
  await daemon.ok(["pull", pulled]);
});
afterAll(() => disposeAll(daemon, registry));

const largest = () =>
  readdirSync(blobs).sort((a, b) => statSync(join(blobs, b)).size - statSync(join(blobs, a)).size);

interface Report {
  Blobs: number;
  Problems: { Kind: string; What: string; Images: string[]; Mended: boolean; Reason: string }[];
}
async function check(...flags: string[]): Promise<Report & { code: number }> {
  const { code, stdout, stderr } = await daemon.gantry(["system", "check", "--format", "json", ...flags]);
  expect(stderr).toBe("");
  return { code, ...(JSON.parse(stdout) as Report) };
}

test("nothing is wrong", async () => {
  expect(await check()).toMatchObject({ code: 0, Blobs: 3, Problems: [] });
});

test("a flipped bit is found, and mended by pulling again", async () => {
  const [layer] = largest();
  const path = join(blobs, layer!);
  const bytes = Buffer.from(await Bun.file(path).arrayBuffer());
  bytes[bytes.length >> 1]! ^= 1;
  writeFileSync(path, bytes);
  const problem = { Kind: "corrupt-blob", What: `sha256:${layer}`, Images: [pulled] };
  expect(await check()).toMatchObject({ code: 1, Problems: [{ ...problem, Mended: false, Reason: "" }] });
  const text = await daemon.gantry(["system", "check"]);
  expect(text.stdout).toContain(`corrupt: sha256:${layer} (of ${pulled})`);
  expect(await check("--repair")).toMatchObject({ code: 0, Problems: [{ ...problem, Mended: true }] });
  expect(await check()).toMatchObject({ code: 0, Problems: [] });
});

test("what is spoilt, or gone, does not travel on, and the daemon goes on", async () => {
  const [layer] = largest();
  const path = join(blobs, layer!);
  const bytes = Buffer.from(await Bun.file(path).arrayBuffer());
  const spoilt = Buffer.from(bytes);
  spoilt[bytes.length >> 1]! ^= 1;
  const archive = join(daemon.root, "spoilt.tar");
  // A registry that has nothing of it yet.
  await using other = await TestRegistry.start();
  const there = `${other.address}/spoilt:1`;
  await daemon.ok(["tag", pulled, there]);
  const damage = `content sha256:${layer} is damaged on this disk: system check --repair pulls it again`;
  writeFileSync(path, spoilt);
  for (const client of [daemon.gantry.bind(daemon), daemon.docker.bind(daemon)])
    expect((await client(["save", "-o", archive, pulled])).code).toBe(1);
  expect(daemon.log()).toContain(`save of ${pulled}: ${damage}`);
  expect((await daemon.gantry(["push", there])).stderr).toContain(damage);
  rmSync(path);
  expect((await daemon.gantry(["save", "-o", archive, pulled])).code).toBe(1);
  expect((await daemon.gantry(["push", there])).stderr).toContain(`content sha256:${layer}: not found`);
  writeFileSync(path, bytes, { mode: 0o600 });
  await daemon.ok(["save", "-o", archive, pulled]);
  await daemon.ok(["push", there]);
  await daemon.ok(["rmi", there]);
  expect(await check()).toMatchObject({ code: 0, Problems: [] });
});

test("blobs that are gone or cut short are mended, whichever they are", async () => {
  for (const name of readdirSync(blobs)) {
    rmSync(join(blobs, name));
    expect(await check()).toMatchObject({ code: 1, Problems: [{ Kind: "missing-blob" }] });
    expect(await check("--repair")).toMatchObject({ code: 0, Problems: [{ Mended: true }] });
    truncateSync(join(blobs, name), 10);
    expect(await check("--repair")).toMatchObject({ code: 0, Problems: [{ Kind: "corrupt-blob" }] });
    expect(await check()).toMatchObject({ code: 0, Blobs: 3, Problems: [] });
  }
  expect(await daemon.ok(["run", "--rm", pulled, "echo", "sound"])).toBe("sound");
});

test("what nothing needs is dropped when it is corrupt", async () => {
  writeFileSync(join(blobs, "0".repeat(64)), "not these bytes");
  expect((await check("--repair")).Problems).toMatchObject([{ Images: [], Mended: true }]);
  expect((await check()).Problems).toEqual([]);
});

test("an image that came from nowhere else is told to be lost", async () => {
  const registryless = "local:1";
  await daemon.ok(["create", "--name", "source", pulled, "sh"]);
  await daemon.ok(["commit", "source", registryless]);
  const before = new Set(readdirSync(blobs));
  const manifest = JSON.parse(await daemon.ok(["inspect", registryless]))[0];
  const id = (manifest.Id as string).slice("sha256:".length);
  expect(before.has(id)).toBe(true);
  writeFileSync(join(blobs, id), "x");
  const { code, Problems } = await check("--repair");
  expect(code).toBe(1);
  expect(Problems).toMatchObject([{ What: `sha256:${id}`, Images: [registryless], Mended: false }]);
  expect(Problems[0]!.Reason).toContain("build, load or pull");
});

test("all that an index keeps is looked after: platforms, attestations and itself", async () => {
  const image = `${registry.address}/multi`;
  const fixture = await publishMultiPlatform(image, "1", "check");
  await daemon.ok(["rmi", "-f", "local:1"]);
  const before = new Set(readdirSync(blobs));
  await daemon.ok(["pull", "-q", `${image}:1`]);
  await daemon.ok(["pull", "-q", "--platform", "linux/arm64", `${image}:1`]);
  const own = readdirSync(blobs).filter((name) => !before.has(name));
  const hex = ({ digest }: { digest: string }) => digest.slice("sha256:".length);
  for (const manifest of [fixture.index, fixture.amd64, fixture.arm64, fixture.attestation])
    expect(own).toContain(hex(manifest));
  for (const [index, name] of own.entries()) {
    const kind = index % 2 === 0 ? "corrupt-blob" : "missing-blob";
    if (kind === "corrupt-blob") writeFileSync(join(blobs, name), "x");
    else rmSync(join(blobs, name));
    expect(await check("--repair")).toMatchObject({
      code: 0,
      Problems: [{ Kind: kind, What: `sha256:${name}`, Images: [`${image}:1`], Mended: true }],
    });
  }
  expect(await check()).toMatchObject({ code: 0, Problems: [] });
});
