/** Contexts that docker buildx names: an image in a directory, another target of a bake file. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { leftMounts, run, TestDaemon, until } from "./support/daemon.ts";
import { disposeAll } from "./support/dispose.ts";

const withBuildx = (await run(["docker", "buildx", "version"])).code === 0;

describe.skipIf(!withBuildx)("docker buildx", () => {
  let daemon: TestDaemon;
  let directory: string;
  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), "gt-contexts-"));
    daemon = await TestDaemon.start();
  });
  afterAll(() => disposeAll(daemon, directory));

  const buildx = (args: string[], cwd = directory) =>
    run(["docker", "buildx", ...args], { cwd, env: { DOCKER_HOST: daemon.host } });
  const contextOf = (files: Record<string, string>) => {
    const context = mkdtempSync(join(directory, "context-"));
    for (const [name, text] of Object.entries(files)) writeFileSync(join(context, name), text);
    return context;
  };
  const images = async () => (await daemon.ok(["images", "-aq"])).split("\n").sort();

  test("begins from an image in a directory", async () => {
    const made = contextOf({
      Dockerfile: "FROM busybox\nRUN echo in the layout > /made\nENV FROM_LAYOUT=yes",
    });
    const layout = join(directory, "layout");
    expect(await buildx(["build", "-o", `type=oci,tar=false,dest=${layout}`, made])).toMatchObject({
      code: 0,
    });
    const before = await images();
    const context = contextOf({
      Dockerfile: "FROM base\nCOPY --from=base /made /copied\nRUN echo $FROM_LAYOUT > /env",
    });
    const built = await buildx([
      "build",
      "-t",
      "on-layout",
      "--build-context",
      `base=oci-layout://${layout}`,
      context,
    ]);
    expect(built).toMatchObject({ code: 0 });
    expect(await daemon.ok(["run", "--rm", "on-layout", "cat", "/copied", "/env"])).toBe(
      "in the layout\nyes",
    );
    // What it began from is no image of its own.
    expect(await images()).toHaveLength(before.length + 1);
    await daemon.ok(["build", "-t", "own", "--build-context", `base=oci-layout://${layout}:latest`, context]);
    expect(await daemon.ok(["run", "--rm", "own", "cat", "/copied"])).toBe("in the layout");
    const none = await daemon.gantry([
      "build",
      "--build-context",
      `base=oci-layout://${layout}:none`,
      context,
    ]);
    expect(none.stderr).toContain("no image none in the OCI layout");
  });

  test("bakes a target that begins from another one", async () => {
    const context = contextOf({
      "base.Dockerfile": "FROM busybox\nRUN cat /proc/sys/kernel/random/uuid > /id",
      "app.Dockerfile": "FROM base\nCOPY --from=base /id /copied\nRUN cmp /id /copied",
      "docker-bake.hcl": `
        group "default" { targets = ["base", "app"] }
        target "base" {
          dockerfile = "base.Dockerfile"
          tags = ["linked-base"]
        }
        target "app" {
          dockerfile = "app.Dockerfile"
          contexts = { base = "target:base" }
          tags = ["linked-app"]
        }`,
    });
    expect(await buildx(["bake"], context)).toMatchObject({ code: 0 });
    const id = (name: string) => daemon.ok(["run", "--rm", name, "cat", "/id"]);
    expect(await id("linked-app")).toBe(await id("linked-base"));
    await until(() => leftMounts(daemon.root).length === 0, "nothing is mounted");
    // One that is asked for alone has its base built, and no image made of that.
    await daemon.ok(["rmi", "-f", "linked-app", "linked-base"]);
    expect(await buildx(["bake", "app"], context)).toMatchObject({ code: 0 });
    expect((await daemon.ok(["images", "--format", "{{.Repository}}"])).split("\n").sort()).not.toContain(
      "linked-base",
    );
  });

  test("a target whose base fails says why", async () => {
    const context = contextOf({
      "base.Dockerfile": "FROM busybox\nRUN exit 7",
      "app.Dockerfile": "FROM base\nRUN true",
      "docker-bake.json": JSON.stringify({
        target: {
          base: { dockerfile: "base.Dockerfile" },
          default: { dockerfile: "app.Dockerfile", contexts: { base: "target:base" } },
        },
      }),
    });
    const baked = await buildx(["bake"], context);
    expect(baked.code).toBe(1);
    expect(baked.stderr).toContain("exit code: 7");
    await until(() => leftMounts(daemon.root).length === 0, "nothing is mounted");
  });
});
