/** Debian's docker-compose 1.29, the Python one, on an application of three services. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { join } from "node:path";
import { run, TestDaemon, until } from "../support/daemon.ts";

const directory = join(import.meta.dir, "compose");

let daemon: TestDaemon;
beforeAll(async () => {
  daemon = await TestDaemon.start();
});
afterAll(() => daemon?.[Symbol.asyncDispose]());

let steps = 0;
const call = (...args: string[]) => {
  steps++;
  return run(["/usr/bin/docker-compose", "--no-ansi", "-p", "dc", ...args], {
    cwd: directory,
    env: { DOCKER_HOST: daemon.host, COMPOSE_DOCKER_CLI_BUILD: "0", WHO: "them" },
  });
};

async function ok(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await call(...args);
  if (code !== 0) throw new Error(`${args.join(" ")}: exit ${code}\n${stdout}${stderr}`);
  return stdout.trimEnd();
}

const running = async () => (await ok("ps", "--services", "--filter", "status=running")).split("\n").sort();
const ask = (container: string, format: string) => daemon.ok(["inspect", "-f", format, container]);

test("a life from config to down, in the order of people", async () => {
  expect(await ok("config", "--services")).toBe("db\nweb\nworker");
  expect(await ok("config")).toContain("WHO: them");
  expect(await ok("build")).toContain("Successfully tagged dc/web:latest");
  await ok("up", "-d");
  expect(await running()).toEqual(["db", "web", "worker"]);
  expect(await ok("ps")).toContain("dc_web_1");
  expect((await ok("ps", "-q")).split("\n")).toHaveLength(3);
  const port = (await ok("port", "web", "80")).split(":").at(-1);
  const page = () => fetch(`http://127.0.0.1:${port}/`).then((response) => response.text());
  await until(async () => (await page().catch(() => "")) === "built for them\n", "the page");
  await until(async () => (await ask("dc_web_1", "{{.State.Health.Status}}")) === "healthy", "its health");
  expect(await ok("logs", "db")).toContain("database is up");
  expect(await ok("exec", "-T", "web", "sh", "-c", "echo $COLOR $FROM_FILE")).toBe("blue yes");
  expect(await ok("exec", "-T", "web", "cat", "/source/web.env")).toBe("FROM_FILE=yes");
  expect((await call("exec", "-T", "web", "sh", "-c", "exit 9")).code).toBe(9);
  expect(await ok("exec", "-T", "web", "grep", "elsewhere", "/etc/hosts")).toStartWith("10.1.2.3");
  expect(await ok("exec", "-T", "web", "sh", "-c", "ulimit -n")).toBe("100");
  expect(await ok("exec", "-T", "db", "hostname")).toBe("database");
  expect(await ok("exec", "-T", "worker", "wget", "-qO-", "http://web/")).toBe("built for them");
  expect(await ok("run", "--rm", "-T", "worker", "wget", "-qO-", "http://web/")).toBe("built for them");
  expect(await ok("run", "--rm", "-T", "-e", "X=1", "worker", "sh", "-c", "echo $X")).toBe("1");
  expect((await call("run", "--rm", "-T", "worker", "sh", "-c", "exit 7")).code).toBe(7);
  expect(await ok("top", "web")).toContain("httpd");
  expect(await ask("dc_web_1", '{{index .Config.Labels "made"}} {{.HostConfig.RestartPolicy.Name}}')).toBe(
    "here unless-stopped",
  );
  expect(await ask("dc_db_1", "{{.NetworkSettings.Networks.dc_back.IPAddress}}")).toStartWith("10.241.9.");
  await ok("up", "-d", "--scale", "worker=3", "--no-recreate");
  expect((await ok("ps", "-q", "worker")).split("\n")).toHaveLength(3);
  await until(async () => {
    const workers = await ok("logs", "worker");
    return [1, 2, 3].every((number) => workers.includes(`worker_${number}`));
  }, "a line of each worker");
  await ok("up", "-d", "--scale", "worker=1");
  expect((await ok("ps", "-q", "worker")).split("\n")).toHaveLength(1);
  const before = await ok("ps", "-q", "web");
  await ok("up", "-d");
  expect(await ok("ps", "-q", "web")).toBe(before);
  await ok("up", "-d", "--force-recreate", "web");
  expect(await ok("ps", "-q", "web")).not.toBe(before);
  await ok("pause", "db");
  expect(await ask("dc_db_1", "{{.State.Status}}")).toBe("paused");
  await ok("unpause", "db");
  await ok("restart", "-t", "0", "db");
  expect(await ask("dc_db_1", "{{.State.Status}}")).toBe("running");
  await ok("stop", "-t", "0", "worker");
  expect(await running()).toEqual(["db", "web"]);
  await ok("start", "worker");
  expect(await running()).toEqual(["db", "web", "worker"]);
  await ok("kill", "-s", "SIGKILL", "worker");
  await until(async () => !(await running()).includes("worker"), "the end of the worker");
  await ok("rm", "-f", "worker");
  expect(await ok("images")).toContain("dc/web");
  await ok("down", "-t", "0");
  expect(await daemon.ok(["ps", "-aq"])).toBe("");
  expect(await daemon.ok(["network", "ls", "-q", "--filter", "name=dc_"])).toBe("");
  expect(await daemon.ok(["volume", "ls", "-q"])).toBe("dc_pages");
  await ok("up", "-d", "db");
  await ok("down", "-v", "-t", "0", "--rmi", "local");
  expect(await daemon.ok(["volume", "ls", "-q"])).toBe("");
  expect(steps).toBeGreaterThanOrEqual(25);
}, 600_000);
