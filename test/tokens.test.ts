/** Tokens of the API, by both command lines: who is asked for one, and what each sees and may do. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { busyboxArchive } from "./support/busybox.ts";
import { run, TestDaemon } from "./support/daemon.ts";

const daemon = new TestDaemon();
const guarded = `unix://${join(daemon.root, "guarded")}`;
daemon.flags.push("-H", guarded, "--require-token", guarded);

beforeAll(async () => {
  await daemon.boot();
  await daemon.ok(["load", "-q", "-i", busyboxArchive()]);
  await daemon.ok(["build", "-q", "-t", "blue", "--label", "team=blue", "-"], { stdin: "FROM busybox\n" });
  await daemon.ok(["run", "-d", "--name", "theirs", "busybox", "top"]);
});
afterAll(() => daemon[Symbol.asyncDispose]());

const secretOf = (...args: string[]) => daemon.ok(["token", "create", ...args]);
const as = (secret: string, ...args: string[]) =>
  daemon.gantry(args, { env: { GANTRY_HOST: guarded, GANTRY_TOKEN: secret } });

test("a guarded socket serves nobody without a token; the other one asks for none", async () => {
  const without = await as("", "ps");
  expect(without.code).toBe(1);
  expect(without.stderr).toContain("a token is required here");
  expect((await as("gantry_wrong", "ps")).stderr).toContain("invalid or expired token");
  const secret = await secretOf("everything");
  expect((await as(secret, "ps", "--format", "{{.Names}}")).stdout).toBe("theirs\n");
  expect(readFileSync(join(daemon.dataRoot, "gantry.db")).includes(secret)).toBe(false);
  expect(daemon.log()).not.toContain(secret);
});

test("read-only looks, and takes nothing out", async () => {
  const secret = await secretOf("--read-only", "reader");
  expect((await as(secret, "inspect", "-f", "{{.State.Status}}", "theirs")).stdout).toBe("running\n");
  expect((await as(secret, "logs", "theirs")).code).toBe(0);
  const kept = [
    ["kill", "theirs"],
    ["run", "-d", "busybox", "top"],
    ["exec", "theirs", "true"],
    ["cp", "theirs:/etc/passwd", "-"],
    ["export", "theirs"],
    ["save", "busybox"],
    ["token", "ls"],
    ["volume", "create", "v"],
  ];
  for (const args of kept) {
    const { code, stderr } = await as(secret, ...args);
    expect(code).not.toBe(0);
    expect(stderr).toContain("token reader is read-only and does not allow");
  }
  expect(await daemon.ok(["inspect", "-f", "{{.State.Status}}", "theirs"])).toBe("running");
});

test("a label: a world of its own, with the whole life of a container", async () => {
  const secret = await secretOf("--label", "team=blue", "blue");
  const blue = (...args: string[]) => as(secret, ...args);
  const ok = async (...args: string[]) => {
    const result = await blue(...args);
    if (result.code !== 0) throw new Error(`${args.join(" ")}: ${result.stderr}`);
    return result.stdout.trimEnd();
  };
  expect(await ok("ps", "-aq")).toBe("");
  expect(await ok("images", "--format", "{{.Repository}}")).toBe("blue");
  await ok("volume", "create", "data");
  await ok("network", "create", "own");
  await ok("run", "-d", "--name", "mine", "--network", "own", "-v", "data:/data", "-m", "64m", "blue", "top");
  expect(await ok("ps", "--format", "{{.Names}} {{.Label `team`}}")).toBe("mine blue");
  expect(await ok("exec", "mine", "echo", "hello")).toBe("hello");
  expect(await ok("run", "--rm", "--label", "team=red", "blue", "echo", "attached")).toBe("attached");
  expect(await ok("cp", "mine:/etc/hostname", "-")).toContain("hostname");
  const events = await ok("events", "--since", "1m", "--until", "0s", "--format", "{{json .Actor}}");
  expect(events).toContain('"name":"mine"');
  expect(events).not.toContain("theirs");
  expect(await ok("network", "ls", "--format", "{{.Name}}")).toBe("own");
  expect(await ok("volume", "ls", "-q")).toBe("data");
  for (const args of [["inspect"], ["rm"], ["logs"], ["stop"], ["why"]]) {
    const { code, stderr } = await blue(...args, "theirs");
    expect({ args, code }).toEqual({ args, code: 1 });
    expect(stderr.toLowerCase()).toContain("no such");
  }
  const refused = [
    ["run", "--privileged", "blue", "true"],
    ["run", "-v", "/:/host", "blue", "true"],
    ["run", "--network", "host", "blue", "true"],
    ["run", "busybox", "true"],
    ["exec", "--privileged", "mine", "true"],
    ["build", "-q", "-"],
    ["tag", "blue", "busybox"],
    ["token", "create", "more"],
  ];
  for (const args of refused) expect((await blue(...args)).code).not.toBe(0);
  await ok("rm", "-f", "mine");
  await ok("network", "prune", "-f");
  await ok("volume", "rm", "data");
  expect(await daemon.ok(["ps", "--format", "{{.Names}}"])).toBe("theirs");
});

test("the docker CLI sends it as a header of its configuration", async () => {
  const secret = await secretOf("--label", "team=blue", "dockers");
  const config = join(daemon.root, "with-token");
  mkdirSync(config);
  const headers = { Authorization: `Bearer ${secret}` };
  writeFileSync(join(config, "config.json"), JSON.stringify({ HttpHeaders: headers }));
  const docker = (...args: string[]) =>
    run(["docker", "-H", guarded, ...args], { env: { DOCKER_CONFIG: config } });
  expect((await docker("run", "--rm", "blue", "echo", "hi")).stdout).toBe("hi\n");
  expect((await docker("ps", "-aq")).stdout).toBe("");
  expect((await docker("run", "--rm", "--pid", "host", "blue", "true")).stderr).toContain("PidMode");
});

test("they are listed without their secrets, end with their time, and can be removed", async () => {
  const short = await secretOf("--expires", "1s", "short");
  const rows = await daemon.ok(["token", "ls", "--format", "{{.Name}} {{.Rights}} {{.Labels}} {{.Expires}}"]);
  expect(rows.split("\n")).toContain("reader read-only  never");
  expect(rows.split("\n")).toContain("blue all team=blue never");
  await Bun.sleep(1100);
  expect((await as(short, "ps")).stderr).toContain("invalid or expired token");
  const gone = await secretOf("gone");
  await daemon.crash();
  await daemon.boot();
  expect((await as(gone, "ps")).code).toBe(0);
  await daemon.ok(["token", "rm", "gone"]);
  expect((await as(gone, "ps")).stderr).toContain("invalid or expired token");
});
