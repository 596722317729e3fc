/** A full disk: work fails with a clear message, the store stays consistent, and goes on when there is room. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { run, TestDaemon } from "./support/daemon.ts";
import { disposeAll } from "./support/dispose.ts";
import { TestRegistry } from "./support/registry.ts";

const mib = 1 << 20;
const full = /no space left on device/;

let roomy: TestDaemon;
let tight: TestDaemon;
let registry: TestRegistry;
let scratch: string;
let big: string;
beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), "gt-full-"));
  registry = await TestRegistry.start();
  big = `${registry.address}/big:1`;
  roomy = await TestDaemon.start();
  // Of bytes that don't shrink; together more than the other daemon's disk.
  const context = join(scratch, "context");
  mkdirSync(context);
  for (const name of ["a", "b", "c"])
    writeFileSync(join(context, name), crypto.getRandomValues(Buffer.alloc(12 * mib)));
  writeFileSync(join(context, "Dockerfile"), "FROM busybox\nCOPY a /\nCOPY b /\nCOPY c /\n");
  await roomy.ok(["build", "-t", big, context]);
  await roomy.ok(["push", big]);
  await roomy.ok(["save", "-o", join(scratch, "big.tar"), big]);
  tight = new TestDaemon();
  mkdirSync(tight.dataRoot, { recursive: true });
  const mounted = await run(["mount", "-t", "tmpfs", "-o", "size=48m", "gantry-test", tight.dataRoot]);
  expect(mounted.code).toBe(0);
  await tight.boot();
  await tight.ok(["load", "-q", "-i", join(tmpdir(), "gantry-test-busybox-2.tar")]);
});
afterAll(() => disposeAll(tight, roomy, registry, scratch));

/** The store agrees with itself, holds busybox alone, and works. */
async function expectSound(): Promise<void> {
  expect(await tight.gantry(["system", "check"])).toMatchObject({ code: 0 });
  expect(await tight.ok(["images", "--format", "{{.Repository}}"])).toBe("busybox");
  expect(readdirSync(join(tight.dataRoot, "content/ingest"))).toEqual([]);
  expect(await tight.ok(["run", "--rm", "--network", "none", "busybox", "echo", "works"])).toBe("works");
}

test("during a pull", async () => {
  const { code, stdout, stderr } = await tight.gantry(["pull", big]);
  expect(code).toBe(1);
  expect(stdout + stderr).toMatch(full);
  await expectSound();
});

test("during a load", async () => {
  const { code, stdout, stderr } = await tight.gantry(["load", "-i", join(scratch, "big.tar")]);
  expect(code).toBe(1);
  expect(stdout + stderr).toMatch(full);
  await expectSound();
});

test("during a build", async () => {
  const { code, stdout, stderr } = await tight.gantry(["build", "-t", "never", join(scratch, "context")]);
  expect({ code, output: stdout + stderr }).toEqual({ code: 1, output: expect.stringMatching(full) });
  await tight.ok(["builder", "prune", "-af"]);
  await expectSound();
});

test("in a container", async () => {
  const fill = "dd if=/dev/zero of=/fill bs=1M count=100; echo ended $?";
  const { stdout } = await tight.gantry([
    "run",
    "--name",
    "filler",
    "--network",
    "none",
    "busybox",
    "sh",
    "-c",
    fill,
  ]);
  expect(stdout).toContain("ended 1");
  // What is there can still be asked about and removed.
  expect(await tight.ok(["ps", "-aq", "--filter", "name=filler"])).not.toBe("");
  await tight.ok(["rm", "filler"]);
  await expectSound();
});

test("a daemon that dies on a full disk comes back on it", async () => {
  const fill = "dd if=/dev/zero of=/fill bs=1M count=100";
  await tight.gantry(["run", "--name", "filler", "--network", "none", "busybox", "sh", "-c", fill]);
  await tight.crash();
  await tight.boot();
  await tight.ok(["rm", "filler"]);
  await expectSound();
});
