/** Options of `run` that reach over one container: shared memory, links, devices, limits, and what is refused. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Result, TestDaemon, until } from "./support/daemon.ts";
import { recentDocker } from "./support/docker-cli.ts";

let daemon: TestDaemon;
beforeAll(async () => {
  daemon = await TestDaemon.start();
});
afterAll(() => daemon?.[Symbol.asyncDispose]());

const clients: [string, (args: string[]) => Promise<Result>][] = [["gantry", (args) => daemon.gantry(args)]];
if (recentDocker) clients.push(["docker", (args) => daemon.docker(args)]);

describe.each(clients)("%s", (name, client) => {
  const c = (suffix: string) => `${name}-${suffix}`;
  const ok = async (...args: string[]) => {
    const { code, stdout, stderr } = await client(args);
    if (code !== 0) throw new Error(`${args.join(" ")}: ${stderr}`);
    return stdout.trimEnd();
  };
  const sleeper = (suffix: string, ...flags: string[]) =>
    ok("run", "-d", "--name", c(suffix), ...flags, "busybox", "sleep", "1000");

  test("IPC: shared memory with whom it is shared, and with nobody else", async () => {
    await sleeper("donor", "--ipc", "shareable");
    await ok("exec", c("donor"), "sh", "-c", "echo ours > /dev/shm/x");
    expect(await ok("run", "--rm", "--ipc", `container:${c("donor")}`, "busybox", "cat", "/dev/shm/x")).toBe(
      "ours",
    );
    await sleeper("own");
    const refused = await client(["run", "--rm", "--ipc", `container:${c("own")}`, "busybox", "true"]);
    expect(refused.code).toBe(125);
    expect(refused.stderr).toContain("non-shareable IPC");
    const none = await client([
      "run",
      "--rm",
      "--ipc",
      "none",
      "busybox",
      "grep",
      " /dev/shm ",
      "/proc/mounts",
    ]);
    expect(none).toMatchObject({ code: 1, stdout: "" });
    const sized = await ok("run", "--rm", "--shm-size", "2m", "busybox", "df", "-k", "/dev/shm");
    expect(sized).toContain(" 2048 ");
    await ok("rm", "-f", c("donor"), c("own"));
  });

  test("a link on the default bridge: a line in hosts, variables, and another address after a restart", async () => {
    await sleeper("db", "--expose", "5432", "-e", "SECRET=x");
    const address = () => ok("inspect", "-f", "{{.NetworkSettings.IPAddress}}", c("db"));
    const first = await address();
    await sleeper("web", "--link", `${c("db")}:database`);
    expect(await ok("inspect", "-f", "{{json .HostConfig.Links}}", c("web"))).toBe(
      JSON.stringify([`/${c("db")}:/${c("web")}/database`]),
    );
    const hosts = () => ok("exec", c("web"), "grep", "database", "/etc/hosts");
    expect(await hosts()).toStartWith(`${first}\tdatabase `);
    const env = await ok("exec", c("web"), "env");
    expect(env).toContain(`DATABASE_PORT_5432_TCP=tcp://${first}:5432\n`);
    expect(env).toContain(`DATABASE_NAME=/${c("web")}/database\n`);
    expect(env).toContain("DATABASE_ENV_SECRET=x\n");
    // Another container takes the address meanwhile.
    await ok("stop", "-t", "0", c("db"));
    await sleeper("taker");
    await ok("start", c("db"));
    expect(await hosts()).toStartWith(`${await address()}\tdatabase `);
    await ok("rm", "--link", `/${c("web")}/database`);
    expect(await ok("exec", c("web"), "sh", "-c", "grep database /etc/hosts || echo gone")).toBe("gone");
    await ok("rm", "-f", c("web"), c("taker"), c("db"));
    const nobody = await client(["run", "--rm", "--link", "nobody", "busybox", "true"]);
    expect(nobody.code).toBe(125);
    expect(nobody.stderr).toContain("could not get container for nobody: No such container: nobody");
  });

  test("a link on a user-defined network is one more name there", async () => {
    await ok("network", "create", c("net"));
    await sleeper("peer", "--network", c("net"));
    const pinged = await ok(
      ...["run", "--rm", "--network", c("net"), "--link", `${c("peer")}:friend`],
      ...["busybox", "ping", "-c", "1", "friend"],
    );
    expect(pinged).toContain("1 packets received");
    const stranger = await client(["run", "--rm", "--network", c("net"), "busybox", "nslookup", "friend"]);
    expect(stranger.code).not.toBe(0);
    await ok("rm", "-f", c("peer"));
    await ok("network", "rm", c("net"));
  });

  test("paths that Docker hides can be shown when they are asked for", async () => {
    const lines = ["run", "--rm", "--security-opt", "systempaths=unconfined", "busybox"];
    expect(await ok(...lines, "sh", "-c", "grep -c ' /proc/' /proc/mounts || true")).toBe("0");
  });

  test.each([
    [["--memory", "1m"], "Minimum memory limit allowed is 6MB"],
    [["--memory-swap", "100m"], "You should always set the Memory limit when using Memoryswap limit"],
    [["--memory", "10m", "--memory-reservation", "20m"], "can not be less than memory reservation limit"],
    [["--cpuset-cpus", "4095"], "Requested CPUs are not available - requested 4095, available: 0"],
    [["--cpuset-cpus", "x"], "Invalid value x for cpuset cpus"],
    [["--cpu-period", "1"], "CPU cfs period can not be less than 1ms"],
    [["--cpu-quota", "1"], "CPU cfs quota can not be less than 1ms"],
    [["--cpus", "10000"], "as there are only"],
    [["--oom-score-adj", "2000"], "range for oom score adj is [-1000, 1000]"],
    [["--storage-opt", "size=1G"], "--storage-opt is supported only for overlay over xfs"],
    [["--isolation", "hyperv"], "linux only supports 'default'"],
    [["--device", "/no/such"], 'error gathering device information while adding custom device "/no/such"'],
    [["--device", "vendor.example/none=all"], "unresolvable CDI devices vendor.example/none=all"],
    [["--device-read-bps", "/dev/null:1m"], "/dev/null: not a block device"],
    [["--gpus", "all"], 'could not select device driver "" with capabilities: [[gpu]]'],
    [["-w", "relative"], "the working directory 'relative' is invalid, it needs to be an absolute path"],
    [["--stop-signal", "FOO"], "Invalid signal: FOO"],
    [["--cap-add", "FOO"], 'unknown capability: "CAP_FOO"'],
    [["--health-cmd", "x", "--health-interval", "1us"], "Interval in Healthcheck cannot be less than 1ms"],
    [["--ip", "1.2.3.4"], "user specified IP address is supported on user defined networks only"],
    [["-v", "x:/y", "--volume-driver", "other"], 'plugin "other" not found'],
  ])("%j is refused, and nothing is left", async (flags, message) => {
    const refused = await client(["run", "--rm", "--name", c("never"), ...flags, "busybox", "true"]);
    expect(refused.stderr).toContain(message);
    expect(refused.stderr).not.toContain("Error waiting for container");
    // Docker's own client reads "no such file" as a missing command.
    expect(refused.code).toBe(message.includes("custom device") ? 127 : 125);
    expect(await ok("ps", "-aq", "--filter", `name=${c("never")}`)).toBe("");
  });

  test("update keeps what it can't change", async () => {
    await sleeper("limited", "--memory", "64m", "--cpus", "0.5");
    const refused = await client(["update", "--memory", "1m", c("limited")]);
    expect(refused.stderr).toContain("Minimum memory limit allowed is 6MB");
    expect(refused.code).toBe(1);
    expect(await ok("inspect", "-f", "{{.HostConfig.Memory}}", c("limited"))).toBe(String(64 << 20));
    await ok("update", "--memory", "32m", "--memory-swap", "64m", c("limited"));
    expect(await ok("inspect", "-f", "{{.HostConfig.Memory}} {{.HostConfig.NanoCpus}}", c("limited"))).toBe(
      `${32 << 20} 500000000`,
    );
    await ok("rm", "-f", c("limited"));
  });
});

test("a device that its vendor describes brings its node, mounts and variables", async () => {
  const description = {
    cdiVersion: "0.6.0",
    kind: "gantry.test/device",
    containerEdits: { env: ["COMMON=1"] },
    devices: [
      {
        name: "zero",
        containerEdits: {
          env: ["WHICH=zero"],
          deviceNodes: [{ path: "/dev/vendor-zero", hostPath: "/dev/zero", permissions: "r" }],
          mounts: [{ hostPath: "/etc/hostname", containerPath: "/vendor/name", options: ["ro", "bind"] }],
          hooks: [{ hookName: "createRuntime", path: "/bin/true", args: ["true"] }],
        },
      },
    ],
  };
  const wasThere = existsSync("/etc/cdi");
  const file = `/etc/cdi/gantry-test-${process.pid}.json`;
  mkdirSync("/etc/cdi", { recursive: true });
  writeFileSync(file, JSON.stringify(description));
  try {
    const script =
      "echo $COMMON $WHICH; head -c 4 /dev/vendor-zero | wc -c; test -s /vendor/name && echo mounted";
    for (const [, run] of clients) {
      const result = await run([
        "run",
        "--rm",
        "--device",
        "gantry.test/device=zero",
        "busybox",
        "sh",
        "-c",
        script,
      ]);
      expect(result).toEqual({ code: 0, stdout: "1 zero\n4\nmounted\n", stderr: "" });
    }
  } finally {
    rmSync(file);
    if (!wasThere) rmSync("/etc/cdi", { recursive: true });
  }
});

test("why tells who ended a container, and what it said last", async () => {
  const why = (name: string) => daemon.ok(["why", name]);
  await daemon.ok([
    "run",
    "-d",
    "--name",
    "asked",
    "busybox",
    "sh",
    "-c",
    "echo last words; exec sleep 1000",
  ]);
  expect(await why("asked")).toStartWith("asked is running");
  await until(async () => (await daemon.ok(["logs", "asked"])) === "last words", "the last words");
  await daemon.docker(["stop", "-t", "0", "asked"]);
  expect(await why("asked")).toMatch(
    /exit code 137.*\nDocker-Client\/\S+ .*asked to stop it, with SIGTERM; it did not end in time/,
  );
  expect(await why("asked")).toEndWith("Its last output:\n  last words");
  await daemon.gantry(["run", "--name", "failed", "busybox", "sh", "-c", "exit 3"]);
  expect(await why("failed")).toMatch(/exit code 3, after .*second.*\.\nIts program failed on its own\./);
  const hungry = "dd if=/dev/zero of=/dev/shm/big bs=1M count=100";
  await daemon.gantry([
    "run",
    "--name",
    "hungry",
    "-m",
    "16m",
    "--shm-size",
    "200m",
    "busybox",
    "sh",
    "-c",
    hungry,
  ]);
  const figures =
    /The kernel killed .*: more memory was wanted than its limit of 16MiB \(--memory\)\. It had 16MiB at most(, and no| and \S+ of) swap\./;
  expect(await why("hungry")).toMatch(figures);
  await daemon.crash();
  await daemon.boot();
  expect(JSON.parse(await daemon.ok(["why", "--json", "asked"])).Asked.What).toBe("stop");
  expect(await why("hungry")).toMatch(figures);
  await daemon.ok(["rm", "asked", "failed", "hungry"]);
});

test("run --wait returns when the container is healthy, or says why it never will be", async () => {
  const run = (name: string, check: string, script: string, ...flags: string[]) =>
    daemon.gantry([
      ...["run", "-d", "--wait", "--name", name, "--health-cmd", check, "--health-interval", "100ms"],
      ...["--health-retries", "2", ...flags, "busybox", "sh", "-c", script],
    ]);
  const good = await run(
    "good",
    "test -f /ready",
    "sleep 0.3; touch /ready; sleep 1000",
    "--health-start-period",
    "5s",
  );
  expect(good.code).toBe(0);
  expect(await daemon.ok(["inspect", "-f", "{{.State.Health.Status}}", good.stdout.trim()])).toBe("healthy");
  const bad = await run("bad", "echo broken; exit 1", "sleep 1000");
  expect(bad).toMatchObject({ code: 1, stderr: expect.stringContaining("is unhealthy: broken") });
  const gone = await run("gone", "true", "exit 4");
  expect(gone).toMatchObject({ code: 1, stderr: expect.stringContaining("ended with exit code 4") });
  const late = await run("late", "false", "sleep 1000", "--wait-timeout", "1", "--health-retries", "1000");
  expect(late).toMatchObject({ code: 1, stderr: expect.stringContaining("not healthy after 1 seconds") });
  await daemon.ok(["rm", "-f", "good", "bad", "gone", "late"]);
});

test("an unhealthy container is restarted when that is asked for", async () => {
  await daemon.ok([
    ...["run", "-d", "--name", "ill", "--restart-unhealthy", "--health-cmd", "test ! -f /ill"],
    ...["--health-interval", "100ms", "--health-retries", "2", "--stop-timeout", "0", "-v", "lives:/lives"],
    ...["busybox", "sh", "-c", "rm -f /ill; echo life >> /lives/count; sleep 1000"],
  ]);
  const lives = async () =>
    (await daemon.gantry(["exec", "ill", "grep", "-c", "life", "/lives/count"])).stdout.trim();
  await until(async () => (await lives()) === "1", "its first life");
  await daemon.ok(["exec", "ill", "touch", "/ill"]);
  await until(async () => (await lives()) === "2", "its second life");
  const healthy = async () =>
    (await daemon.ok(["inspect", "-f", "{{.State.Health.Status}}", "ill"])) === "healthy";
  await until(healthy, "its health");
  await daemon.ok(["rm", "-f", "-v", "ill"]);
});

test.skipIf(!recentDocker)(
  "a read-only mount is read-only in all that is mounted below it, unless asked otherwise",
  async () => {
    const source = join(daemon.root, "tree");
    mkdirSync(join(source, "inner"), { recursive: true });
    expect(Bun.spawnSync(["mount", "-t", "tmpfs", "tmpfs", join(source, "inner")]).exitCode).toBe(0);
    try {
      writeFileSync(join(source, "inner", "there"), "");
      const script = "touch /m/x 2>/dev/null; touch /m/inner/x 2>/dev/null; ls /m /m/inner; rm -f /m/inner/x";
      const seen = (...mount: string[]) =>
        daemon.docker(["run", "--rm", ...mount, "busybox", "sh", "-c", script]).then(({ stdout }) => stdout);
      const bind = `type=bind,src=${source},dst=/m,readonly`;
      const sealed = "/m:\ninner\n\n/m/inner:\nthere\n";
      expect(await seen("-v", `${source}:/m:ro`)).toBe(sealed);
      expect(await seen("--mount", bind)).toBe(sealed);
      expect(await seen("--mount", `${bind},bind-propagation=rprivate,bind-recursive=readonly`)).toBe(sealed);
      expect(await seen("--mount", `${bind},bind-recursive=writable`)).toBe(
        "/m:\ninner\n\n/m/inner:\nthere\nx\n",
      );
      expect(await seen("--mount", `${bind},bind-recursive=disabled`)).toBe("/m:\ninner\n\n/m/inner:\n");
    } finally {
      Bun.spawnSync(["umount", join(source, "inner")]);
    }
  },
);

test("a tmpfs takes options of its own, and nothing smuggled in", async () => {
  const create = (options: string[][]) =>
    daemon.request("/containers/create", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({
        Image: "busybox",
        Cmd: ["grep", " /t ", "/proc/mounts"],
        HostConfig: { Mounts: [{ Type: "tmpfs", Target: "/t", TmpfsOptions: { Options: options } }] },
      }),
    });
  const { Id } = (await (await create([["exec"], ["nr_inodes", "77"]])).json()) as { Id: string };
  const shown = await daemon.ok(["start", "-a", Id]);
  expect(shown).toContain("nr_inodes=77");
  expect(shown).not.toContain("noexec");
  await daemon.ok(["rm", Id]);
  for (const wrong of [[["size", "1m,uid=5"]], [["a b"]], [[]], [["a", "b", "c"]]])
    expect((await create(wrong)).status).toBe(400);
});

test("mounts are passed on where the source's own mount does so, and refused where not", async () => {
  const source = join(daemon.root, "passes");
  mkdirSync(source);
  const mount = (...args: string[]) => expect(Bun.spawnSync(["mount", ...args]).exitCode).toBe(0);
  const runs = (propagation: string) =>
    daemon.docker(["run", "--rm", "-v", `${source}:/m:${propagation}`, "busybox", "true"]);
  mount("-t", "tmpfs", "tmpfs", source);
  try {
    mount("--make-private", source);
    const words = (kind: string) =>
      `Error response from daemon: path ${source} is mounted on ${source} but it is not ${kind} mount\n`;
    for (const propagation of ["shared", "rshared"])
      expect((await runs(propagation)).stderr).toContain(words("a shared"));
    for (const propagation of ["slave", "rslave"])
      expect((await runs(propagation)).stderr).toContain(words("a shared or slave"));
    expect(await runs("rprivate")).toMatchObject({ code: 0 });
    mount("--make-shared", source);
    for (const propagation of ["rshared", "rslave"])
      expect(await runs(propagation)).toMatchObject({ code: 0, stderr: "" });
  } finally {
    Bun.spawnSync(["umount", "-l", source]);
  }
});

test("a request for GPUs is kept, and refused at the start", async () => {
  await daemon.ok(["create", "--name", "graphics", "--gpus", "all", "busybox", "true"]);
  expect(await daemon.ok(["inspect", "-f", "{{json .HostConfig.DeviceRequests}}", "graphics"])).toContain(
    '"gpu"',
  );
  expect((await daemon.docker(["start", "graphics"])).stderr).toContain(
    'Error response from daemon: could not select device driver "" with capabilities: [[gpu]]',
  );
  await daemon.ok(["rm", "graphics"]);
});
