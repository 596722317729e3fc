/** The promises of types.ts, kept by crun and runc alike, on the real kernel. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import type { Duplex } from "node:stream";
import { cgroupDirectories, readCgroupLayout } from "../linux/cgroup.ts";
import { containerCapabilities, StartFailure } from "./index.ts";
import { collect, RuntimeHarness } from "./testing.ts";

const SIGTERM = 15;
const SIGKILL = 9;

async function failureOf(start: Promise<unknown>): Promise<StartFailure> {
  const error: unknown = await start.then(
    () => undefined,
    (reason) => reason,
  );
  expect(error).toBeInstanceOf(StartFailure);
  return error as StartFailure;
}

/** Resolves with what has come so far once it contains `text`. */
async function until(stream: Duplex, text: string): Promise<string> {
  let seen = "";
  while (!seen.includes(text)) {
    const [chunk] = (await once(stream, "data")) as [Buffer];
    seen += chunk.toString("latin1");
  }
  return seen;
}

describe.each(["crun", "runc"])("%s", (binary) => {
  let box: RuntimeHarness;
  beforeAll(async () => {
    box = await RuntimeHarness.open(binary);
  });
  afterAll(() => box[Symbol.asyncDispose]());

  test("runs a process, tells its exit code and both streams apart", async () => {
    const result = await box.run(["sh", "-c", "echo out; echo err >&2; exit 42"]);
    expect(result).toMatchObject({ exitCode: 42, oom: undefined, stdout: "out\n", stderr: "err\n" });
    expect(Math.abs(result.exitedAt - Date.now())).toBeLessThan(60_000);
  });

  test("a signal's exit code is 128 and its number", async () => {
    expect(
      (await box.run(["sh", "-c", "exec 2>&1; kill -USR1 $$; sleep 5"], { spec: { init: true } })).exitCode,
    ).toBe(128 + 10);
    const { id, process } = await box.start(["sleep", "100"]);
    await box.runtime.kill(id, SIGKILL);
    expect((await process.exited).exitCode).toBe(128 + SIGKILL);
    await box.runtime.kill(id, SIGTERM); // gone is no error
  });

  test("stdin comes to its end with the client's half-close, and output goes on", async () => {
    const result = await box.run(["sh", "-c", "cat; echo after"], { input: "some\ninput\n" });
    expect(result.stdout).toBe("some\ninput\nafter\n");
  });

  test("much stdin goes through while the process reads slowly", async () => {
    const input = "0123456789abcdef".repeat(40_000);
    expect((await box.run(["sh", "-c", "sleep 0.2; wc -c"], { input })).stdout.trim()).toBe(
      String(input.length),
    );
  });

  test("stdin stays open for the next attacher unless stdinOnce", async () => {
    const { process } = await box.start(["sh", "-c", "read a; echo read; read b; echo $a-$b"], {
      stdio: { openStdin: true, stdinOnce: false },
    });
    const first = await process.attach({ stdin: true, stdout: true, stderr: false });
    first.end("one\n");
    await until(first, "read");
    const second = await process.attach({ stdin: true, stdout: true, stderr: true });
    second.write("two\n");
    expect((await collect(second)).stdout).toBe("one-two\n");
    first.destroy();
  });

  test("a terminal: raw output, size at start and by resize, input", async () => {
    const script =
      'stty size; read x; until [ "$(stty size)" = "40 120" ]; do sleep 0.02; done; stty size; echo got $x';
    let stream: Duplex | undefined;
    const { process } = await box.start(["sh", "-c", script], {
      process: { terminal: true, consoleSize: { width: 91, height: 33 } },
      stdio: { openStdin: true, stdinOnce: true },
      attached: (attached) => {
        stream = attached;
      },
    });
    expect(await until(stream!, "33 91")).not.toContain("\u0001");
    await process.resize(120, 40);
    stream!.write("word\n");
    expect(await until(stream!, "got word")).toContain("40 120");
    expect((await process.exited).exitCode).toBe(0);
  });

  test("an attacher hears only the streams it asked for", async () => {
    const { process } = await box.start(["sh", "-c", "read go; echo out; echo err >&2; echo out2"], {
      stdio: { openStdin: true, stdinOnce: false },
    });
    const [out, err] = await Promise.all([
      process.attach({ stdin: true, stdout: true, stderr: false }),
      process.attach({ stdin: false, stdout: false, stderr: true }),
    ]);
    out.write("\n");
    expect(await collect(out)).toEqual({ stdout: "out\nout2\n", stderr: "" });
    expect(await collect(err)).toEqual({ stdout: "", stderr: "err\n" });
  });

  test("attaching to what has exited gives a stream that has ended", async () => {
    const { process } = await box.start(["true"]);
    await process.exited;
    expect(await collect(await process.attach({ stdin: true, stdout: true, stderr: true }))).toEqual({
      stdout: "",
      stderr: "",
    });
  });

  test("a command that can't be found or executed fails with Docker's code and words", async () => {
    const prefix =
      "failed to create task for container: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: ";
    const missing = await failureOf(box.run(["nofoo"]));
    expect(missing).toMatchObject({
      exitCode: 127,
      kind: "invalid",
      message: `${prefix}exec: "nofoo": executable file not found in $PATH: unknown`,
    });
    const path = await failureOf(box.run(["/no/foo"]));
    expect(path).toMatchObject({
      exitCode: 127,
      message: `${prefix}exec: "/no/foo": stat /no/foo: no such file or directory: unknown`,
    });
    const plain = await failureOf(box.run(["/plain"]));
    expect(plain).toMatchObject({
      exitCode: 126,
      message: `${prefix}exec: "/plain": permission denied: unknown`,
    });
    expect((await failureOf(box.run(["/bin"]))).exitCode).toBe(126);
  });

  test("a failed start leaves nothing behind", async () => {
    const spec = box.containerSpec(["nofoo"], { id: `gone-${binary}` });
    const stateDir = box.newStateDir();
    await failureOf(box.runtime.start(spec, { stateDir, stdio: { openStdin: false, stdinOnce: false } }));
    expect(existsSync(`${box.directory}/oci/${spec.id}`)).toBeFalse();
    for (const directory of cgroupDirectories(readCgroupLayout(), spec.cgroupPath))
      expect(existsSync(directory)).toBeFalse();
    expect(await box.runtime.reopen(stateDir)).toBeUndefined();
  });

  test("exec: output, code, user, terminal, and the failures", async () => {
    const { id, spec } = await box.start(["sleep", "100"]);
    expect(await box.exec(id, ["sh", "-c", "echo hi; echo no >&2; exit 3"])).toMatchObject({
      exitCode: 3,
      stdout: "hi\n",
      stderr: "no\n",
    });
    const user = { uid: 1000, gid: 50, additionalGids: [10] };
    expect((await box.exec(id, ["id"], { user })).stdout).toBe(
      "uid=1000(alice) gid=50(staff) groups=10(wheel)\n",
    );
    expect((await box.exec(id, ["sh", "-c", "test -t 0 && echo tty"], { terminal: true })).stdout).toBe(
      "tty\r\n",
    );
    const missing = await failureOf(box.exec(id, ["nofoo"]));
    expect(missing.exitCode).toBe(127);
    expect(missing.message).toBe(
      'OCI runtime exec failed: exec failed: unable to start container process: exec: "nofoo": executable file not found in $PATH: unknown',
    );
    expect((await failureOf(box.exec(id, ["/plain"]))).exitCode).toBe(126);
    // crun is told of the failure by its child, which may still be on its way out.
    while (box.runtime.pids(spec.cgroupPath).length > 1) await Bun.sleep(10);
  });

  test("what an exec leaves in the background holds its end up for two seconds at most", async () => {
    const { id } = await box.start(["sleep", "100"]);
    const result = await box.exec(id, ["sh", "-c", "(sleep 0.3; echo late; exec sleep 50) & echo early"]);
    expect(result).toMatchObject({ exitCode: 0, stdout: "early\nlate\n" });
  });

  test("capabilities are exactly those of the spec; a user other than root has none effective", async () => {
    const script = ["grep", "-E", "Cap(Bnd|Eff|Amb)|NoNewPrivs|Seccomp:", "/proc/self/status"];
    const root = (await box.run(script)).stdout;
    expect(root).toContain("CapBnd:\t00000000a80425fb");
    expect(root).toContain("CapEff:\t00000000a80425fb");
    expect(root).toContain("Seccomp:\t2");
    const user = (
      await box.run(script, {
        process: { user: { uid: 1000, gid: 1000, additionalGids: [] }, noNewPrivileges: true },
      })
    ).stdout;
    expect(user).toContain("CapEff:\t0000000000000000");
    expect(user).toContain("CapBnd:\t00000000a80425fb");
    expect(user).toContain("NoNewPrivs:\t1");
    const few = { capabilities: containerCapabilities({ add: ["CHOWN"], drop: ["ALL"], privileged: false }) };
    expect((await box.run(script, { process: few })).stdout).toContain("CapEff:\t0000000000000001");
  });

  test("the default seccomp profile denies new namespaces also when CAP_SYS_ADMIN isn't what stops them", async () => {
    // Twice: the second container of a profile may get a program that was compiled for the first.
    for (let round = 0; round < 2; round++) {
      const { id } = await box.start(["sleep", "100"]);
      for (const result of [
        await box.run(["unshare", "-U", "true"]),
        await box.exec(id, ["unshare", "-U", "true"]),
      ]) {
        expect(result.exitCode).toBe(1);
        expect(result.stderr).toContain("Operation not permitted");
      }
    }
    expect((await box.run(["unshare", "-U", "true"], { spec: { seccomp: "unconfined" } })).exitCode).toBe(0);
  });

  test("a profile of the user's own", async () => {
    const seccomp = {
      defaultAction: "SCMP_ACT_ALLOW",
      syscalls: [{ names: ["mkdir", "mkdirat"], action: "SCMP_ACT_ERRNO", errnoRet: 1 }],
    };
    for (let round = 0; round < 2; round++) {
      const result = await box.run(["mkdir", `/tmp/denied`], { spec: { seccomp } });
      expect(result).toMatchObject({
        exitCode: 1,
        stderr: expect.stringContaining("Operation not permitted"),
      });
    }
  });

  test("read-only root, masked and read-only paths", async () => {
    const result = await box.run(
      [
        "sh",
        "-c",
        "touch /x; cat /proc/kcore | wc -c; ls /sys/firmware | wc -l; echo 1 > /proc/sys/kernel/domainname; mount -t tmpfs t /tmp",
      ],
      {
        spec: { readonlyRootfs: true },
      },
    );
    expect(result.stdout).toBe("0\n0\n");
    expect(result.stderr).toMatch(
      /touch: \/x: Read-only file system\n.*Read-only file system\n.*(permission denied|Operation not permitted)/s,
    );
  });

  test("privileged: devices, writable kernel settings, no filter, no mask", async () => {
    const result = await box.run(
      [
        "sh",
        "-c",
        "test -e /dev/loop-control && echo loop; grep Seccomp: /proc/self/status; mount -t tmpfs t /tmp && echo mounted; test -w /proc/sys && echo rw",
      ],
      {
        spec: { privileged: true },
        process: { capabilities: containerCapabilities({ add: [], drop: [], privileged: true }) },
      },
    );
    expect(result.stdout).toBe("loop\nSeccomp:\t0\nmounted\nrw\n");
  });

  test("limits of memory and processes, and what the cgroup counts", async () => {
    const { id, spec, process } = await box.start(
      ["sh", "-c", "for i in 1 2 3 4; do sleep 100 & done; wait"],
      {
        spec: { resources: { memory: 64 * 1024 * 1024, pids: 30 } },
      },
    );
    while (box.runtime.pids(spec.cgroupPath).length < 5) await Bun.sleep(5);
    const stats = box.runtime.stats(spec.cgroupPath);
    expect(stats).toMatchObject({ memoryLimit: 64 * 1024 * 1024, pidsLimit: 30 });
    expect(stats.memoryUsage).toBeGreaterThan(0);
    expect(stats.cpuTotal).toBeGreaterThan(0);
    await box.runtime.update(id, { memory: 128 * 1024 * 1024, memorySwap: 256 * 1024 * 1024 });
    expect(box.runtime.stats(spec.cgroupPath).memoryLimit).toBe(128 * 1024 * 1024);
    await box.runtime.kill(id, SIGKILL, { all: true });
    expect((await process.exited).exitCode).toBe(128 + SIGKILL);
    await box.runtime.delete(id);
    expect(() => box.runtime.stats(spec.cgroupPath)).toThrow("is not running");
    expect(box.runtime.pids(spec.cgroupPath)).toEqual([]);
  });

  test("one process more than the limit can't be forked", async () => {
    // runc's own threads count too, before the process is there.
    const script = "i=0; while [ $i -lt 30 ]; do sleep 100 & i=$((i+1)); done";
    const result = await box.run(["sh", "-c", script], { spec: { resources: { pids: 30 } } });
    expect(result.stderr).toContain("can't fork: Resource temporarily unavailable");
  });

  test("too much memory: killed, and told so", async () => {
    const result = await box.run(
      ["sh", "-c", "x=$(yes | head -c 100000000 | tr -d '\\n')$(yes | head -c 100000000); echo never $x"],
      {
        spec: { resources: { memory: 16 * 1024 * 1024, memorySwap: 16 * 1024 * 1024 } },
      },
    );
    expect(result.oom!.kills).toBeGreaterThan(0);
    expect(result.oom!.memoryPeak).toBeGreaterThan(0);
  });

  test("pause stops every process, resume lets them go on", async () => {
    const { id, spec } = await box.start(["sh", "-c", "while :; do :; done"]);
    await box.runtime.pause(id);
    const before = box.runtime.stats(spec.cgroupPath).cpuTotal;
    await Bun.sleep(60);
    expect(box.runtime.stats(spec.cgroupPath).cpuTotal).toBe(before);
    await box.runtime.resume(id);
    while (box.runtime.stats(spec.cgroupPath).cpuTotal === before) await Bun.sleep(5);
    await box.runtime.pause(id);
    await box.runtime.delete(id, { force: true }); // also when paused
    expect(existsSync(`${box.directory}/oci/${id}`)).toBeFalse();
  });

  test("delete: refused while it runs unless forced, then nothing is left; nothing there is no error", async () => {
    const { id, spec, process } = await box.start(["sleep", "100"], {
      spec: { hostname: undefined, namespaces: [{ type: "mount" }, { type: "network" }] },
    });
    // In the host's pid namespace, so this one would survive its init.
    await box.runtime.exec(id, box.processSpec(["sleep", "100"]), {
      execId: "x",
      stateDir: box.newStateDir(),
      stdio: { openStdin: false, stdinOnce: false },
    });
    expect(box.runtime.delete(id)).rejects.toMatchObject({ kind: "conflict" });
    await box.runtime.delete(id, { force: true });
    expect((await process.exited).exitCode).toBe(128 + SIGKILL);
    expect(readdirSync(`${box.directory}/oci`)).not.toContain(id);
    for (const directory of cgroupDirectories(readCgroupLayout(), spec.cgroupPath))
      expect(existsSync(directory)).toBeFalse();
    await box.runtime.delete(id, { force: true });
    await box.runtime.delete("never-was");
  });

  test("--init: pid 1 forwards signals, reaps orphans and hands on the exit code", async () => {
    expect((await box.run(["sh", "-c", "exit 9"], { spec: { init: true } })).exitCode).toBe(9);
    expect((await box.run(["nofoo"], { spec: { init: true } })).exitCode).toBe(127);
    let stream: Duplex | undefined;
    const { id, process } = await box.start(
      ["sh", "-c", "trap 'echo term; exit 7' TERM; (true &); echo ready; while :; do sleep 0.05; done"],
      {
        spec: { init: true },
        attached: (attached) => {
          stream = attached;
        },
      },
    );
    await until(stream!, "ready");
    await box.runtime.kill(id, SIGTERM);
    expect(await until(stream!, "term")).toContain("term");
    expect((await process.exited).exitCode).toBe(7);
  });

  test("limits: a default is lowered to what can be set, an explicit one fails", async () => {
    const limit = { type: "RLIMIT_NOFILE", soft: 2 ** 40, hard: 2 ** 40 };
    const result = await box.run(["sh", "-c", "ulimit -Sn"], {
      process: { rlimits: [{ ...limit, explicit: false }] },
    });
    expect(Number(result.stdout)).toBeGreaterThan(0);
    expect(box.run(["true"], { process: { rlimits: [{ ...limit, explicit: true }] } })).rejects.toThrow(
      "error setting rlimit type 7: operation not permitted",
    );
    const low = { type: "RLIMIT_NOFILE", soft: 123, hard: 200, explicit: true };
    expect(
      (await box.run(["sh", "-c", "ulimit -Sn; ulimit -Hn"], { process: { rlimits: [low] } })).stdout,
    ).toBe("123\n200\n");
  });

  test("what is too long for the kernel is refused, and names of any length that it takes are told", async () => {
    const failure = (args: string[], cwd = "/") =>
      box.run(args, { process: { cwd } }).catch((error: Error) => error.message);
    expect(await failure(["true"], `/${"a".repeat(70_000)}`)).toEndWith("file name too long: unknown");
    expect(await failure(["true", "a".repeat(1_000_000)])).toEndWith("argument list too long: unknown");
    expect(await failure(["a".repeat(130_000)])).toContain("exec: ");
    const { id } = await box.start(["sleep", "100"]);
    expect(await box.exec(id, ["a".repeat(130_000)]).catch((error: Error) => error.message)).toContain(
      "exec: ",
    );
  });

  test("a start that is cancelled before it runs starts nothing", async () => {
    const controller = new AbortController();
    const spec = box.containerSpec(["sleep", "100"], { id: `cancelled-${binary}` });
    const start = box.runtime.start(spec, {
      stateDir: box.newStateDir(),
      stdio: { openStdin: false, stdinOnce: false },
      signal: controller.signal,
      onAttachable: async () => controller.abort(),
    });
    expect(start).rejects.toThrow();
    await start.catch(() => undefined);
    expect(readdirSync(`${box.directory}/oci`)).not.toContain(spec.id);
  });

  test("the daemon is killed: the container, its log and its exit go on, and a new daemon finds them", async () => {
    const log = `${box.directory}/survivor.log`;
    const stateDir = box.newStateDir();
    const finished = box.newStateDir();
    const spec = (id: string, script: string) =>
      box.containerSpec(["sh", "-c", script], { id: `${id}-${box.directory.slice(-6)}` });
    const running = spec("survivor", "echo first; read x; echo second; exit 5");
    const ended = spec("ended", "sleep 0.3; exit 6");
    const program = `
      import { openRuntime } from ${JSON.stringify(`${import.meta.dir}/index.ts`)};
      const runtime = await openRuntime({ binary: ${JSON.stringify(binary)}, root: ${JSON.stringify(`${box.directory}/oci`)} });
      await runtime.start(${JSON.stringify(running)}, { stateDir: ${JSON.stringify(stateDir)}, stdio: { openStdin: true, stdinOnce: false }, log: { driver: "json-file", path: ${JSON.stringify(log)} } });
      await runtime.start(${JSON.stringify(ended)}, { stateDir: ${JSON.stringify(finished)}, stdio: { openStdin: false, stdinOnce: false } });
      console.log("started");
      await new Promise(() => setInterval(() => {}, 1000));
    `;
    const daemon = Bun.spawn([process.execPath, "-e", program], { stdout: "pipe", stderr: "inherit" });
    await daemon.stdout.getReader().read();
    daemon.kill(SIGKILL);
    await daemon.exited;
    while (!existsSync(`${finished}/exit`)) await Bun.sleep(10);
    const gone = await box.runtime.reopen(finished);
    expect(await gone!.exited).toMatchObject({ exitCode: 6 });
    const survivor = await box.runtime.reopen(stateDir);
    expect(box.runtime.pids(running.cgroupPath)).toContain(survivor!.pid);
    const stream = await survivor!.attach({ stdin: true, stdout: true, stderr: true });
    stream.write("\n");
    expect((await collect(stream)).stdout).toBe("second\n");
    expect(await survivor!.exited).toMatchObject({ exitCode: 5 });
    expect(readFileSync(log, "utf8").match(/"log":"\w+/g)).toEqual(['"log":"first', '"log":"second']);
    await box.runtime.delete(running.id);
    await box.runtime.delete(ended.id);
  });

  test("the monitor itself is killed: the container ends, and that is told", async () => {
    const { process } = await box.start(["sleep", "100"]);
    const parentOf = (pid: number) =>
      Number(/^PPid:\t(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))![1]);
    const commandOf = (pid: number) => readFileSync(`/proc/${pid}/cmdline`, "utf8");
    // Until it has ended the runtime stands between the two.
    while (!commandOf(parentOf(process.pid)).includes("/monitor-")) await Bun.sleep(5);
    globalThis.process.kill(parentOf(process.pid), SIGKILL);
    expect((await process.exited).exitCode).toBe(128 + SIGKILL);
    while (existsSync(`/proc/${process.pid}/exe`)) await Bun.sleep(5);
  });
});
