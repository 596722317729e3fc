/** `--userns-remap`: containers whose root is an unprivileged id on the host, on both OCI runtimes. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { executable, leftMounts, type Result, TestDaemon, until } from "./support/daemon.ts";
import { onInterrupt } from "./support/interrupt.ts";

const first = 1_200_000;
const size = 65_536;
const idFiles = [
  ["/etc/subuid", `nobody:${first}:${size}\n`],
  ["/etc/subgid", `nogroup:${first}:${size}\n`],
] as const;

beforeAll(() => {
  // A range that a killed run has left would overlap: what is there twice maps nothing.
  for (const [file, line] of idFiles) writeFileSync(file, without(file, line) + line);
});
const restore = () => {
  for (const [file, line] of idFiles) writeFileSync(file, without(file, line));
};
const without = (file: string, line: string) => readFileSync(file, "utf8").replaceAll(line, "");
const restored = onInterrupt(restore);
afterAll(() => {
  restore();
  restored();
});

describe.each(["crun", "runc"])("%s", (runtime) => {
  let daemon: TestDaemon;
  beforeAll(async () => {
    daemon = await TestDaemon.start({
      flags: ["--userns-remap", "nobody:nogroup", "--default-runtime", runtime],
    });
  });
  // The containers' root has to reach what is below; another temporary directory is closed to it.
  beforeAll(() => chmodSync(daemon.root, 0o711));
  afterEach(() => daemon.gantry(["rm", "-f", "box", "web"]));
  afterAll(() => daemon?.[Symbol.asyncDispose]());
  const ok = (...args: string[]) => daemon.ok(args);
  const pidOf = async (name: string) => Number(await ok("inspect", "-f", "{{.State.Pid}}", name));
  const ownerOnHost = (pid: number) => {
    const { uid, gid } = statSync(`/proc/${pid}`);
    return [uid, gid];
  };

  test("a process is root inside and nobody in particular outside; files on disk keep the image's owners", async () => {
    await ok("run", "-d", "--name", "box", "busybox", "sleep", "1000");
    const pid = await pidOf("box");
    expect(ownerOnHost(pid)).toEqual([first, first]);
    expect(readFileSync(`/proc/${pid}/uid_map`, "utf8").trim().split(/\s+/)).toEqual([
      "0",
      String(first),
      String(size),
    ]);
    expect(await ok("exec", "box", "sh", "-c", "id -u; stat -c %u:%g /bin/busybox /etc/hosts /dev/shm")).toBe(
      "0\n0:0\n0:0\n0:0",
    );
    // Who owns a device may change its mode for the whole host.
    expect(statSync("/dev/null")).toMatchObject({ uid: 0, gid: 0 });
    // Copied up, made, removed, given away; into sysctls and hosts it may write as root of its namespaces.
    await ok(
      "exec",
      "box",
      "sh",
      "-c",
      "echo x:x:7:7::/:/bin/sh >> /etc/passwd; touch /new; chown 7:8 /new; rm /etc/group; echo 1.2.3.4 far >> /etc/hosts; mkdir /dir",
    );
    const upper = await ok("inspect", "-f", "{{.GraphDriver.Data.UpperDir}}", "box");
    expect(statSync(join(upper, "new"))).toMatchObject({ uid: 7, gid: 8 });
    expect(statSync(join(upper, "etc/passwd")).uid).toBe(0);
    expect((await ok("diff", "box")).split("\n")).toEqual(
      ["C /etc", "D /etc/group", "C /etc/passwd", "A /dir", "A /new"].sort((a, b) =>
        a.slice(2) < b.slice(2) ? -1 : 1,
      ),
    );
    await ok("commit", "box", "changed");
    expect(
      await ok("run", "--rm", "--userns", "host", "changed", "stat", "-c", "%u:%g", "/new", "/etc"),
    ).toBe("7:8\n0:0");
    expect(
      await ok(
        "run",
        "--rm",
        "-u",
        "7:8",
        "changed",
        "sh",
        "-c",
        "id -u; echo out > /dev/stdout; stat -c %u:%g /new",
      ),
    ).toBe("7\nout\n7:8");
    await ok("rm", "-f", "box");
    await ok("rmi", "changed");
  });

  test.each([true, false])(
    "cp and export tell the owners that the container sees (running: %p)",
    async (running) => {
      await ok(
        "run",
        "-d",
        "--name",
        "box",
        "-v",
        "vol:/vol",
        "busybox",
        "sh",
        "-c",
        "touch /mine /vol/v; chown 5:6 /mine /vol/v; sleep 1000",
      );
      await ok("exec", "box", "sh", "-c", "until [ $(stat -c %u /vol/v) = 5 ]; do sleep 0.05; done");
      if (!running) await ok("stop", "-t", "0", "box");
      const owners = async (command: string[], ...flags: string[]) => {
        const tar = await run(command);
        return new Response(
          Bun.spawn(["tar", "--numeric-owner", "-tvf", "-", ...flags], { stdin: tar }).stdout,
        ).text();
      };
      const run = async (command: string[]) =>
        new Blob([
          await new Response(
            Bun.spawn([executable, ...command], { env: { ...process.env, GANTRY_HOST: daemon.host } }).stdout,
          ).arrayBuffer(),
        ]);
      expect(await owners(["cp", "box:/mine", "-"])).toContain(" 5/6 ");
      expect(await owners(["cp", "box:/vol/v", "-"])).toContain(" 5/6 ");
      expect(await owners(["export", "box"], "mine")).toContain(" 5/6 ");
      const tar = join(daemon.root, "in.tar");
      Bun.spawnSync([
        "tar",
        "-C",
        "/etc",
        "--owner=:9",
        "--group=:9",
        "--numeric-owner",
        "-cf",
        tar,
        "hostname",
      ]);
      for (const target of ["/", "/vol"]) {
        const put = await daemon.gantry(["cp", "-a", "-", `box:${target}`], { stdin: Bun.file(tar) });
        expect(put.stderr).toBe("");
      }
      if (!running) await ok("start", "box");
      expect(await ok("exec", "box", "stat", "-c", "%u:%g", "/hostname", "/vol/hostname")).toBe("9:9\n9:9");
      await ok("rm", "-f", "box");
      await ok("volume", "rm", "vol");
    },
  );

  test("volumes are the container root's, host directories stay the host's", async () => {
    const directory = join(daemon.root, "dir");
    writeFileSync(join(daemon.root, "secret"), "x", { mode: 0o600 });
    const seen = await ok(
      "run",
      "--rm",
      "-v",
      "named:/named",
      "-v",
      `${daemon.root}/secret:/secret`,
      "-v",
      `${directory}:/dir`,
      "busybox",
      "sh",
      "-c",
      "stat -c %u /named /secret /dir; touch /named/x; cat /secret || true",
    );
    expect(seen).toBe("0\n65534\n0");
    await ok("volume", "rm", "named");
  });

  test("network, names, TTY, health, init and shared namespaces work", async () => {
    await ok("network", "create", "net");
    // It may not listen yet.
    const ask = "for i in $(seq 100); do wget -qO- http://web/nsswitch.conf && exit; sleep 0.1; done; exit 1";
    await ok(
      "run",
      "-d",
      "--name",
      "web",
      "--network",
      "net",
      "--ipc",
      "shareable",
      "--init",
      "--health-cmd",
      "true",
      "--health-interval",
      "100ms",
      "busybox",
      "httpd",
      "-f",
      "-p",
      "80",
      "-h",
      "/etc",
    );
    expect(await ok("run", "--rm", "--network", "net", "busybox", "sh", "-c", ask)).toContain("hosts:");
    for (const flags of [
      ["--network", "container:web"],
      ["--ipc", "container:web"],
      ["--pid", "container:web"],
    ])
      expect(
        await ok("run", "--rm", ...flags, "busybox", "sh", "-c", "id -u; ls /sys/class/net | grep lo"),
      ).toBe("0\nlo");
    expect(await ok("run", "--rm", "-t", "busybox", "tty")).toBe("/dev/pts/0");
    expect(await ok("run", "--rm", "--network", "none", "busybox", "cat", "/proc/self/uid_map")).toContain(
      String(first),
    );
    await until(
      async () => (await ok("inspect", "-f", "{{.State.Health.Status}}", "web")) === "healthy",
      "the health check",
    );
    await ok("rm", "-f", "web");
    await ok("network", "rm", "net");
  });

  test("what only the host's root can have is refused, unless the host's ids are asked for", async () => {
    const refused = async (...flags: string[]): Promise<Result> =>
      daemon.docker(["run", "--rm", ...flags, "busybox", "true"]);
    for (const [flags, words] of [
      [
        ["--privileged"],
        "privileged mode is incompatible with user namespaces.  You must run the container in the host namespace when running privileged mode",
      ],
      [["--network", "host"], "cannot share the host's network namespace when user namespaces are enabled"],
      [["--pid", "host"], "cannot share the host PID namespace when user namespaces are enabled"],
    ] as const) {
      const { code, stderr } = await refused(...flags);
      expect(stderr).toContain(words);
      expect(code).toBe(125);
      expect(await refused("--userns", "host", ...flags)).toMatchObject({ code: 0 });
    }
    expect(await ok("run", "--rm", "--userns", "host", "busybox", "cat", "/proc/self/uid_map")).toMatch(
      /^\s+0\s+0\s/,
    );
    expect(await ok("info", "-f", "{{json .SecurityOptions}}")).toContain('"name=userns"');
  });

  test("the steps of a build have those ids, and what they make and mount belongs to whom they see", async () => {
    const build = (lines: string[], ...flags: string[]) => {
      const context = mkdtempSync(join(daemon.root, "context-"));
      writeFileSync(join(context, "file"), "from the context\n", { mode: 0o600 });
      writeFileSync(join(context, "Dockerfile"), ["FROM busybox", ...lines].join("\n"));
      return daemon.gantry(["build", "--progress", "plain", "-t", "made", ...flags, context]);
    };
    const secret = join(daemon.root, "secret");
    writeFileSync(secret, "hidden\n");
    const made = await build(
      [
        "RUN cat /proc/self/uid_map && mkdir /mine && echo x > /mine/x && chown -R 7:8 /mine && cat /etc/hosts",
        "FROM busybox",
        "COPY --from=0 /mine /copied",
        "RUN --mount=type=cache,target=/cache --mount=type=bind,target=/context --mount=type=bind,from=0,target=/first \\",
        "  --mount=type=bind,from=0,target=/scratch,rw --mount=type=secret,id=s,uid=5 <<END",
        "set -e",
        "echo kept > /cache/kept; echo over > /scratch/mine/x",
        "stat -c '%n %u:%g' /cache /cache/kept /context/file /first/mine/x /scratch/mine/x /run/secrets/s /etc/hosts /copied/x > /told",
        "cat /context/file /run/secrets/s >> /told",
        "END",
        "RUN --mount=type=cache,target=/cache cat /cache/kept >> /told",
        "RUN --network=none ip -o link | wc -l >> /told",
      ],
      "--secret",
      `id=s,src=${secret}`,
    );
    expect({ code: made.code, log: made.code === 0 ? "" : made.stderr }).toEqual({ code: 0, log: "" });
    expect(made.stderr).toMatch(new RegExp(`^#.* 0 +${first} +${size}$`, "m"));
    expect(await ok("run", "--rm", "--userns", "host", "made", "cat", "/told")).toBe(
      [
        ...["/cache 0:0", "/cache/kept 0:0", "/context/file 0:0", "/first/mine/x 7:8", "/scratch/mine/x 7:8"],
        ...["/run/secrets/s 5:0", "/etc/hosts 0:0", "/copied/x 7:8"],
        ...["from the context", "hidden", "kept", "1"],
      ].join("\n"),
    );
    const files = await ok(
      "run",
      "--rm",
      "--userns",
      "host",
      "made",
      "sh",
      "-c",
      "stat -c %u:%g /told; ls -A /run / | wc -l",
    );
    expect(files.split("\n")[0]).toBe("0:0");
    expect((await build(["RUN --network=host true"])).stderr).toContain(
      "--network=host is not there for steps of an engine with --userns-remap",
    );
    // What is mounted for a step outlives a crash, and what it leads to does too.
    const cut = build(["RUN --mount=type=cache,target=/cache echo more > /cache/more && sleep 1000"]);
    const caches = join(daemon.dataRoot, "build-cache");
    const more = () =>
      readdirSync(caches).some(
        (name) => existsSync(join(caches, name, "more")) && existsSync(join(caches, name, "kept")),
      );
    await until(more, "the step's work");
    await daemon.crash();
    expect((await cut).code).not.toBe(0);
    await daemon.boot();
    expect(more()).toBeTrue();
    expect(leftMounts(daemon.root).filter(({ target }) => target.includes("/x/b/"))).toEqual([]);
    await ok("rmi", "-f", "made");
    await ok("builder", "prune", "-af");
  });

  test("a container goes on through a crash of the daemon, with its ids", async () => {
    await ok("run", "-d", "--name", "box", "--restart", "always", "busybox", "sleep", "1000");
    const pid = await pidOf("box");
    await daemon.crash();
    await daemon.boot();
    expect(await pidOf("box")).toBe(pid);
    expect(await ok("exec", "box", "id", "-u")).toBe("0");
    await ok("restart", "-t", "0", "box");
    expect(ownerOnHost(await pidOf("box"))).toEqual([first, first]);
    await ok("rm", "-f", "box");
  });
});

test("a setting that means nobody is refused at the start", () => {
  const root = mkdtempSync(join(tmpdir(), "gt-"));
  for (const [setting, words] of [
    ["nobody-there", "there is no user nobody-there in /etc/passwd"],
    ["root:", "default, USER or USER:GROUP is wanted"],
    ["daemon", "the user daemon has no subordinate ids in /etc/subuid"],
  ] as const) {
    const args = ["daemon", "--userns-remap", setting, "--data-root", root, "--exec-root", join(root, "x")];
    const { exitCode, stderr } = Bun.spawnSync([executable, ...args, "-H", `unix://${root}/s`]);
    expect(stderr.toString()).toContain(words);
    expect(exitCode).toBe(1);
  }
  rmSync(root, { recursive: true });
});
