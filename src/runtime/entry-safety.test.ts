/** A container can't reach out by the processes that enter it, and what doesn't look plain is not entered. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readCgroupLayout } from "../linux/cgroup.ts";
import { startTicksOf } from "../linux/process.ts";
import { sealedCopy } from "../linux/sealed.ts";
import { entranceOf, entryRequest, groupsToJoin } from "./entry.ts";
import { startEntering } from "./monitor.ts";
import { RuntimeHarness } from "./testing.ts";
import type { ContainerSpec, MonitoredProcess, ProcessSpec } from "./types.ts";

let box: RuntimeHarness;
beforeAll(async () => {
  box = await RuntimeHarness.open("crun");
});
afterAll(() => box[Symbol.asyncDispose]());

const stdio = { openStdin: false, stdinOnce: false };

describe("safety", () => {
  let id: string;
  let container: MonitoredProcess;
  let spec: ContainerSpec;
  beforeAll(async () => {
    ({ id, process: container, spec } = await box.start(["sleep", "1000"]));
  });

  test("nothing of the host's is open in it, nor can be its directory", async () => {
    // ls itself has the directory open.
    expect((await box.enter(id, ["ls", "/proc/self/fd"])).stdout).toBe("0\n1\n2\n3\n");
    for (let fd = 0; fd < 40; fd++) {
      const error = await box
        .enter(id, ["sh", "-c", "pwd"], { cwd: `/proc/self/fd/${fd}` })
        .then(undefined, (reason: unknown) => reason);
      expect(String(error)).toMatch(/no such file or directory|not a directory/);
    }
    expect((await box.enter(id, ["sh", "-c", "pwd"], { cwd: "/proc/self/cwd" })).stdout).toBe("/\n");
  });

  test("its standard input is the container's /dev/null, not the host's", async () => {
    const devices = "busybox stat -L -c %d:%i:%t:%T /proc/self/fd/0 /dev/null";
    const [stdin, own] = (await box.enter(id, ["sh", "-c", devices])).stdout.trim().split("\n");
    expect(stdin).toBe(own!);
    expect(stdin).not.toStartWith(`${statSync("/dev/null").dev}:${statSync("/dev/null").ino}:`);
    // What has taken its place is not opened.
    await box.enter(id, ["sh", "-c", "rm /dev/null; busybox mkfifo /dev/null"]);
    expect((await box.enter(id, ["sh", "-c", "cat; echo read"])).stdout).toBe("read\n");
    await box.enter(id, ["sh", "-c", "rm /dev/null; mknod /dev/null c 1 3"]);
  });

  // The attack of CVE-2019-5736: have the program that enters execute itself, and write to what /proc/PID/exe leads to.
  test("the program that enters can't be changed from inside", async () => {
    const oci = join(box.directory, "oci");
    const installed = join(oci, readdirSync(oci).find((name) => name.startsWith("monitor-"))!);
    const before = Bun.hash(readFileSync(installed));
    const attack = `
      exec 9</proc/$PPID/exe
      ls -l /proc/$PPID/exe
      (echo bad >/proc/$PPID/exe) 2>&1
      kill -9 $PPID
      while [ -e /proc/$PPID/exe ]; do :; done
      (echo bad >/proc/self/fd/9) 2>&1`;
    const { stdout } = await box.enter(id, ["/proc/self/exe", "init", "sh", "-c", attack]);
    expect(stdout).toMatch(/-> \/memfd:.*\n.*Text file busy\n.*(Operation not permitted|Text file busy)\n$/);
    expect(Bun.hash(readFileSync(installed))).toBe(before);
    expect((await box.enter(id, ["echo", "well"])).stdout).toBe("well\n");
  });

  const request = (
    process: Partial<ProcessSpec>,
    into = { pid: container.pid, startTicks: startTicksOf(container.pid)! },
  ) =>
    entryRequest(
      box.processSpec(["true"], process),
      into,
      entranceOf(join(box.directory, "oci", id))!,
      groupsToJoin(readCgroupLayout(), spec.cgroupPath)!,
    );
  const monitor = () => sealedCopy(join(import.meta.dir, "../../dist/gantry-monitor"));

  test("a pid that has become another's is not entered", async () => {
    const stale = request({}, { pid: container.pid, startTicks: startTicksOf(container.pid)! - 1 });
    await expect(startEntering({ binary: monitor(), request: stale }, { stdio })).rejects.toThrow(
      "it is not running",
    );
  });

  test("a user namespace is not entered without its ids", async () => {
    const id = { inside: 0, outside: 100_000, size: 65_536 };
    const apart = await box.start(["sleep", "1000"], {
      spec: {
        namespaces: (["pid", "network", "mount", "ipc", "uts", "user"] as const).map((type) => ({ type })),
        idMap: { uids: [id], gids: [id] },
      },
    });
    const into = { pid: apart.process.pid, startTicks: startTicksOf(apart.process.pid)! };
    await expect(startEntering({ binary: monitor(), request: request({}, into) }, { stdio })).rejects.toThrow(
      "it has a user namespace",
    );
    expect((await box.exec(apart.id, ["cat", "/proc/self/uid_map"])).stdout.trim()).toMatch(
      /^0 +100000 +65536$/,
    );
  });

  test("a request that is not whole starts nothing", async () => {
    const whole = Buffer.from(request({}));
    const text = whole.subarray(4).toString();
    const framed = (body: string) => {
      const bytes = Buffer.from(`\0\0\0\0${body}`);
      bytes.writeUInt32LE(bytes.length - 4);
      return bytes;
    };
    for (const body of [
      text.replace(/seccomp .*?\0/, ""),
      text.replace(/uid .*?\0/, ""),
      text.replace(/arg .*?\0/, ""),
      text.replaceAll(/cgroup .*?\0/g, ""),
      `${text}uid 0\0`,
      `${text}word x\0`,
      `${text}word\0`,
      text.slice(0, -1),
    ])
      await expect(startEntering({ binary: monitor(), request: framed(body) }, { stdio })).rejects.toThrow(
        "ended",
      );
    await expect(
      (await startEntering({ binary: monitor(), request: framed(text) }, { stdio })).exited,
    ).resolves.toMatchObject({
      exitCode: 0,
    });
  });

  test("no value can pass for two", () => {
    for (const process of [{ args: ["a\0uid 0"] }, { env: ["A=\0"] }, { cwd: "/\0" }])
      expect(() => request(process)).toThrow("a zero byte in");
  });
});

describe("what is left to the OCI runtime", () => {
  const directory = mkdtempSync(join(tmpdir(), "gantry-entry-"));
  afterAll(() => rmSync(directory, { recursive: true, force: true }));
  const entrance = (config: object) => {
    writeFileSync(join(directory, "config.json"), JSON.stringify(config));
    return entranceOf(directory);
  };

  test.each([
    [{ process: { apparmorProfile: "docker-default" }, linux: {} }],
    [{ process: { selinuxLabel: "a:b:c:d" }, linux: {} }],
    [{ process: {}, linux: { namespaces: [{ type: "pid" }, { type: "user" }] } }],
    [{ process: {}, linux: { seccomp: { flags: ["SECCOMP_FILTER_FLAG_LOG"] } } }],
    [{ process: {}, linux: { seccomp: { listenerPath: "/x" } } }],
    [{ process: {} }],
    [{}],
  ])("%j", (config) => {
    writeFileSync(join(directory, "seccomp.bpf"), "");
    expect(entrance(config)).toBeUndefined();
  });

  test("a filter that is not kept, and a state of another form", () => {
    rmSync(join(directory, "seccomp.bpf"), { force: true });
    expect(entrance({ process: {}, linux: { seccomp: {} } })).toBeUndefined();
    writeFileSync(join(directory, "config.json"), "{");
    expect(entranceOf(directory)).toBeUndefined();
    expect(entranceOf(join(directory, "none"))).toBeUndefined();
  });

  test("the plain case is not", () => {
    writeFileSync(join(directory, "seccomp.bpf"), "");
    expect(entrance({ process: { noNewPrivileges: true, oomScoreAdj: 5 }, linux: { seccomp: {} } })).toEqual({
      seccomp: join(directory, "seccomp.bpf"),
      noNewPrivileges: true,
      oomScoreAdj: 5,
    });
    expect(entrance({ process: {}, linux: {} })).toEqual({
      seccomp: "unconfined",
      noNewPrivileges: false,
      oomScoreAdj: 0,
    });
  });

  test("a group that the container has divided", () => {
    const layout = { version: 2 as const, controllers: new Map<string, string>(), unified: directory };
    mkdirSync(join(directory, "g"));
    writeFileSync(join(directory, "g/cgroup.subtree_control"), "\n");
    expect(groupsToJoin(layout, "/g")).toEqual([join(directory, "g")]);
    writeFileSync(join(directory, "g/cgroup.subtree_control"), "memory pids\n");
    expect(groupsToJoin(layout, "/g")).toBeUndefined();
    expect(groupsToJoin(layout, "/none")).toBeUndefined();
  });
});
