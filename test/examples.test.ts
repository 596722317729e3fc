/** The examples of this repository, by both command lines, with a registry that has the base images. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { cpSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Result, run, TestDaemon, until } from "./support/daemon.ts";
import { disposeAll } from "./support/dispose.ts";
import { TestRegistry } from "./support/registry.ts";

const top = join(import.meta.dir, "..");
let daemon: TestDaemon;
let registry: TestRegistry;
let directory: string;
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "gt-examples-"));
  cpSync(join(top, "examples"), directory, { recursive: true });
  registry = await TestRegistry.start();
  const made = await run([join(top, "script/base-images"), registry.address]);
  if (made.code !== 0) throw new Error(made.stderr);
  daemon = await TestDaemon.start({
    images: false,
    flags: ["--registry-mirror", `http://${registry.address}`],
  });
}, 300_000);
afterAll(() => disposeAll(daemon, registry, directory));

const page = (port: string | undefined) =>
  fetch(`http://127.0.0.1:${port}/`).then(
    (answer) => answer.text(),
    () => "",
  );

type Client = (args: string[]) => Promise<Result>;
const clients: [string, Client][] = [
  ["gantry", (args) => daemon.gantry(args)],
  ["docker", (args) => daemon.docker(args)],
];

describe.each(clients)("%s", (_, client) => {
  const ok = async (...args: string[]) => {
    const result = await client(args);
    expect(result).toMatchObject({ code: 0 });
    return result.stdout.trim();
  };

  test("my-app: build, run, push, pull by digest", async () => {
    const context = join(directory, "my-app");
    await ok("build", "-t", "my-app", context);
    const { stdout, stderr } = await client(["build", "-t", "my-app", context]);
    expect((stdout + stderr).match(/Using cache|^#\d+ CACHED$/gm)).toHaveLength(4);
    await ok("pull", "ubuntu:20.04");
    const id = await ok("run", "-d", "--name", "my-app", "-p", "80", "my-app");
    const port = (await ok("port", "my-app", "80")).split("\n")[0]!.split(":").at(-1);
    await until(async () => (await page(port)).startsWith(`Hello from ${id.slice(0, 12)}`), "the page");
    expect(await ok("ps", "--format", "{{.Image}} {{.Names}}")).toBe("my-app my-app");
    expect((await ok("images", "--format", "{{.Repository}}")).split("\n")).toContain("my-app");
    await ok("stop", "-t", "1", "my-app");
    await ok("rm", "my-app");
    const remote = `${registry.address}/my-app`;
    await ok("tag", "my-app", remote);
    await ok("push", remote);
    const digest = await ok("inspect", "-f", "{{index .RepoDigests 0}}", remote);
    await ok("rmi", remote);
    expect(await ok("pull", digest)).toContain(digest.split("@")[1]!);
    await ok("rmi", digest);
  }, 300_000);

  test("a network where names resolve, and a volume that stays", async () => {
    await ok("network", "create", "my-net");
    const serve = 'echo "hello from one" >/tmp/index.html; httpd -f -p 80 -h /tmp';
    await ok("run", "-d", "--name", "one", "--network", "my-net", "busybox", "sh", "-c", serve);
    const ask = "for i in $(seq 100); do wget -qO- http://one/ && exit; sleep 0.2; done; exit 1";
    expect(await ok("run", "--rm", "--network", "my-net", "busybox", "sh", "-c", ask)).toBe("hello from one");
    await ok("rm", "-f", "one");
    await ok("network", "rm", "my-net");
    await ok("volume", "create", "my-volume");
    await ok(
      "run",
      "--rm",
      "-v",
      "my-volume:/app/data",
      "busybox",
      "sh",
      "-c",
      "echo kept >/app/data/written",
    );
    expect(await ok("run", "--rm", "-v", "my-volume:/app/data", "busybox", "cat", "/app/data/written")).toBe(
      "kept",
    );
    await ok("volume", "rm", "my-volume");
  });

  test("multi-stage", async () => {
    await ok("build", "-t", "multi-stage", join(directory, "multi-stage"));
    await ok("run", "-d", "--name", "pages", "-p", "8080", "multi-stage");
    const port = (await ok("port", "pages", "8080")).split("\n")[0]!.split(":").at(-1);
    await until(async () => (await page(port)).includes("Two stages"), "the page");
    expect(await ok("exec", "pages", "id", "-u")).toBe("1000");
    await ok("rm", "-f", "pages");
  });
});

test("compose: a web page that counts its visits in redis", async () => {
  const compose = (...args: string[]) =>
    daemon.gantry(["compose", ...args], { cwd: join(directory, "compose") });
  // Port 5000 may be taken on this machine.
  const file = join(directory, "compose/docker-compose.yml");
  writeFileSync(file, readFileSync(file, "utf8").replace("5000:5000", "5000"));
  expect(await compose("up", "-d")).toMatchObject({ code: 0 });
  const port = (await compose("port", "web", "5000")).stdout.trim().split(":").at(-1);
  await until(async () => (await page(port)).includes("I have been seen"), "the page");
  const count = async () => Number(/seen (\d+) times/.exec(await page(port))?.[1]);
  const first = await count();
  expect(await count()).toBe(first + 1);
  expect((await compose("ps", "--services")).stdout.split("\n").filter(Boolean).sort()).toEqual([
    "redis",
    "web",
  ]);
  await until(async () => (await compose("logs", "web")).stdout.includes("GET / HTTP/1.1"), "its log");
  expect(await compose("down", "-t", "1")).toMatchObject({ code: 0 });
  expect(await daemon.ok(["ps", "-aq"])).toBe("");
}, 300_000);
