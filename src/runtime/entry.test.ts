/** Processes that the monitor itself puts into a container are what crun's exec would make of them, and as safe. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import { containerCapabilities, StartFailure } from "./index.ts";
import { ociJson, ociProcess } from "./spec.ts";
import { collect, RuntimeHarness } from "./testing.ts";
import type { ContainerSpec, ProcessSpec } from "./types.ts";

let box: RuntimeHarness;
beforeAll(async () => {
  box = await RuntimeHarness.open("crun");
});
afterAll(() => box[Symbol.asyncDispose]());

async function byCrun(id: string, args: string[], more: Partial<ProcessSpec> = {}) {
  const file = join(box.directory, `${Bun.randomUUIDv7()}.json`);
  writeFileSync(file, ociJson(ociProcess(box.processSpec(args, more))));
  const child = Bun.spawn(["crun", "--root", join(box.directory, "oci"), "exec", "--process", file, id], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const [stdout, stderr, exitCode] = await Promise.all([
    child.stdout.text(),
    child.stderr.text(),
    child.exited,
  ]);
  return { exitCode, stdout, stderr };
}

/** All that a process can tell of what it was given. */
const probe = `
grep -vE '^(Name|Pid|PPid|Tgid|NS|Ngid|FDSize|State|Vm|Rss|HugetlbPages|SigQ|voluntary|nonvoluntary|Threads|TracerPid|CoreDumping|THP|untag)' /proc/self/status
cat /proc/self/limits /proc/self/cgroup
for name in mnt net ipc pid uts user cgroup time; do ls -l /proc/self/ns/$name | grep -o '[a-z]*:.[0-9]*.$'; done
env
pwd
ls /proc/self/fd
id
busybox stat -c '%U %G' -L /proc/self/fd/1
hostname nope 2>&1
unshare -U true 2>&1
mknod /tmp/node c 1 3 2>&1 && rm /tmp/node
mkdir /tmp/there 2>&1 && busybox rmdir /tmp/there
exit 41`;

const root = { uid: 0, gid: 0, additionalGids: [0, 10], home: "/root" };
const alice = { uid: 1000, gid: 1000, additionalGids: [1000, 50, 10], home: "/home/alice" };
const shares = (...kept: ContainerSpec["namespaces"][number]["type"][]) => ({
  namespaces: kept.map((type) => ({ type })),
});
const noMkdir = {
  defaultAction: "SCMP_ACT_ALLOW",
  syscalls: [{ names: ["mkdir", "mkdirat"], action: "SCMP_ACT_ERRNO", errnoRet: 28 }],
};

describe("the process is the one that crun would have started", () => {
  const cases: [string, Partial<ContainerSpec>, Partial<ProcessSpec>][] = [
    ["root", {}, {}],
    [
      "a user with groups, limits, a directory and a mask",
      {},
      {
        user: { ...alice, umask: 0o027 },
        cwd: "/tmp",
        env: ["PATH=/bin", "A=b c", "HOME=/tmp"],
        rlimits: [
          { type: "RLIMIT_NOFILE", soft: 64, hard: 128, explicit: true },
          { type: "RLIMIT_CORE", soft: 0, hard: 0, explicit: true },
        ],
      },
    ],
    ["no new privileges", {}, { noNewPrivileges: true }],
    ["a user without new privileges", {}, { user: alice, noNewPrivileges: true }],
    ["no capabilities", {}, { capabilities: [] }],
    [
      "a user with more capabilities than the container",
      {},
      {
        user: alice,
        capabilities: containerCapabilities({ add: ["SYS_ADMIN"], drop: [], privileged: false }),
      },
    ],
    [
      "privileged",
      { privileged: true },
      {
        capabilities: containerCapabilities({ add: [], drop: [], privileged: true }),
      },
    ],
    ["no filter", { seccomp: "unconfined" }, {}],
    ["a filter of one's own", { seccomp: noMkdir }, {}],
    [
      "a filter of one's own, for a user without new privileges",
      { seccomp: noMkdir },
      {
        user: alice,
        noNewPrivileges: true,
      },
    ],
    ["a root that is read-only", { readonlyRootfs: true }, {}],
    ["the host's namespaces but mounts", { ...shares("mount"), hostname: undefined }, {}],
    ["a control group namespace", shares("pid", "network", "mount", "ipc", "uts", "cgroup"), {}],
  ];
  test.each(cases)("%s", async (_, spec, process) => {
    const { capabilities } = { ...box.processSpec([]), ...process };
    const { id } = await box.start(["sleep", "1000"], { spec, process: { capabilities } });
    const more = { user: root, ...process };
    const ours = await box.enter(id, ["sh", "-c", probe], more);
    const theirs = await byCrun(id, ["sh", "-c", probe], more);
    expect(ours).toEqual(theirs);
    expect(ours.exitCode).toBe(41);
    expect(ours.stdout).toContain("CapBnd");
  });
});

test("what the container may not become, its later processes may not", async () => {
  const { id } = await box.start(["sleep", "1000"], { process: { noNewPrivileges: true, oomScoreAdj: 300 } });
  const { stdout } = await box.enter(id, [
    "sh",
    "-c",
    "cat /proc/self/oom_score_adj; grep NoNewPrivs /proc/self/status",
  ]);
  expect(stdout).toBe("300\nNoNewPrivs:\t1\n");
});

describe("failures", () => {
  let id: string;
  beforeAll(async () => {
    id = (await box.start(["sleep", "1000"])).id;
    writeFileSync(join(box.rootfs, "junk"), "\0\0", { mode: 0o755 });
    writeFileSync(join(box.rootfs, "sbin/script"), "#!/no/such/thing\n", { mode: 0o755 });
    mkdirSync(join(box.rootfs, "bin/directory"), { recursive: true });
  });

  const exec = (what: string) => (command: string) => `exec: ${JSON.stringify(command)}: ${what}`;
  test.each([
    ["nofoo", 127, exec("executable file not found in $PATH"), {}],
    ["", 127, exec("executable file not found in $PATH"), {}],
    ["directory", 127, exec("executable file not found in $PATH"), {}],
    ["plain", 127, exec("executable file not found in $PATH"), { env: ["PATH=/"] }],
    [
      "true",
      127,
      exec("executable file not found in $PATH"),
      { env: ["PATH=:.", "A=PATH=/bin"], cwd: "/bin" },
    ],
    ["/no/foo", 127, exec("stat /no/foo: no such file or directory"), {}],
    ["/bin", 126, exec("is a directory"), {}],
    ["/plain", 126, exec("permission denied"), {}],
    [
      "true",
      126,
      () => 'chdir to cwd ("/nope") set in config.json failed: no such file or directory',
      { cwd: "/nope" },
    ],
    [
      "true",
      126,
      () => 'chdir to cwd ("/plain") set in config.json failed: not a directory',
      { cwd: "/plain" },
    ],
  ] as [string, number, (command: string) => string, Partial<ProcessSpec>][])(
    "%p: %i",
    async (command, exitCode, text, more) => {
      const error = await box.enter(id, [command], more).then(undefined, (reason: unknown) => reason);
      expect(error).toBeInstanceOf(StartFailure);
      expect((error as StartFailure).message).toBe(
        `OCI runtime exec failed: exec failed: unable to start container process: ${text(command)}: unknown`,
      );
      expect((error as StartFailure).exitCode).toBe(exitCode as 126);
    },
  );

  test("a program that is there and can't run has started and failed", async () => {
    expect(await box.enter(id, ["/junk"])).toEqual({
      exitCode: 1,
      stdout: "",
      stderr: "exec /junk: exec format error\n",
    });
    const script = { exitCode: 1, stdout: "", stderr: "exec /sbin/script: no such file or directory\n" };
    expect(await box.enter(id, ["script"], { env: ["PATH=/nowhere:/sbin"] })).toEqual(script);
  });

  test("a container that has ended", async () => {
    const ended = await box.start(["sleep", "1000"]);
    await box.runtime.kill(ended.id, 9);
    await ended.process.exited;
    await expect(box.enter(ended.id, ["true"])).rejects.toThrow("enter the container: it is not running");
  });
});

describe("stdio", () => {
  let id: string;
  beforeAll(async () => {
    id = (await box.start(["sleep", "1000"])).id;
  });

  const start = async (
    args: string[],
    attached?: (stream: Duplex) => void,
    more: Partial<ProcessSpec> = {},
  ) =>
    box.runtime.exec(id, box.processSpec(args, more), {
      execId: "x",
      stateDir: join(box.directory, "unused"),
      stdio: { openStdin: true, stdinOnce: true },
      onAttachable:
        attached &&
        (async ({ attach }) => attached(await attach({ stdin: true, stdout: true, stderr: true }))),
    });

  test("much goes in and out, and the client's half-close ends stdin", async () => {
    const input = "0123456789abcdef".repeat(100_000);
    let output: ReturnType<typeof collect>;
    const process = await start(["sh", "-c", "cat; echo after >&2"], (stream) => {
      output = collect(stream);
      stream.end(input);
    });
    expect((await process.exited).exitCode).toBe(0);
    const { stdout, stderr } = await output!;
    expect(stdout === input).toBe(true);
    expect(stderr).toBe("after\n");
  });

  test("without an attacher it runs all the same, and takes none later", async () => {
    const process = await start(["sh", "-c", "echo unheard; exit 7"]);
    await expect(process.attach({ stdin: false, stdout: true, stderr: true })).rejects.toThrow(
      "runs already",
    );
    expect((await process.exited).exitCode).toBe(7);
  });

  test("an environment as large as the kernel takes", async () => {
    const env = ["PATH=/bin", ...Array.from({ length: 15 }, (_, i) => `V${i}=${"x".repeat(100_000)}`)];
    const { stdout } = await box.enter(id, ["sh", "-c", "env | wc -c"], { env });
    expect(Number(stdout)).toBeGreaterThan(1_500_000);
    const error = await box
      .enter(id, ["true"], { env: [...env, ...env] })
      .then(undefined, (reason: unknown) => reason);
    expect(error).toMatchObject({ exitCode: 126 });
    expect(String(error)).toContain("argument list too long");
  });

  test("a limit of as few descriptors as its standard streams are", async () => {
    const rlimits = [{ type: "RLIMIT_NOFILE", soft: 3, hard: 3, explicit: true }];
    expect(await box.enter(id, ["echo", "enough"], { rlimits })).toMatchObject({
      exitCode: 0,
      stdout: "enough\n",
    });
  });

  test("a signal's exit code, and what the exec's end leaves in the background", async () => {
    expect((await box.enter(id, ["sh", "-c", "kill -KILL $$"])).exitCode).toBe(137);
    expect(await box.enter(id, ["sh", "-c", "sleep 1000 >/dev/null 2>&1 & echo early"])).toMatchObject({
      exitCode: 0,
      stdout: "early\n",
    });
  });

  test("the daemon is killed: the process goes on, with nobody to hear it", async () => {
    const stateDir = box.newStateDir();
    const survivor = box.containerSpec(["sleep", "1000"], { id: `survivor-${box.directory.slice(-6)}` });
    const script =
      "echo here; until [ -e /tmp/go ]; do sleep 0.02; done; yes | head -c 1000000; echo >/tmp/done";
    const daemon = Bun.spawn(
      [
        process.execPath,
        "-e",
        `import { openRuntime } from ${JSON.stringify(join(import.meta.dir, "index.ts"))};
        const runtime = await openRuntime({ binary: "crun", root: ${JSON.stringify(join(box.directory, "oci"))} });
        const stdio = { openStdin: false, stdinOnce: false };
        await runtime.start(${JSON.stringify(survivor)}, { stateDir: ${JSON.stringify(stateDir)}, stdio });
        await runtime.exec("${survivor.id}", ${JSON.stringify(box.processSpec(["sh", "-c", script]))}, {
          execId: "x", stateDir: "/nowhere", stdio,
          onAttachable: async ({ attach }) =>
            (await attach({ stdin: false, stdout: true, stderr: true })).on("data", () => console.log("heard")),
        });
        await new Promise(() => setInterval(() => {}, 1000));`,
      ],
      { stdout: "pipe", stderr: "inherit" },
    );
    await daemon.stdout.getReader().read();
    daemon.kill(9);
    await daemon.exited;
    const left = await box.runtime.reopen(stateDir);
    expect(box.runtime.pids(survivor.cgroupPath).length).toBeGreaterThan(1);
    writeFileSync(join(box.rootfs, "tmp/go"), "");
    while (!existsSync(join(box.rootfs, "tmp/done"))) await Bun.sleep(10);
    while (box.runtime.pids(survivor.cgroupPath).length > 1) await Bun.sleep(10);
    await box.runtime.kill(survivor.id, 9);
    await left!.exited;
    await box.runtime.delete(survivor.id);
  });
});
