/** Clients that people already have, each through a long scenario of its own against one engine. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { join } from "node:path";
import { run, TestDaemon } from "../support/daemon.ts";

let daemon: TestDaemon;
beforeAll(async () => {
  daemon = await TestDaemon.start();
});
afterAll(() => daemon?.[Symbol.asyncDispose]());

/** Node as people have it; bun where the machine's is too old for these clients. */
function node(): string {
  const found = Bun.which("node");
  const version = found ? Bun.spawnSync([found, "--version"]).stdout.toString().trim() : "v0.0.0";
  return found && Bun.semver.satisfies(version.slice(1), ">=20.18.1") ? found : process.execPath;
}

test.each([
  ["docker-py", ["/usr/bin/python3", "docker_py.py"]],
  ["dockerode", [node(), "dockerode.mjs"]],
  ["testcontainers", [node(), "testcontainers.mjs"]],
])("%s drives the engine", async (_, [program, script]) => {
  const { code, stdout, stderr } = await run([program!, join(import.meta.dir, script!)], {
    // Its helper that clears up after a crash is an image of Docker Hub's.
    env: { DOCKER_HOST: daemon.host, TESTCONTAINERS_RYUK_DISABLED: "true" },
  });
  if (code !== 0) throw new Error(`${stdout}\n${stderr}`);
  if (!/steps\n$/.test(stdout)) throw new Error(`ended early:\n${stdout}\n${stderr}`);
  expect(Number(/(\d+) steps\n$/.exec(stdout)?.[1])).toBeGreaterThanOrEqual(25);
  expect(stdout).not.toContain("FAILED");
});
