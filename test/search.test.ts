/** `search` in a registry's catalog, by our client and the docker CLI. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { TestDaemon } from "./support/daemon.ts";
import { disposeAll } from "./support/dispose.ts";
import { recentDocker } from "./support/docker-cli.ts";
import { publishMultiPlatform } from "./support/multi-platform.ts";
import { TestRegistry } from "./support/registry.ts";

let daemon: TestDaemon;
let registry: TestRegistry;
beforeAll(async () => {
  registry = await TestRegistry.start();
  daemon = await TestDaemon.start({ images: false });
  for (const name of ["team/web", "team/web-admin", "other"])
    await publishMultiPlatform(`${registry.address}/${name}`, "1", "search");
});
afterAll(() => disposeAll(daemon, registry));

test.skipIf(!recentDocker)("both clients show what fits, in one table", async () => {
  const args = ["search", "--no-trunc", `${registry.address}/web`];
  const [ours, theirs] = [await daemon.gantry(args), await daemon.docker(args)];
  expect(ours).toMatchObject({ code: 0, stderr: "" });
  expect(ours.stdout.split("\n").map((line) => line.trimEnd())).toEqual(
    theirs.stdout.split("\n").map((line) => line.trimEnd()),
  );
  const names = await daemon.ok(["search", "--format", "{{.Name}}", `${registry.address}/`]);
  expect(names.split("\n").sort()).toEqual(
    ["other", "team/web", "team/web-admin"].map((name) => `${registry.address}/${name}`),
  );
  expect(
    await daemon.ok(["search", "--limit", "1", "--format", "{{.Name}}", `${registry.address}/team`]),
  ).toBe(`${registry.address}/team/web`);
  expect(await daemon.ok(["search", "-f", "stars=1", "--format", "json", `${registry.address}/web`])).toBe(
    "",
  );
});

test("what can't be searched says so", async () => {
  const none = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response("", { status: 404 }) });
  try {
    const refused = await daemon.gantry(["search", `127.0.0.1:${none.port}/app`]);
    expect(refused).toMatchObject({ code: 1 });
    expect(refused.stderr).toContain("can't be searched: it has no catalog");
  } finally {
    await none.stop(true);
  }
  const limit = await daemon.gantry(["search", "--limit", "1000", `${registry.address}/web`]);
  expect(limit.stderr).toContain("limit 1000 is outside the range of [1, 100]");
});
