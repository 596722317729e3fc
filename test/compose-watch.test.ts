/** `compose watch` and `up --watch` against a real daemon: containers follow what is written here. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { executable, TestDaemon, until } from "./support/daemon.ts";

let daemon: TestDaemon;
let root: string;
beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), "gt-compose-watch-"));
  daemon = await TestDaemon.start();
});
afterAll(async () => {
  await daemon?.[Symbol.asyncDispose]();
  rmSync(root, { recursive: true, force: true });
});

const compose = (...args: string[]) => daemon.gantry(["compose", ...args], { cwd: root });
const inWeb = async (...command: string[]) => (await compose("exec", "-T", "web", ...command)).stdout;

/** A command that goes on; `said` is all of its output so far. */
function begin(...args: string[]) {
  const child = Bun.spawn([executable, "compose", ...args], {
    cwd: root,
    env: { ...process.env, GANTRY_HOST: daemon.host },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const output = { said: "" };
  const read = async (stream: ReadableStream<Uint8Array>) => {
    for await (const chunk of stream) output.said += new TextDecoder().decode(chunk);
  };
  const over = Promise.all([read(child.stdout), read(child.stderr)]);
  return {
    says: (text: string) => until(() => output.said.includes(text), text),
    output,
    async end(): Promise<number> {
      child.kill("SIGINT");
      await over;
      return child.exited;
    },
  };
}

const file = (path: string, text: string) => writeFileSync(join(root, path), text);

test("files are synchronized, containers restarted, and images built as their files change", async () => {
  mkdirSync(join(root, "src"));
  file("src/first", "before\n");
  file("config", "one\n");
  file(
    "Dockerfile",
    'FROM busybox\nCOPY built /built\nCMD ["sh", "-c", "date +%s%N > /started; exec sleep 1000"]\n',
  );
  file("built", "1\n");
  file(
    "compose.yaml",
    `
name: watched
services:
  web:
    build: .
    init: true
    stop_grace_period: 0s
    develop:
      watch:
        - { path: src, action: sync, target: /app, ignore: ["*.log"], initial_sync: true }
        - { path: config, action: sync+restart, target: /etc/config }
        - { path: seed, action: sync+exec, target: /seed, exec: { command: cp /seed /seeded } }
        - { path: built, action: rebuild }
`,
  );
  const watching = begin("watch");
  try {
    await watching.says("Watch enabled");
    await until(async () => (await inWeb("cat", "/app/first")) === "before\n", "the first copy");

    mkdirSync(join(root, "src/new"));
    file("src/new/deep", "deep\n");
    file("src/first", "after\n");
    file("src/no.log", "no\n");
    await until(
      async () => (await inWeb("cat", "/app/new/deep", "/app/first")) === "deep\nafter\n",
      "the copies",
    );
    rmSync(join(root, "src/new"), { recursive: true });
    await until(async () => (await inWeb("ls", "/app")) === "first\n", "the removal");

    const started = await inWeb("cat", "/started");
    file("config", "two\n");
    await watching.says('service(s) ["web"] restarted');
    await until(async () => ![started, ""].includes(await inWeb("cat", "/started")), "the restart");
    expect(await inWeb("cat", "/etc/config")).toBe("two\n");

    file("seed", "sown\n");
    await until(async () => (await inWeb("cat", "/seeded")) === "sown\n", "the command");

    file("built", "2\n");
    await until(async () => (await inWeb("cat", "/built")) === "2\n", "the new image");
    expect(watching.output.said).toContain('Rebuilding service(s) ["web"] after changes were detected...');
    const dangling = () => daemon.ok(["images", "-q", "--filter", "dangling=true"]);
    await until(async () => (await dangling()) === "", "the old image to be pruned");
  } finally {
    expect(await watching.end()).toBe(130);
  }
});

test("up --watch shows the output of containers that are made again, and stops them in the end", async () => {
  const up = begin("up", "--watch");
  try {
    await up.says("Watch enabled");
    file("Dockerfile", 'FROM busybox\nCOPY built /built\nCMD ["sh", "-c", "cat /built; exec sleep 1000"]\n');
    file("built", "third\n");
    await up.says("web-1  | third\n");
  } finally {
    expect(await up.end()).toBe(130);
  }
  expect(await daemon.ok(["ps", "-q"])).toBe("");
  await compose("down", "-t", "0", "-v");
});

test("what can't be watched is told", async () => {
  file(
    "compose.yaml",
    "services:\n  web:\n    image: busybox\n    develop:\n      watch:\n        - { path: a, action: sync }\n        - { path: a, action: rebuild }\n",
  );
  const { code, stderr } = await compose("watch");
  expect(code).toBe(1);
  expect(stderr).toMatch(/compose\.yaml:6:\d+: .*the action sync, which needs a target/);
  expect(stderr).toMatch(/compose\.yaml:7:\d+: .*the action rebuild, but no build section/);
  file("compose.yaml", "services: { web: { image: busybox } }\n");
  for (const words of [["watch"], ["up", "-w"]])
    expect((await compose(...words)).stderr).toContain(
      "none of the selected services is configured for watch",
    );
  expect((await compose("up", "-d", "-w")).stderr).toContain("--detach cannot be combined with");
});
