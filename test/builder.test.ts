/** The commands about builders and their builds: `gantry buildx …`. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TestDaemon } from "./support/daemon.ts";
import { disposeAll } from "./support/dispose.ts";
import { type MultiPlatform, publishMultiPlatform } from "./support/multi-platform.ts";
import { TestRegistry } from "./support/registry.ts";

let daemon: TestDaemon;
let registry: TestRegistry;
let directory: string;
let fixture: MultiPlatform;
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "gt-builder-"));
  registry = await TestRegistry.start();
  daemon = await TestDaemon.start();
  fixture = await publishMultiPlatform(`${registry.address}/multi`, "1", "builder");
});
afterAll(() => disposeAll(daemon, registry, directory));

const buildx = (...args: string[]) =>
  daemon.gantry(["buildx", ...args], { env: { DOCKER_CONFIG: join(directory, "config") } });
async function ok(...args: string[]): Promise<string> {
  const result = await buildx(...args);
  expect(result).toMatchObject({ code: 0 });
  return result.stdout;
}
function build(dockerfile: string, ...flags: string[]) {
  const context = mkdtempSync(join(directory, "context-"));
  writeFileSync(join(context, "Dockerfile"), dockerfile);
  return buildx("build", ...flags, context);
}

test("history: what was built, how it ended and what it said, also after a restart", async () => {
  expect((await build("FROM busybox\nRUN echo first words", "-t", "first")).code).toBe(0);
  expect((await build("FROM busybox\nRUN echo last words && exit 4")).code).toBe(4);
  const list = await ok(
    "history",
    "ls",
    "--format",
    "{{.Name}} {{.Status}} {{.CompletedSteps}}/{{.TotalSteps}}",
  );
  const [failed, good] = list.trim().split("\n");
  expect(good).toMatch(/^first Completed (\d+)\/\1$/);
  expect(failed).toMatch(/^Dockerfile Error /);
  await daemon.shutDown();
  await daemon.boot();
  expect(await ok("history", "ls", "--filter", "status=error", "--format", "{{.Name}}")).toBe("Dockerfile\n");
  const shown = await ok("history", "inspect", "^1");
  expect(shown).toMatch(/^Name: +first\n/);
  const id = JSON.parse(await ok("history", "inspect", "--format", "json")).ID as string;
  expect(await ok("history", "inspect", id.slice(0, 8), "--format", "{{.Error}}")).toContain("code: 4");
  const { stderr } = await buildx("history", "logs", "^1");
  expect(stderr).toMatch(/#(\d+) \[2\/2\] RUN echo first words\n#\1 \d+\.\d{3} first words\n#\1 DONE/);
  expect(await ok("history", "rm", id)).toBe(`${id}\n`);
  expect((await buildx("history", "inspect", id)).stderr).toContain(`no such build: ${id}`);
  await ok("history", "rm", "--all");
  expect(await ok("history", "ls", "--format", "{{.Ref}}")).toBe("");
});

test("du and prune: records, filters, sums", async () => {
  await build("FROM busybox\nRUN --mount=type=cache,target=/c head -c 100000 /dev/zero > /c/f && cp /c/f /g");
  const all = await ok("du");
  expect(all).toMatch(/^ID +RECLAIMABLE +SIZE +LAST ACCESSED\n/);
  expect(all).toMatch(/\nTotal:\t\t\d/);
  const mounts = await ok("du", "--filter", "type=exec.cachemount", "--format", "{{.Type}}");
  expect(mounts).toBe("exec.cachemount\n");
  expect(await ok("du", "--verbose")).toContain("Usage count:");
  expect((await buildx("du", "--filter", "colour=red")).stderr).toContain("invalid filter colour");
  await ok("prune", "-af");
  expect(await ok("du")).toContain("Total:\t\t0B\n");
});

test("builders are the engines of contexts", async () => {
  await daemon.gantry(["context", "create", "gone", "--docker", "host=unix:///nowhere.sock"], {
    env: { DOCKER_CONFIG: join(directory, "config") },
  });
  const { stdout, stderr } = await buildx("ls");
  expect(stdout).toMatch(/^NAME +DRIVER\/ENDPOINT .*\ndefault\*? +docker unix:\/\/.* running /);
  expect(stdout).toMatch(/\ngone +docker unix:\/\/\/nowhere\.sock +error/);
  expect(stderr).toContain("Cannot load builder gone:");
  expect(await ok("inspect")).toMatch(/^Name: +default\nDriver: docker\n/);
  expect((await buildx("inspect", "gone")).code).toBe(1);
  expect((await buildx("create", "--name", "other")).stderr).toContain("context create other --docker");
  expect((await buildx("rm", "gone")).stderr).toContain("context rm gone");
  expect((await buildx("stop")).stderr).toContain("not stopped");
  expect((await buildx("du", "--builder", "gone")).stderr).toContain("nowhere.sock");
  expect((await buildx("use", "nobody")).code).toBe(1);
  expect(await ok("version")).toStartWith("Gantry ");
  expect((await buildx("imagetools")).stderr).toContain("gantry buildx imagetools COMMAND");
});

test("imagetools: what a registry has, and indexes of it", async () => {
  const image = `${registry.address}/multi`;
  const shown = await ok("imagetools", "inspect", `${image}:1`);
  expect(shown).toContain(`Name:      ${image}:1\n`);
  expect(shown).toContain("  Platform:  linux/amd64\n");
  const raw = await ok("imagetools", "inspect", "--raw", `${image}:1`);
  expect(JSON.parse(raw).manifests.length).toBeGreaterThan(1);
  const [amd64, arm64] = [`${image}@${fixture.amd64.digest}`, `${image}@${fixture.arm64.digest}`];
  const metadata = join(directory, "metadata");
  await ok("imagetools", "create", "-t", `${image}:made`, "--metadata-file", metadata, amd64, arm64);
  const made = await ok("imagetools", "inspect", `${image}:made`);
  expect(made).toContain(fixture.arm64.digest);
  expect(made).toContain(JSON.parse(readFileSync(metadata, "utf8"))["containerimage.digest"]);
  // A source that is a list stays as it is.
  await ok("imagetools", "create", "-t", `${image}:copy`, `${image}:1`);
  expect(await ok("imagetools", "inspect", "--raw", `${image}:copy`)).toBe(raw);
  const dry = JSON.parse(
    await ok(
      "imagetools",
      "create",
      "--dry-run",
      "--platform",
      "linux/arm64",
      "--annotation",
      "a=b",
      `${image}:1`,
    ),
  );
  expect(dry).toMatchObject({ annotations: { a: "b" }, manifests: [{ digest: fixture.arm64.digest }] });
  await ok("imagetools", "create", "-t", `${image}:grown`, amd64);
  await ok("imagetools", "create", "--append", "-t", `${image}:grown`, arm64);
  expect(JSON.parse(await ok("imagetools", "inspect", "--raw", `${image}:grown`)).manifests).toHaveLength(2);
});
