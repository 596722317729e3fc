/** One OCI runtime binary, crun or runc alike, with a monitor in front of each process. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { Conflict, Internal, messageOf, NotFound, NotImplemented, Unavailable } from "../lib/errors.ts";
import {
  type CgroupLayout,
  cgroupDirectory,
  cgroupPids,
  expectEntry,
  freezeCgroup,
  isFrozen,
  removeCgroup,
  signalCgroup,
} from "../linux/cgroup.ts";
import { readCgroupFigures } from "../linux/cgroup-stats.ts";
import { type CgroupSupport, readCgroupSupport } from "../linux/cgroup-support.ts";
import { processExists, signalProcess } from "../linux/process.ts";
import { criuComplaint, isBuiltWithCriu, needCriu } from "./criu.ts";
import { type Entrance, entranceOf, entryRequest, groupsToJoin } from "./entry.ts";
import { checkLengths, startFailure } from "./failures.ts";
import { type Monitored, RuntimeRefusal, reopenMonitored, startEntering, startMonitored } from "./monitor.ts";
import type { OneRuntime } from "./runtimes.ts";
import { SealedBinary } from "./sealed-binary.ts";
import { CompiledFilters } from "./seccomp-cache.ts";
import { ociJson, ociProcess, ociResources, ociSpec } from "./spec.ts";
import type {
  CgroupStats,
  ContainerSpec,
  MonitoredProcess,
  ProcessSpec,
  ResourceSpec,
  StartOptions,
} from "./types.ts";

const SIGKILL = 9;
/** In the state directory: what CRIU says of a restore. */
const criuDirectory = "criu";

export interface DriverOptions {
  name: string;
  /** Absolute path. */
  binary: string;
  /** Come before all others. */
  args?: string[];
  /** Somebody's own program, of which nothing is known but that it speaks as OCI runtimes do. */
  foreign?: boolean;
  version: string;
  root: string;
  cgroup: CgroupLayout;
  /** The monitor's executable. */
  monitor: string;
}

/** What a state directory says of itself, for a daemon that comes later. */
interface About {
  /** Name of the OCI runtime. */
  runtime?: string;
  containerId: string;
  cgroupPath: string;
  execId?: string;
}

interface Known {
  process: Monitored;
  cgroupPath: string;
  /** Found out at the first exec: how processes enter, or that they can't by themselves. */
  entrance?: Entrance | "by runtime";
}

export class OciRuntime implements OneRuntime {
  readonly name: string;
  readonly #known = new Map<string, Known>();
  readonly #filters = new CompiledFilters();
  readonly #sealed: SealedBinary;
  readonly #sealedMonitor: SealedBinary;
  readonly limitSupport: CgroupSupport;

  constructor(private readonly options: DriverOptions) {
    this.name = options.name;
    this.#sealed = new SealedBinary(options.binary);
    this.#sealedMonitor = new SealedBinary(options.monitor);
    this.limitSupport = readCgroupSupport(options.cgroup);
  }

  get version(): string {
    return this.options.version;
  }

  get cgroupVersion(): 1 | 2 {
    return this.options.cgroup.version;
  }

  expectStart(): void {
    expectEntry(this.options.cgroup);
  }

  async start(spec: ContainerSpec, options: StartOptions): Promise<MonitoredProcess> {
    checkLengths("start", spec.process);
    const { cgroup, monitor } = this.options;
    const oomFile = cgroup.version === 2 ? "memory.events" : "memory.oom_control";
    const memory = cgroupDirectory(cgroup, "memory", spec.cgroupPath);
    const full = ociSpec(spec, { cgroup, monitor });
    const state = `${this.options.root}/${spec.id}`;
    const written = this.#isCrun ? this.#filters.apply(full, state) : { spec: full, learn: undefined };
    writeFileSync(`${options.stateDir}/config.json`, ociJson(written.spec), { mode: 0o600 });
    const about: About = { containerId: spec.id, cgroupPath: spec.cgroupPath };
    const args = ["--detach", "--bundle", ".", ...processFlags(spec.process), spec.id];
    const { checkpoint } = options;
    if (checkpoint !== undefined) {
      await this.#needCheckpoints();
      mkdirSync(`${options.stateDir}/${criuDirectory}`, { mode: 0o700 });
      args.unshift("restore", "--image-path", checkpoint, "--work-path", criuDirectory);
    } else args.unshift("run");
    try {
      const process = await this.#launch(
        args,
        spec.process,
        options,
        about,
        memory && `${memory}/${oomFile}`,
      );
      this.#known.set(spec.id, { process, cgroupPath: spec.cgroupPath });
      await written.learn?.();
      return process;
    } catch (error) {
      // Half a container may be left, whatever the reason.
      await this.#runRuntime(["delete", "--force", spec.id]);
      await removeCgroup(cgroup, spec.cgroupPath).catch(() => undefined);
      if (!(error instanceof RuntimeRefusal)) throw error;
      const complaint = checkpoint && criuComplaint(`${options.stateDir}/${criuDirectory}/restore.log`);
      throw startFailure("start", complaint || error.output, spec.process.args[0] ?? "");
    }
  }

  async checkpoint(containerId: string, directory: string, { exit }: { exit: boolean }): Promise<void> {
    await this.#needCheckpoints();
    const { ok, output } = await this.#runRuntime([
      "checkpoint",
      ...["--image-path", directory, "--work-path", directory],
      ...(exit ? [] : ["--leave-running"]),
      containerId,
    ]);
    if (ok) return;
    const why = criuComplaint(`${directory}/dump.log`) ?? lastLine(output);
    throw new Internal(`cannot checkpoint container ${containerId}: ${why}`);
  }

  async #needCheckpoints(): Promise<void> {
    if (this.#isCrun && !(await isBuiltWithCriu(this.options.binary)))
      throw new NotImplemented(
        "checkpoints need an OCI runtime that works with CRIU, and this crun is built without it: create the container with --runtime runc",
      );
    await needCriu();
  }

  async exec(
    containerId: string,
    process: ProcessSpec,
    options: StartOptions & { execId: string },
  ): Promise<MonitoredProcess> {
    checkLengths("exec", process);
    try {
      return (
        (await this.#enter(containerId, process, options)) ??
        (await this.#execByRuntime(containerId, process, options))
      );
    } catch (error) {
      throw error instanceof RuntimeRefusal
        ? startFailure("exec", error.output, process.args[0] ?? "")
        : error;
    }
  }

  /** undefined when it's the OCI runtime's to do. */
  async #enter(
    containerId: string,
    process: ProcessSpec,
    options: StartOptions,
  ): Promise<Monitored | undefined> {
    const known = this.#known.get(containerId);
    if (!known || !this.#isCrun || process.terminal) return undefined;
    known.entrance ??= entranceOf(`${this.options.root}/${containerId}`) ?? "by runtime";
    const groups = groupsToJoin(this.options.cgroup, known.cgroupPath);
    const binary = this.#sealedMonitor.sealed;
    if (known.entrance === "by runtime" || !groups || !binary) return undefined;
    const request = entryRequest(process, known.process.identity, known.entrance, groups);
    return startEntering({ binary, request }, options);
  }

  #execByRuntime(
    containerId: string,
    process: ProcessSpec,
    options: StartOptions & { execId: string },
  ): Promise<Monitored> {
    mkdirSync(options.stateDir, { recursive: true, mode: 0o700 });
    const cgroupPath = this.#known.get(containerId)?.cgroupPath ?? "";
    writeFileSync(`${options.stateDir}/process.json`, ociJson(ociProcess(process)), { mode: 0o600 });
    const args = ["exec", "--detach", "--process", "process.json", ...processFlags(process), containerId];
    const about = { containerId, cgroupPath, execId: options.execId };
    return this.#launch(args, process, options, about, undefined);
  }

  #launch(
    args: string[],
    process: ProcessSpec,
    options: StartOptions,
    about: About,
    oomPath: string | undefined,
  ): Promise<Monitored> {
    writeFileSync(`${options.stateDir}/about.json`, JSON.stringify({ ...about, runtime: this.name }), {
      mode: 0o600,
    });
    const { terminal, consoleSize } = process;
    const binary = this.#isCrun ? this.#sealed.path : this.options.binary;
    const runtime = [binary, ...(this.options.args ?? []), "--root", this.options.root, ...args];
    return startMonitored({ binary: this.options.monitor, runtime, terminal, consoleSize, oomPath }, options);
  }

  nameIn(stateDir: string): string | undefined {
    return aboutIn(stateDir)?.runtime;
  }

  async reopen(
    stateDir: string,
    onContainer?: (containerId: string) => void,
  ): Promise<MonitoredProcess | undefined> {
    const process = await reopenMonitored(stateDir);
    const about = aboutIn(stateDir);
    if (about) onContainer?.(about.containerId);
    if (!process || !about) return undefined;
    if (about.execId === undefined)
      this.#known.set(about.containerId, { process, cgroupPath: about.cgroupPath });
    return process;
  }

  async kill(containerId: string, signal: number, { all = false }: { all?: boolean } = {}): Promise<void> {
    const known = this.#known.get(containerId);
    if (!known) {
      // Not started or reopened by this daemon: the runtime's state knows the pid. Gone is no error.
      await this.#runRuntime(["kill", ...(all ? ["--all"] : []), containerId, String(signal)]);
    } else if (all) signalCgroup(this.options.cgroup, known.cgroupPath, signal);
    else signalProcess(known.process.identity, signal);
  }

  async pause(containerId: string): Promise<void> {
    await this.#freeze(containerId, true);
  }

  async resume(containerId: string): Promise<void> {
    await this.#freeze(containerId, false);
  }

  async #freeze(containerId: string, frozen: boolean): Promise<void> {
    const known = this.#known.get(containerId);
    if (!known || known.process.hasExited) throw new Conflict(`container ${containerId} is not running`);
    try {
      await freezeCgroup(this.options.cgroup, known.cgroupPath, frozen);
    } catch (cause) {
      throw new Internal(
        `cannot ${frozen ? "pause" : "unpause"} container ${containerId}: ${messageOf(cause)}`,
        { cause },
      );
    }
  }

  async update(containerId: string, resources: ResourceSpec): Promise<void> {
    const json = ociJson(ociResources(resources, this.options.cgroup));
    const { ok, output } = await this.#runRuntime(["update", "--resources", "-", containerId], json);
    if (!ok) throw new Internal(`cannot update container ${containerId}: ${output}`);
  }

  async delete(containerId: string, { force = false }: { force?: boolean } = {}): Promise<void> {
    const known = this.#known.get(containerId);
    const { cgroup } = this.options;
    if (known && processExists(known.process.identity) && !known.process.hasExited) {
      if (!force) throw new Conflict(`cannot remove container ${containerId}: it is running`);
      if (isFrozen(cgroup, known.cgroupPath)) await freezeCgroup(cgroup, known.cgroupPath, false);
      signalProcess(known.process.identity, SIGKILL);
      await known.process.exited;
    }
    if (known && this.#isCrun) {
      // What crun keeps is one directory and the cgroups: removing them here spares a spawn.
      await rm(`${this.options.root}/${containerId}`, { recursive: true, force: true });
    } else {
      const { ok, output } = await this.#runRuntime([
        "delete",
        ...(force || known ? ["--force"] : []),
        containerId,
      ]);
      if (!ok && existsSync(`${this.options.root}/${containerId}`))
        throw new Internal(`cannot delete container ${containerId}: ${output}`);
    }
    if (known) {
      // Without a pid namespace of its own a container leaves processes behind.
      signalCgroup(cgroup, known.cgroupPath, SIGKILL);
      await removeCgroup(cgroup, known.cgroupPath);
    }
    this.#known.delete(containerId);
  }

  pids(cgroupPath: string): number[] {
    return cgroupPids(this.options.cgroup, cgroupPath);
  }

  stats(cgroupPath: string): CgroupStats {
    const figures = readCgroupFigures(this.options.cgroup, cgroupPath);
    if (!figures) throw new NotFound(`no control group ${cgroupPath}: the container is not running`);
    return figures;
  }

  get #isCrun(): boolean {
    return !this.options.foreign && this.options.version.startsWith("crun");
  }

  /** Runs the OCI runtime for something rare. Never throws for what it answers. @throws Unavailable */
  async #runRuntime(args: string[], input = ""): Promise<{ ok: boolean; output: string }> {
    try {
      const child = Bun.spawn(
        [this.options.binary, ...(this.options.args ?? []), "--root", this.options.root, ...args],
        {
          stdin: Buffer.from(input),
          stdout: "ignore",
          stderr: "pipe",
        },
      );
      const [output, exitCode] = await Promise.all([child.stderr.text(), child.exited]);
      return { ok: exitCode === 0, output: output.trim() };
    } catch (cause) {
      throw new Unavailable(`cannot run ${this.options.binary}: ${messageOf(cause)}`, { cause });
    }
  }
}

const lastLine = (text: string) => text.trim().split("\n").at(-1) ?? "";

function processFlags({ terminal }: ProcessSpec): string[] {
  return ["--pid-file", "pid", ...(terminal ? ["--console-socket", "console.sock"] : [])];
}

/** undefined when nothing was begun there, or a crash came while it was written: before anything was started. */
function aboutIn(stateDir: string): About | undefined {
  try {
    return JSON.parse(readFileSync(`${stateDir}/about.json`, "utf8")) as About;
  } catch (error) {
    if (error instanceof SyntaxError || (error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}
