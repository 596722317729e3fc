/** What can be asked about a Dockerfile without building it: `build --call outline|targets|check`. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Result, run, TestDaemon } from "./support/daemon.ts";
import { disposeAll } from "./support/dispose.ts";

const withBuildx = (await run(["docker", "buildx", "version"])).code === 0;

let daemon: TestDaemon;
const context = mkdtempSync(join(tmpdir(), "gt-calls-"));
beforeAll(async () => {
  writeFileSync(
    join(context, "Dockerfile"),
    [
      "# BASE the image that all begin from",
      "ARG BASE=busybox",
      "ARG UNUSED=1",
      "# deps what the build needs",
      "FROM $BASE AS deps",
      "RUN --mount=type=secret,id=token,required --mount=type=cache,id=packages,target=/c true",
      "FROM deps AS app",
      "# LEVEL how loud it is",
      "ARG LEVEL=info",
      "RUN --mount=type=ssh true",
      "FROM scratch",
      "ARG OTHER",
      "COPY --from=app / /",
      "ENTRYPOINT app",
    ].join("\n"),
  );
  daemon = await TestDaemon.start();
});
afterAll(() => disposeAll(context, daemon));

const clients: [string, (args: string[]) => Promise<Result>][] = [
  ["gantry", (args) => daemon.gantry(["build", ...args, context])],
];
if (withBuildx)
  clients.push([
    "buildx",
    (args) => run(["docker", "buildx", "build", ...args, context], { env: { DOCKER_HOST: daemon.host } }),
  ]);

describe.each(clients)("%s", (_, client) => {
  const ask = async (...args: string[]) => {
    const result = await client(args);
    expect(result).toMatchObject({ code: 0 });
    return result.stdout;
  };

  test("outline: what a target takes", async () => {
    const shown = await ask("--call=outline", "--target", "app", "--build-arg", "LEVEL=debug");
    expect(shown).toMatch(/^TARGET: +app$/m);
    expect(shown).toMatch(/^BASE +busybox +the image that all begin from$/m);
    expect(shown).toMatch(/^LEVEL +debug +how loud it is$/m);
    expect(shown).toMatch(/^token +true$/m);
    expect(shown).toMatch(/^default/m);
    expect(shown).not.toMatch(/OTHER|UNUSED/);
    const told = JSON.parse(await ask("--call=outline,format=json"));
    expect(told.args.map(({ name }: { name: string }) => name)).toEqual(["BASE", "LEVEL", "OTHER"]);
    expect(told.cache).toMatchObject([{ ID: "packages", location: { ranges: [{ start: { line: 6 } }] } }]);
  });

  test("targets: what can be built", async () => {
    const shown = await ask("--call=targets");
    expect(shown).toMatch(/^deps +what the build needs$/m);
    expect(shown).toMatch(/^app *$/m);
    expect(shown).toMatch(/^\(default\) *$/m);
    const { targets } = JSON.parse(await ask("--call=targets,format=json"));
    expect(targets).toMatchObject([
      { name: "deps", base: "$BASE" },
      { name: "app", base: "deps" },
      { default: true, base: "scratch" },
    ]);
  });

  test("check: what is likely a mistake, and nothing is built", async () => {
    const checked = await client(["--check"]);
    expect(checked.code).toBe(1);
    expect(checked.stdout).toContain("JSONArgsRecommended");
    expect(checked.stdout).toContain("Dockerfile:14");
    const json = await client(["--call=check,format=json"]);
    expect(json.code).toBe(1);
    expect(JSON.parse(json.stdout)).toMatchObject({
      warnings: [{ ruleName: "JSONArgsRecommended", location: { ranges: [{ start: { line: 14 } }] } }],
    });
    expect(await client(["--check", "--target", "app"])).toMatchObject({ code: 0 });
    expect(await daemon.ok(["buildx", "history", "ls", "--format", "json"])).not.toContain("Completed");
  });

  test("what there is to ask", async () => {
    expect(await ask("--call=subrequests.describe")).toMatch(/^outline +1\.0\.0 +List all parameters/m);
  });

  test("a Dockerfile that can't be read says where", async () => {
    const wrong = await client(["--call=outline", "--target", "nowhere"]);
    expect(wrong.code).not.toBe(0);
    expect(wrong.stderr).toContain('target stage "nowhere" could not be found');
  });
});
