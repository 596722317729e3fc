/** For the tests of this folder: a root of busybox, specs with Docker's defaults, and a runtime that cleans up. */
import {
  chmodSync,
  copyFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import { onInterrupt } from "../../test/support/interrupt.ts";
import { sweepLab } from "../../test/support/sweep.ts";
import { Demultiplexer } from "../lib/stdcopy.ts";
import { readCgroupLayout, removeCgroup } from "../linux/cgroup.ts";
import { containerCapabilities, openRuntime } from "./index.ts";
import type {
  ContainerRuntime,
  ContainerSpec,
  ExitRecord,
  LogSpec,
  MonitoredProcess,
  ProcessSpec,
  StdioSpec,
} from "./types.ts";

const applets =
  "sh true false echo cat ls sleep id grep mount umount unshare head yes dd stty kill ps printf touch rm mkdir tail trap wc tr seq env ulimit sync hostname mknod test tee";

/** @returns the directory; the caller removes it */
export function makeRootfs(): string {
  const root = mkdtempSync(join(tmpdir(), "gantry-rootfs-"));
  chmodSync(root, 0o755);
  for (const name of ["bin", "etc", "tmp", "proc", "sys", "dev", "sbin"]) mkdirSync(join(root, name));
  chmodSync(join(root, "tmp"), 0o1777);
  copyFileSync("/bin/busybox", join(root, "bin/busybox"));
  for (const applet of applets.split(" ")) linkSync(join(root, "bin/busybox"), join(root, "bin", applet));
  writeFileSync(join(root, "etc/passwd"), "root:x:0:0:root:/root:/bin/sh\nalice:x:1000:1000::/:/bin/sh\n");
  writeFileSync(
    join(root, "etc/group"),
    "root:x:0:\nalice:x:1000:\nstaff:x:50:alice\nwheel:x:10:root,alice\n",
  );
  writeFileSync(join(root, "plain"), "not executable\n", { mode: 0o644 });
  return root;
}

export interface RunResult extends ExitRecord {
  stdout: string;
  stderr: string;
}

/** Everything that comes out of an attached stream, by stream. */
export async function collect(stream: Duplex, terminal = false): Promise<{ stdout: string; stderr: string }> {
  const parts: Record<number, Buffer[]> = { 1: [], 2: [] };
  const demultiplexer = new Demultiplexer((number, data) => parts[number]!.push(Buffer.from(data)));
  for await (const chunk of stream) {
    if (terminal) parts[1]!.push(chunk as Buffer);
    else demultiplexer.push(chunk as Buffer);
  }
  return {
    stdout: Buffer.concat(parts[1]!).toString("utf8"),
    stderr: Buffer.concat(parts[2]!).toString("utf8"),
  };
}

interface StartArguments {
  spec?: Partial<ContainerSpec>;
  process?: Partial<ProcessSpec>;
  stdio?: StdioSpec;
  log?: LogSpec;
  /** Called with an attached stream before the process runs. */
  attached?: (stream: Duplex) => void;
}

/** One runtime with its own root and cgroup parent. `await using` ends all that was started with it. */
export class RuntimeHarness implements AsyncDisposable {
  readonly #ids: string[] = [];
  readonly cgroupParent: string;
  readonly #cleared = onInterrupt(() => {
    sweepLab(this.directory, this.cgroupParent);
    rmSync(this.rootfs, { recursive: true, force: true });
  });

  private constructor(
    readonly runtime: ContainerRuntime,
    readonly directory: string,
    readonly rootfs: string,
  ) {
    this.cgroupParent = `/gantry-test-${directory.slice(-6)}`;
  }

  static async open(binary?: string): Promise<RuntimeHarness> {
    const directory = mkdtempSync(join(tmpdir(), "gantry-rt-"));
    const runtime = await openRuntime({ binary, root: join(directory, "oci") });
    return new RuntimeHarness(runtime, directory, makeRootfs());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const id of this.#ids) await this.runtime.delete(id, { force: true });
    await removeCgroup(readCgroupLayout(), this.cgroupParent);
    rmSync(this.directory, { recursive: true, force: true });
    rmSync(this.rootfs, { recursive: true, force: true });
    this.#cleared();
  }

  newStateDir(): string {
    return mkdtempSync(join(this.directory, "s-"));
  }

  processSpec(args: string[], more: Partial<ProcessSpec> = {}): ProcessSpec {
    return {
      args,
      env: ["PATH=/bin:/sbin"],
      cwd: "/",
      user: { uid: 0, gid: 0, additionalGids: [] },
      terminal: false,
      capabilities: containerCapabilities({ add: [], drop: [], privileged: false }),
      noNewPrivileges: false,
      rlimits: [],
      ...more,
    };
  }

  containerSpec(
    args: string[],
    more: Partial<ContainerSpec> = {},
    process: Partial<ProcessSpec> = {},
  ): ContainerSpec {
    const id = more.id ?? `c${this.#ids.length}-${this.directory.slice(-6)}`;
    return {
      id,
      rootfs: this.rootfs,
      readonlyRootfs: false,
      hostname: "box",
      process: this.processSpec(args, process),
      mounts: [],
      namespaces: (["pid", "network", "mount", "ipc", "uts"] as const).map((type) => ({ type })),
      devices: [],
      resources: {},
      cgroupPath: `${this.cgroupParent}/${id}`,
      sysctls: {},
      privileged: false,
      seccomp: "default",
      ...more,
    };
  }

  /** Starts a container that is deleted at the end. */
  async start(
    args: string[],
    options: StartArguments = {},
  ): Promise<{ id: string; stateDir: string; spec: ContainerSpec; process: MonitoredProcess }> {
    const spec = this.containerSpec(args, options.spec, options.process);
    this.#ids.push(spec.id);
    const stateDir = this.newStateDir();
    const stdio = options.stdio ?? { openStdin: false, stdinOnce: false };
    const process = await this.runtime.start(spec, {
      stateDir,
      stdio,
      log: options.log,
      onAttachable: async (attachable) => {
        options.attached?.(await attachable.attach({ stdin: stdio.openStdin, stdout: true, stderr: true }));
      },
    });
    return { id: spec.id, stateDir, spec, process };
  }

  /** Runs a container to its end and deletes it. */
  async run(args: string[], options: StartArguments & { input?: string } = {}): Promise<RunResult> {
    let output: Promise<{ stdout: string; stderr: string }> | undefined;
    const stdio = { openStdin: options.input !== undefined, stdinOnce: true };
    const attached = (stream: Duplex) => {
      output = collect(stream, options.process?.terminal);
      if (options.input !== undefined) stream.end(options.input);
    };
    const { id, process } = await this.start(args, { stdio, ...options, attached });
    const exit = await process.exited;
    const streams = await output!;
    await this.runtime.delete(id);
    return { ...exit, ...streams };
  }

  async exec(containerId: string, args: string[], more: Partial<ProcessSpec> = {}): Promise<RunResult> {
    let output: Promise<{ stdout: string; stderr: string }> | undefined;
    const process = await this.runtime.exec(containerId, this.processSpec(args, more), {
      execId: `exec${Bun.randomUUIDv7()}`,
      stateDir: this.newStateDir(),
      stdio: { openStdin: false, stdinOnce: false },
      onAttachable: async ({ attach }) => {
        output = collect(await attach({ stdin: false, stdout: true, stderr: true }), more.terminal);
      },
    });
    return { ...(await process.exited), ...(await output!) };
  }

  /** As `exec`, by the monitor itself. @throws when the OCI runtime did it, which can't do without a state directory */
  async enter(containerId: string, args: string[], more: Partial<ProcessSpec> = {}) {
    const stateDir = join(this.directory, Bun.randomUUIDv7());
    let output: Promise<{ stdout: string; stderr: string }> | undefined;
    const process = await this.runtime.exec(containerId, this.processSpec(args, more), {
      execId: "entered",
      stateDir,
      stdio: { openStdin: false, stdinOnce: false },
      onAttachable: async ({ attach }) => {
        output = collect(await attach({ stdin: false, stdout: true, stderr: true }));
      },
    });
    if (existsSync(stateDir)) throw new Error("the OCI runtime has started the process");
    const { exitCode } = await process.exited;
    return { exitCode, ...(await output!) };
  }
}
