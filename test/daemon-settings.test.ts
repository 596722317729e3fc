/** dockerd's settings: what each does, what is refused, what is read again at SIGHUP. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { executable, removeGroups, TestDaemon, until } from "./support/daemon.ts";

const scratch = mkdtempSync(join(tmpdir(), "gt-"));
afterAll(() => rmSync(scratch, { recursive: true }));

/** An OCI runtime that notes how it's called and hands on to another. */
const calls = join(scratch, "calls");
const wrapper = join(scratch, "wrapper");
writeFileSync(wrapper, `#!/bin/sh\necho "$@" >> ${calls}\n[ "$1" = --mark ] && shift\nexec runc "$@"\n`);
chmodSync(wrapper, 0o755);

describe("runtimes", () => {
  let daemon: TestDaemon;
  const config = {
    runtimes: { wrapped: { path: wrapper, runtimeArgs: ["--mark"] } },
    labels: ["before=1"],
  };
  beforeAll(async () => {
    daemon = await TestDaemon.start({ config });
  });
  afterAll(() => daemon?.[Symbol.asyncDispose]());
  const runtimeOf = (name: string) => daemon.ok(["inspect", "-f", "{{.HostConfig.Runtime}}", name]);

  test("a container gets the runtime that it asks for, for its whole life", async () => {
    await daemon.ok(["run", "-d", "--name", "box", "--runtime", "wrapped", "busybox", "sleep", "1000"]);
    expect(await runtimeOf("box")).toBe("wrapped");
    expect(readFileSync(calls, "utf8")).toMatch(/^--mark --root \S+ run /m);
    await daemon.crash();
    await daemon.boot();
    expect(await daemon.ok(["exec", "box", "echo", "here"])).toBe("here");
    expect(readFileSync(calls, "utf8")).toMatch(/^--mark --root \S+ exec /m);
    await daemon.ok(["rm", "-f", "box"]);
    for (const runtime of ["crun", "runc"])
      expect(await daemon.ok(["run", "--rm", "--runtime", runtime, "busybox", "echo", runtime])).toBe(
        runtime,
      );
    const unknown = await daemon.docker(["run", "--rm", "--runtime", "nothing", "busybox", "true"]);
    expect(unknown.stderr).toContain("unknown or invalid runtime name: nothing");
    expect(Object.keys(JSON.parse(await daemon.ok(["info", "-f", "{{json .Runtimes}}"])))).toContain(
      "wrapped",
    );
  });

  test("SIGHUP: the file is read again, an event tells so; a wrong one changes nothing", async () => {
    const info = async (field: string) => daemon.ok(["info", "-f", `{{json .${field}}}`]);
    const write = (content: object) =>
      writeFileSync(join(daemon.root, "daemon.json"), JSON.stringify(content));
    const since = String(Date.now() / 1000);
    write({
      ...config,
      labels: ["after=2"],
      debug: true,
      "default-runtime": "wrapped",
      "registry-mirrors": ["http://127.0.0.1:9"],
    });
    process.kill(daemon.pid, "SIGHUP");
    await until(async () => (await info("Labels")) === '["after=2"]', "the new label");
    expect(await info("Debug")).toBe("true");
    expect(await info("DefaultRuntime")).toBe('"wrapped"');
    expect(await info("RegistryConfig.Mirrors")).toBe('["http://127.0.0.1:9"]');
    const event = JSON.parse(
      await daemon.ok([
        "events",
        "--since",
        since,
        "--until",
        String(Date.now() / 1000),
        "--filter",
        "event=reload",
        "--format",
        "{{json .}}",
      ]),
    );
    expect(event).toMatchObject({
      Type: "daemon",
      Action: "reload",
      Actor: { Attributes: { labels: '["after=2"]', "default-runtime": "wrapped" } },
    });
    await daemon.ok(["create", "--name", "box", "busybox", "true"]);
    expect(await runtimeOf("box")).toBe("wrapped");
    await daemon.ok(["rm", "box"]);
    const refusals = () => (daemon.log().match(/cannot reload/g) ?? []).length;
    const wrongs = [
      { "default-runtime": "gone" },
      { "insecure-registries": ["1.2.3.4/99"] },
      { nonsense: 1 },
    ];
    for (const [index, wrong] of wrongs.entries()) {
      write({ labels: ["never=3"], ...wrong });
      process.kill(daemon.pid, "SIGHUP");
      await until(() => refusals() === index + 1, "a refusal");
    }
    expect(await info("Labels")).toBe('["after=2"]');
    expect(await info("DefaultRuntime")).toBe('"wrapped"');
    expect(await info("RegistryConfig.Mirrors")).toBe('["http://127.0.0.1:9"]');
  });
});

test("--bridge none: no default bridge, and who names no network has the loopback", async () => {
  await using daemon = await TestDaemon.start({ flags: ["--bridge", "none"] });
  expect((await daemon.ok(["network", "ls", "--format", "{{.Name}}"])).split("\n")).toEqual(["host", "none"]);
  const links = ["busybox", "ls", "/sys/class/net"];
  expect(await daemon.ok(["run", "--rm", ...links])).toBe("lo");
  const refused = await daemon.gantry(["run", "--rm", "--network", "bridge", ...links]);
  expect(refused.stderr).toContain("network bridge not found");
  await daemon.ok(["network", "create", "own"]);
  expect(await daemon.ok(["run", "--rm", "--network", "own", ...links])).toBe("eth0\nlo");
  await daemon.ok(["network", "rm", "own"]);
  const built = await daemon.gantry(["build", "-q", "-"], {
    stdin: "FROM busybox\nRUN ls /sys/class/net > /links\n",
  });
  expect(await daemon.ok(["run", "--rm", built.stdout.trim(), "cat", "/links"])).toBe("lo");
});

test("what containers get that say nothing", async () => {
  const profile = join(scratch, "profile.json");
  writeFileSync(
    profile,
    JSON.stringify({
      defaultAction: "SCMP_ACT_ALLOW",
      syscalls: [{ names: ["mkdir", "mkdirat"], action: "SCMP_ACT_ERRNO", errnoRet: 1 }],
    }),
  );
  const parent = `gantry/settings-${process.pid}`;
  // Ended after the daemon, whose containers are in it.
  using _parent = { [Symbol.dispose]: () => removeGroups(parent) };
  await using daemon = await TestDaemon.start({
    flags: [
      "--ip",
      "127.0.0.1",
      "--icc=false",
      "--host-gateway-ip",
      "192.0.2.7",
      "--cgroup-parent",
      `/${parent}`,
    ],
    config: {
      mtu: 1400,
      "dns-opts": ["timeout:7"],
      "dns-search": ["a.example"],
      "default-ipc-mode": "shareable",
      "default-cgroupns-mode": "private",
      "no-new-privileges": true,
      "seccomp-profile": profile,
      "live-restore": true,
      "max-concurrent-downloads": 3,
    },
  });
  const script = `cat /etc/resolv.conf /etc/hosts /proc/self/cgroup /sys/class/net/eth0/mtu; grep NoNewPrivs /proc/self/status; mkdir /x`;
  const run = [
    "run",
    "-d",
    "--name",
    "box",
    "-p",
    "80",
    "--add-host",
    "far:host-gateway",
    "busybox",
    "sh",
    "-c",
    `${script}; exec sleep 1000`,
  ];
  await daemon.ok(run);
  const log = async () => {
    const { stdout, stderr } = await daemon.gantry(["logs", "box"]);
    return stdout + stderr;
  };
  await until(async () => (await log()).includes("mkdir"), "the script's end");
  const said = await log();
  for (const line of [
    "options timeout:7",
    "search a.example",
    "192.0.2.7\tfar",
    "1400",
    "NoNewPrivs:\t1",
    "Operation not permitted",
  ])
    expect(said).toContain(line);
  expect(said).not.toContain(parent);
  expect(await daemon.ok(["port", "box", "80"])).toStartWith("127.0.0.1:");
  const host = JSON.parse(await daemon.ok(["inspect", "-f", "{{json .HostConfig}}", "box"]));
  expect(host).toMatchObject({
    IpcMode: "shareable",
    CgroupnsMode: "private",
    CgroupParent: `/${parent}`,
  });
  const pid = await daemon.ok(["inspect", "-f", "{{.State.Pid}}", "box"]);
  expect(readFileSync(`/proc/${pid}/cgroup`, "utf8")).toContain(`/${parent}/`);
  const address = await daemon.ok(["inspect", "-f", "{{.NetworkSettings.IPAddress}}", "box"]);
  expect((await daemon.gantry(["run", "--rm", "busybox", "ping", "-c1", "-W1", address])).code).toBe(1);
  expect(daemon.log()).toContain("warning: max-concurrent-downloads has no effect here");
  expect(daemon.log()).not.toContain("live-restore");
  const security: string[] = JSON.parse(await daemon.ok(["info", "-f", "{{json .SecurityOptions}}"]));
  expect(security.filter((option) => option !== "name=apparmor")).toEqual([
    `name=seccomp,profile=${profile}`,
    "name=cgroupns",
    "name=no-new-privileges",
  ]);
  await daemon.ok(["rm", "-f", "box"]);
});

test.each([
  [{ "selinux-enabled": true }, "selinux-enabled true is not supported: SELinux labels are not set"],
  [{ iptables: false }, "iptables false is not supported"],
  [
    { "exec-opts": ["native.cgroupdriver=systemd"] },
    "is not supported: cgroups are made by the engine itself; the driver systemd needs systemd as process 1",
  ],
  [{ "authorization-plugins": ["x"] }, "there are no plugins"],
  [{ "storage-driver": "btrfs" }, "images and containers are kept by overlayfs"],
  [{ "default-ipc-mode": "host" }, "invalid --default-ipc-mode host: private or shareable is wanted"],
  [
    { runtimes: { shim: { runtimeType: "io.containerd.runsc.v1" } } },
    "containerd's shims (runtimeType) are not used",
  ],
  [{ "seccomp-profile": "/nowhere.json" }, "opening seccomp profile (/nowhere.json) failed"],
  [{ "no-such-key": 1 }, "no-such-key: no such setting"],
  [
    { "selinux-enabled": false, iptables: true, "storage-driver": "overlay2", features: { buildkit: true } },
    "",
  ],
])("%j", (config, words) => {
  const file = join(scratch, "daemon.json");
  writeFileSync(file, JSON.stringify(config));
  const { exitCode, stderr } = Bun.spawnSync([executable, "daemon", "--validate", "--config-file", file]);
  expect(stderr.toString()).toContain(words);
  expect(exitCode).toBe(words === "" ? 0 : 1);
});
