/** What Debian's docker CLI 20.10 with DOCKER_BUILDKIT=1 does besides: caches, outputs, a terminal, Ctrl-C. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makeContext } from "./support/context.ts";
import { leftMounts, run, TestDaemon, until } from "./support/daemon.ts";
import { disposeAll } from "./support/dispose.ts";
import { TestRegistry } from "./support/registry.ts";

/** The docker CLI that has BuildKit's client in itself. */
const docker20 = "/usr/bin/docker";

let daemon: TestDaemon;
let directory: string;
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "gt-docker20-"));
  daemon = await TestDaemon.start();
});
afterAll(() => disposeAll(daemon, directory));

const contextOf = (files: Record<string, string>) => makeContext(directory, files);
const environment = (host = daemon.host) => ({ DOCKER_HOST: host, DOCKER_BUILDKIT: "1" });
const docker = (args: string[], host = daemon.host) => run([docker20, ...args], { env: environment(host) });
async function ok(args: string[], host?: string): Promise<string> {
  const { code, stdout, stderr } = await docker(["build", "--progress", "plain", ...args], host);
  expect({ code, stderr }).toMatchObject({ code: 0 });
  return stdout + stderr;
}

test("takes steps from an image that another engine pushed with its cache", async () => {
  await using registry = await TestRegistry.start();
  await using other = await TestDaemon.start();
  const name = `${registry.address}/cached:1`;
  const context = contextOf({
    Dockerfile: "FROM busybox\nRUN cat /proc/sys/kernel/random/uuid > /id\nCOPY file /file",
    file: "content",
  });
  await ok(["--build-arg", "BUILDKIT_INLINE_CACHE=1", "-t", name, context], other.host);
  expect(await docker(["push", "-q", name], other.host)).toMatchObject({ code: 0 });
  expect((await ok(["--cache-from", name, "-t", "from-cache", context])).match(/ CACHED$/gm)).toHaveLength(2);
  const id = (host: string, image: string) =>
    docker(["run", "--rm", "--network", "none", image, "cat", "/id"], host).then(({ stdout }) => stdout);
  expect(await id(daemon.host, "from-cache")).toBe(await id(other.host, name));
});

test("outputs of each kind", async () => {
  const context = contextOf({ Dockerfile: "FROM busybox\nRUN echo made > /made" });
  await ok(["-o", "type=image,name=as-image", context]);
  expect(await daemon.ok(["run", "--rm", "as-image", "cat", "/made"])).toBe("made");
  await ok(["-o", `type=local,dest=${context}/out`, context]);
  expect(readFileSync(join(context, "out/made"), "utf8")).toBe("made\n");
  await ok(["-o", `type=tar,dest=${context}/out.tar`, context]);
  expect((await run(["tar", "-xOf", `${context}/out.tar`, "made"])).stdout).toBe("made\n");
  const quiet = await docker(["build", "-q", context]);
  expect(quiet.stdout).toMatch(/^sha256:[0-9a-f]{64}\n$/);
});

const onTerminal = (steps: [string, string][], args: string[]) =>
  run(
    [
      "python3",
      join(import.meta.dir, "support/terminal.py"),
      JSON.stringify(steps),
      docker20,
      "build",
      ...args,
    ],
    { env: environment() },
  );

test("draws the steps on a terminal", async () => {
  const context = contextOf({ Dockerfile: "FROM busybox\nRUN echo shown && sleep 0.3\nRUN true" });
  const { code, stdout } = await onTerminal([], [context]);
  expect(code).toBe(0);
  expect(stdout).toContain("[+] Building");
  expect(stdout).toContain("=> [2/3] RUN echo shown && sleep 0.3");
  expect(stdout).toContain("FINISHED");
  const failed = await onTerminal([], [contextOf({ Dockerfile: "FROM busybox\nRUN echo why && exit 3" })]);
  expect(failed.code).toBe(1);
  expect(failed.stdout).toMatch(/why\r?\n[\s\S]*exit code: 3/);
});

test("Ctrl-C ends the build", async () => {
  // By a number that no other run of this test has.
  const step = `sleep ${400_000 + process.pid}`;
  const context = contextOf({ Dockerfile: `FROM busybox\nRUN echo begun && ${step}` });
  const running = async () => (await run(["pgrep", "-f", `^${step}`])).code === 0;
  const { code } = await onTerminal([["sleep", "\u0003"]], [context]);
  expect(code).not.toBe(0);
  await until(async () => !(await running()), "the step ends");
  await until(() => leftMounts(daemon.root).length === 0, "nothing is mounted");
  const records = (await (await daemon.request("/build/history")).json()) as { Status: string }[];
  expect(records[0]?.Status).toBe("canceled");
});
