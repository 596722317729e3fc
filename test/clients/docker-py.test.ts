import { afterAll, beforeAll, expect, test } from "bun:test";
import { join } from "node:path";
import { run, TestDaemon } from "../support/daemon.ts";

let daemon: TestDaemon;
beforeAll(async () => {
  daemon = await TestDaemon.start();
});
afterAll(() => daemon?.[Symbol.asyncDispose]());

test("docker-py drives the engine", async () => {
  const script = join(import.meta.dir, "docker_py.py");
  const { code, stdout, stderr } = await run(["/usr/bin/python3", script], {
    env: { DOCKER_HOST: daemon.host },
  });
  if (code !== 0) throw new Error(`${stdout}\n${stderr}`);
  expect(stdout).toMatch(/\d+ steps\n$/);
  expect(stdout).not.toContain("FAILED");
});
