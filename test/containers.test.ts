/** The life of containers, as people drive it: our CLI and the real docker CLI against a real engine. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Result, TestDaemon, until } from "./support/daemon.ts";
import { recentDocker } from "./support/docker-cli.ts";

let daemon: TestDaemon;
beforeAll(async () => {
  daemon = await TestDaemon.start();
});
afterAll(async () => {
  await daemon?.[Symbol.asyncDispose]();
});

type Client = (args: string[], options?: { stdin?: string }) => Promise<Result>;
const clients: [string, Client][] = [["gantry", (args, options) => daemon.gantry(args, options)]];
if (recentDocker) clients.push(["docker", (args, options) => daemon.docker(args, options)]);

describe.each(clients)("%s", (name, client) => {
  const c = (suffix: string) => `${name}-${suffix}`;

  test("run --rm prints output and leaves nothing", async () => {
    const result = await client([
      "run",
      "--rm",
      "--name",
      c("once"),
      "busybox",
      "sh",
      "-c",
      "echo out; echo err >&2",
    ]);
    expect(result).toEqual({ code: 0, stdout: "out\n", stderr: "err\n" });
    expect((await client(["ps", "-aq", "--filter", `name=${c("once")}`])).stdout).toBe("");
  });

  test("exit codes: the process's own, 127 for no such command, 126 for no program", async () => {
    expect((await client(["run", "--rm", "busybox", "sh", "-c", "exit 37"])).code).toBe(37);
    const missing = await client(["run", "--rm", "busybox", "no-such-command"]);
    expect(missing.code).toBe(127);
    expect(missing.stderr).toContain('exec: "no-such-command": executable file not found in $PATH');
    expect((await client(["run", "--rm", "busybox", "/etc"])).code).toBe(126);
    expect((await client(["run", "--rm", "--init", "busybox", "sh", "-c", "kill -9 $$"])).code).toBe(137);
  });

  test("stdin goes through and ends", async () => {
    const text = "line\n".repeat(20_000);
    const result = await client(["run", "--rm", "-i", "busybox", "sh", "-c", "cat; echo end"], {
      stdin: text,
    });
    expect(result.code).toBe(0);
    expect(result.stdout).toBe(`${text}end\n`);
  });

  test("start, stop, restart, kill, rename, wait, rm", async () => {
    const id = (
      await client([
        "run",
        "-d",
        "--name",
        c("life"),
        "busybox",
        "sh",
        "-c",
        "trap 'exit 5' TERM; echo ready; while :; do sleep 0.05; done",
      ])
    ).stdout.trim();
    expect(id).toMatch(/^[0-9a-f]{64}$/);
    const status = async () =>
      (await client(["inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", id])).stdout.trim();
    expect(await status()).toBe("running 0");
    // Until the shell knows what to do, the kernel keeps the signal from a namespace's first process.
    await until(async () => (await client(["logs", id])).stdout === "ready\n", "the trap");
    expect((await client(["rm", id])).stderr).toContain(
      "container is running: stop the container before removing or force remove",
    );
    expect((await client(["stop", id])).stdout.trim()).toBe(id);
    expect(await status()).toBe("exited 5");
    await client(["start", id]);
    await client(["restart", "-t", "1", id]);
    expect(await status()).toBe("running 0");
    await client(["rename", c("life"), c("renamed")]);
    const waiting = client(["wait", c("renamed")]);
    await Bun.sleep(200);
    await client(["kill", "-s", "KILL", c("renamed")]);
    expect((await waiting).stdout.trim()).toBe("137");
    expect((await client(["rm", c("renamed")])).code).toBe(0);
    expect((await client(["inspect", id])).code).toBe(1);
  });

  test("exec: output, code, user, environment, directory", async () => {
    await client(["run", "-d", "--name", c("exec"), "-e", "A=1", "busybox", "sleep", "1000"]);
    const result = await client([
      "exec",
      "-e",
      "B=2",
      "-w",
      "/tmp",
      "-u",
      "nobody",
      c("exec"),
      "sh",
      "-c",
      "echo $A $B $PWD $(id -u); exit 9",
    ]);
    expect(result).toEqual({ code: 9, stdout: "1 2 /tmp 65534\n", stderr: "" });
    expect((await client(["exec", c("exec"), "no-such-command"])).code).toBe(127);
    expect((await client(["exec", "-i", c("exec"), "cat"], { stdin: "through" })).stdout).toBe("through");
    expect((await client(["top", c("exec")])).stdout).toContain("sleep 1000");
    await client(["rm", "-f", c("exec")]);
    expect((await client(["exec", c("exec"), "true"])).stderr).toContain(`No such container: ${c("exec")}`);
  });

  test("logs: tail, timestamps, since, follow", async () => {
    await client([
      "run",
      "-d",
      "--name",
      c("logs"),
      "busybox",
      "sh",
      "-c",
      "for i in 1 2 3; do echo line $i; done; echo bad >&2; sleep 1; echo last",
    ]);
    const follow = await client(["logs", "-f", c("logs")]);
    expect(follow.stdout).toBe("line 1\nline 2\nline 3\nlast\n");
    expect(follow.stderr).toBe("bad\n");
    expect((await client(["logs", "--tail", "1", c("logs")])).stdout).toBe("last\n");
    expect((await client(["logs", "-t", "--tail", "1", c("logs")])).stdout).toMatch(
      /^\d{4}-\d\d-\d\dT[\d:.]+Z last\n$/,
    );
    expect((await client(["logs", "--since", "2099-01-01T00:00:00Z", c("logs")])).stdout).toBe("");
    await client(["rm", c("logs")]);
  });

  test("pause and unpause", async () => {
    await client(["run", "-d", "--name", c("pause"), "busybox", "sleep", "1000"]);
    await client(["pause", c("pause")]);
    expect(
      (await client(["ps", "--filter", `name=${c("pause")}`, "--format", "{{.Status}}"])).stdout,
    ).toContain("(Paused)");
    expect((await client(["exec", c("pause"), "true"])).stderr).toContain("is paused");
    await client(["unpause", c("pause")]);
    expect((await client(["exec", c("pause"), "echo", "back"])).stdout).toBe("back\n");
    await client(["rm", "-f", c("pause")]);
  });

  test("cp into and out of a container", async () => {
    const directory = mkdtempSync(join(tmpdir(), "gt-cp-"));
    try {
      writeFileSync(join(directory, "in.txt"), "copied");
      await client(["create", "--name", c("cp"), "busybox", "true"]);
      expect((await client(["cp", join(directory, "in.txt"), `${c("cp")}:/tmp/there.txt`])).code).toBe(0);
      expect((await client(["cp", `${c("cp")}:/tmp/there.txt`, join(directory, "out.txt")])).code).toBe(0);
      expect(await Bun.file(join(directory, "out.txt")).text()).toBe("copied");
      expect((await client(["diff", c("cp")])).stdout).toBe("C /tmp\nA /tmp/there.txt\n");
      expect((await client(["cp", `${c("cp")}:/nowhere`, directory])).stderr).toContain(
        "Could not find the file /nowhere in container",
      );
    } finally {
      await client(["rm", c("cp")]);
      rmSync(directory, { recursive: true });
    }
  });

  test("limits and security as asked", async () => {
    const show =
      "cat /proc/self/status | grep -E 'NoNewPrivs|Seccomp:|CapEff'; cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/pids/pids.max 2>/dev/null || cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/pids.max";
    const plain = await client(["run", "--rm", "busybox", "sh", "-c", show]);
    expect(plain.stdout).toContain("Seccomp:\t2");
    expect(plain.stdout).toContain("CapEff:\t00000000a80425fb");
    const limited = await client([
      "run",
      "--rm",
      "-m",
      "64m",
      "--pids-limit",
      "50",
      "--security-opt",
      "no-new-privileges",
      "--cap-drop",
      "ALL",
      "busybox",
      "sh",
      "-c",
      show,
    ]);
    expect(limited.stdout).toContain("NoNewPrivs:\t1");
    expect(limited.stdout).toContain("CapEff:\t0000000000000000");
    expect(limited.stdout).toContain("67108864\n50\n");
    expect((await client(["run", "--rm", "--read-only", "busybox", "touch", "/x"])).stderr).toContain(
      "Read-only file system",
    );
    expect((await client(["run", "--rm", "--hostname", "box", "busybox", "hostname"])).stdout).toBe("box\n");
  });

  test("events tell the story", async () => {
    const since = String(Date.now() / 1000);
    await client(["run", "--rm", "--name", c("story"), "busybox", "true"]);
    let story: string[] = [];
    const told = async () => {
      const period = ["--since", since, "--until", String(Date.now() / 1000)];
      const filter = ["--filter", `container=${c("story")}`, "--format", "{{.Action}}"];
      story = (await client(["events", ...period, ...filter])).stdout.trim().split("\n");
      return story.includes("destroy");
    };
    await until(told, () => `the end of ${story}`);
    expect(story).toEqual(["create", "attach", "start", "die", "destroy"]);
  });

  test("info and version", async () => {
    expect((await client(["version", "--format", "{{.Server.APIVersion}}"])).stdout.trim()).toMatch(
      /^1\.\d+$/,
    );
    expect((await client(["info", "--format", "{{.OSType}} {{.Driver}}"])).stdout.trim()).toMatch(
      /^linux overlay/,
    );
  });
});

test("a restart policy brings a container back, and stop ends that", async () => {
  const id = await daemon.ok([
    "run",
    "-d",
    "--restart",
    "always",
    "busybox",
    "sh",
    "-c",
    "sleep 0.1; exit 3",
  ]);
  await until(
    async () => Number(await daemon.ok(["inspect", "-f", "{{.RestartCount}}", id])) >= 2,
    "two restarts",
  );
  await daemon.ok(["stop", "-t", "0", id]);
  await Bun.sleep(500);
  expect(await daemon.ok(["inspect", "-f", "{{.State.Running}}", id])).toBe("false");
  await daemon.ok(["rm", id]);
});

test("a health check turns healthy", async () => {
  const id = await daemon.ok([
    "run",
    "-d",
    "--health-cmd",
    "test -e /tmp/ok",
    "--health-interval",
    "100ms",
    "busybox",
    "sh",
    "-c",
    "sleep 0.5; touch /tmp/ok; sleep 1000",
  ]);
  await until(
    async () => (await daemon.ok(["inspect", "-f", "{{.State.Health.Status}}", id])) === "healthy",
    "healthy",
  );
  await daemon.ok(["rm", "-f", id]);
});

test("a volume outlives its container, and takes the image's files", async () => {
  await daemon.ok(["volume", "create", "kept"]);
  await daemon.ok(["run", "--rm", "-v", "kept:/etc", "busybox", "sh", "-c", "echo data >/etc/written"]);
  expect(await daemon.ok(["run", "--rm", "-v", "kept:/data:ro", "busybox", "cat", "/data/written"])).toBe(
    "data",
  );
  expect(await daemon.ok(["run", "--rm", "-v", "kept:/data", "busybox", "cat", "/data/group"])).toContain(
    "nogroup",
  );
  expect(
    (await daemon.gantry(["run", "--rm", "-v", "kept:/data:ro", "busybox", "touch", "/data/x"])).stderr,
  ).toContain("Read-only file system");
  await daemon.ok(["volume", "rm", "kept"]);
});
