/** The build cache as people meet it: shown, pruned by size, and held to the rules of daemon.json. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TestDaemon, until } from "./support/daemon.ts";
import { disposeAll } from "./support/dispose.ts";

let daemon: TestDaemon;
const directory = mkdtempSync(join(tmpdir(), "gt-cache-"));
beforeAll(async () => {
  // Nothing but what cache mounts hold is collected, and that down to a megabyte.
  const policy = [{ all: true, filter: ["type=exec.cachemount"], maxUsedSpace: "1MB" }];
  daemon = await TestDaemon.start({ config: { builder: { gc: { policy } } } });
});
afterAll(() => disposeAll(directory, daemon));

async function build(run: string): Promise<void> {
  writeFileSync(join(directory, "Dockerfile"), `FROM busybox\nRUN ${run}\n`);
  await daemon.ok(["build", "-q", directory]);
}

async function cache(): Promise<{ Type: string; Description: string; Size: number }[]> {
  const answer = await daemon.request("/system/df?type=build-cache");
  return ((await answer.json()) as { BuildCache: { Type: string; Description: string; Size: number }[] })
    .BuildCache;
}

test("steps and cache mounts are listed by both command lines, and pruned down to a size", async () => {
  await build("head -c 300000 /dev/zero >/a");
  await build("--mount=type=cache,target=/c head -c 200000 /dev/zero >/c/x; head -c 300000 /dev/zero >/b");
  expect((await cache()).map(({ Type, Size }) => [Type, Size]).sort()).toEqual([
    ["exec.cachemount", 200_000],
    ["regular", 300_000],
    ["regular", 300_000],
  ]);
  expect(await daemon.ok(["system", "df", "-v"])).toContain("exec.cachemount");
  expect((await daemon.docker(["system", "df", "-v"])).stdout).toContain("exec.cachemount");
  expect(await daemon.ok(["builder", "prune", "-af", "--max-used-space", "10MB"])).toContain("0B");
  expect(await cache()).toHaveLength(3);
  await daemon.ok(["builder", "prune", "-af", "--max-used-space", "600kB"]);
  // The longest unused is the first to go.
  expect((await cache()).map(({ Type }) => Type).sort()).toEqual(["exec.cachemount", "regular"]);
  const refused = await daemon.request("/build/prune?max-used-space=much", { method: "POST" });
  expect(refused.status).toBe(400);
});

test("the rules of daemon.json are applied after a build, also by a daemon that was killed", async () => {
  await build("--mount=type=cache,target=/c,id=big head -c 3000000 /dev/zero >/c/x; echo big >/b");
  await until(
    async () => !(await cache()).some(({ Description }) => Description.includes("big from")),
    "collection",
  );
  expect((await cache()).some(({ Type }) => Type === "regular")).toBe(true);
  // This daemon collects nothing before it is killed.
  const { builder } = daemon.config as { builder: object };
  await daemon.shutDown();
  Object.assign(daemon.config, { builder: { gc: { enabled: false } } });
  await daemon.boot();
  await build("--mount=type=cache,target=/c,id=huge head -c 4000000 /dev/zero >/c/x; echo huge >/b");
  await daemon.crash();
  Object.assign(daemon.config, { builder });
  await daemon.boot();
  expect((await cache()).find(({ Description }) => Description.includes("huge from"))?.Size).toBe(4_000_000);
  await build("echo next >/b");
  await until(
    async () => !(await cache()).some(({ Description }) => Description.includes("huge from")),
    "collection",
  );
});

test.each(["keep-storage", "reserved-space"])("%s keeps what it names", async (name) => {
  await build(`head -c 50000 /dev/zero >/${name}`);
  const before = (await cache()).length;
  const answer = await daemon.request(`/build/prune?all=1&${name}=1000000000`, { method: "POST" });
  expect(await answer.json()).toEqual({ CachesDeleted: null, SpaceReclaimed: 0 });
  expect(await cache()).toHaveLength(before);
});
