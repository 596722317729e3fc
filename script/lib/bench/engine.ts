/** What the bench asks of an engine, and the three there are. Each has directories and links of its own. */
import { existsSync, mkdirSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { withBuildKit } from "./docker-cli.ts";

export interface Engine {
  readonly name: string;
  version(): string;
  start(): Promise<void>;
  /** The command line that does `args` here. */
  command(args: readonly string[]): string[];
  /** The command line that builds, given what follows `build`. */
  build(args: readonly string[]): string[];
  /** The command line that kills and removes containers at once. */
  remove(names: readonly string[]): string[];
  /** The command line that runs a program in the engine's network. */
  inNetwork(command: readonly string[]): string[];
  /** Resident memory in kB of the processes that stand beside containers, and of the engine itself. */
  /** `peak`: the most that the engine itself had since `forgetPeak`. */
  memory(): { perContainer: number[]; engine: number; peak: number };
  forgetPeak(): void;
  stop(): Promise<void>;
}

const top = join(import.meta.dir, "../../..");
export const gantry = join(top, "dist/gantry");

/** Runs a command that must succeed. */
export function must(command: string[]): string {
  // Named, for what is set meanwhile is not in the environment that is passed on by itself.
  const { env } = process;
  const child = Bun.spawnSync(command, { env, stdin: "ignore" });
  if (child.exitCode !== 0) throw new Error(`${command.join(" ")}: exit ${child.exitCode}\n${child.stderr}`);
  return child.stdout.toString().trim();
}

export const quietly = (command: string[]) =>
  void Bun.spawnSync(command, { env: process.env, stdin: "ignore", stdout: "ignore", stderr: "ignore" });

export const isInstalled = (program: string) => Bun.which(program) !== null;

interface Process {
  pid: number;
  command: string;
}

function processes(): Process[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        return [
          { pid: Number(name), command: readFileSync(`/proc/${name}/cmdline`, "utf8").replaceAll("\0", " ") },
        ];
      } catch {
        return [];
      }
    });
}

function kbOf(pid: number, field: "VmRSS" | "VmHWM"): number {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  return Number(new RegExp(`${field}:\\s+(\\d+)`).exec(status)?.[1] ?? 0);
}

const residentKb = (pid: number) => kbOf(pid, "VmRSS");

/** Resident memory in kB of an engine's own processes together. */
const memoryOf = (pids: number[]) => ({
  engine: pids.reduce((sum, pid) => sum + residentKb(pid), 0),
  peak: pids.reduce((sum, pid) => sum + kbOf(pid, "VmHWM"), 0),
});

/** A daemon as a process that we end by its id. */
abstract class Daemon implements Engine {
  #process: Bun.Subprocess | undefined;

  constructor(
    readonly name: string,
    protected readonly root: string,
  ) {}

  abstract version(): string;
  abstract command(args: readonly string[]): string[];
  abstract memory(): ReturnType<Engine["memory"]>;
  /** The processes that are the engine. */
  protected abstract pids(): number[];
  protected abstract daemon(): string[];
  protected prepare(): void {}
  protected cleanUp(): void {}

  build(args: readonly string[]): string[] {
    return this.command(["build", ...args]);
  }

  remove(names: readonly string[]): string[] {
    return this.command(["rm", "-f", ...names]);
  }

  inNetwork(command: readonly string[]): string[] {
    return [...command];
  }

  forgetPeak(): void {
    // proc(5): 5 sets the peak back to what is resident now.
    for (const pid of this.pids()) writeFileSync(`/proc/${pid}/clear_refs`, "5");
  }

  get pid(): number {
    return this.#process!.pid;
  }

  async start(): Promise<void> {
    mkdirSync(this.root, { recursive: true });
    this.prepare();
    const log = openSync(join(this.root, "log"), "w");
    this.#process = Bun.spawn(this.daemon(), { stdin: "ignore", stdout: log, stderr: log });
    for (let tries = 0; Bun.spawnSync(this.command(["ps"])).exitCode !== 0; tries++) {
      if (this.#process.exitCode !== null || tries > 300)
        throw new Error(
          `${this.name} does not start:\n${readFileSync(join(this.root, "log"), "utf8").slice(-2000)}`,
        );
      await Bun.sleep(100);
    }
  }

  async stop(): Promise<void> {
    if (this.#process) {
      const ids = Bun.spawnSync(this.command(["ps", "-aq"]))
        .stdout.toString()
        .split("\n")
        .filter(Boolean);
      if (ids.length > 0) quietly(this.command(["rm", "-f", ...ids]));
      this.#process.kill("SIGTERM");
      await this.#process.exited;
    }
    this.cleanUp();
    unmountBelow(this.root);
    rmSync(this.root, { recursive: true, force: true });
  }
}

export class Gantry extends Daemon {
  constructor(root: string) {
    super("gantry", join(root, "g"));
  }

  version(): string {
    return must([gantry, "--version"]);
  }

  get host(): string {
    return `unix://${join(this.root, "s")}`;
  }

  command(args: readonly string[]): string[] {
    return [gantry, "-H", this.host, ...args];
  }

  protected override prepare(): void {
    writeFileSync(join(this.root, "daemon.json"), "{}");
  }

  protected daemon(): string[] {
    const path = (name: string) => join(this.root, name);
    return [
      ...[gantry, "daemon", "-H", this.host, "--data-root", path("d"), "--exec-root", path("x")],
      ...["--pidfile", path("pid"), "--config-file", path("daemon.json")],
      ...[
        "--bridge",
        "gtbench0",
        "--bip",
        "10.254.1.1/24",
        "--default-address-pool",
        "base=10.254.128.0/17,size=24",
      ],
    ];
  }

  memory() {
    const monitors = processes().filter(({ command }) =>
      command.startsWith(join(this.root, "x/runtime/monitor-")),
    );
    return { perContainer: monitors.map(({ pid }) => residentKb(pid)), ...memoryOf(this.pids()) };
  }

  protected pids(): number[] {
    return [this.pid];
  }

  protected override cleanUp(): void {
    quietly(["ip", "link", "delete", "gtbench0"]);
  }
}

/** The same daemon by the real docker CLI, which shows what of the gain is the client's. */
export class GantryByDocker implements Engine {
  readonly name = "gantry (docker CLI)";
  constructor(private readonly gantry: Gantry) {}
  version = () => must(["docker", "--version"]);
  start = async () => {};
  stop = async () => {};
  command = (args: readonly string[]) => ["docker", "-H", this.gantry.host, ...args];
  build = (args: readonly string[]) => [withBuildKit ?? "docker", "-H", this.gantry.host, "build", ...args];
  remove = (names: readonly string[]) => this.command(["rm", "-f", ...names]);
  inNetwork = (command: readonly string[]) => this.gantry.inNetwork(command);
  memory = () => this.gantry.memory();
  forgetPeak = () => this.gantry.forgetPeak();
}

/** dockerd in a network namespace of its own, so that its rules and bridge end with it. */
export class Dockerd extends Daemon {
  readonly #namespace = `gantry-bench-${process.pid}`;

  constructor(root: string) {
    super("dockerd", join(root, "d"));
  }

  version(): string {
    return must(["dockerd", "--version"]);
  }

  get #host(): string {
    return `unix://${join(this.root, "s")}`;
  }

  command(args: readonly string[]): string[] {
    return ["docker", "-H", this.#host, ...args];
  }

  override build(args: readonly string[]): string[] {
    return [withBuildKit ?? "docker", "-H", this.#host, "build", ...args];
  }

  override inNetwork(command: readonly string[]): string[] {
    return ["nsenter", `--net=/run/netns/${this.#namespace}`, ...command];
  }

  protected override prepare(): void {
    must(["ip", "netns", "add", this.#namespace]);
    must(["ip", "-n", this.#namespace, "link", "set", "lo", "up"]);
    writeFileSync(join(this.root, "daemon.json"), "{}");
  }

  protected daemon(): string[] {
    const path = (name: string) => join(this.root, name);
    return [
      ...this.inNetwork(["dockerd", "-H", this.#host]),
      ...["--data-root", path("d"), "--exec-root", path("x"), "--pidfile", path("pid")],
      ...["--config-file", path("daemon.json"), "--bip", "10.254.2.1/24", "--log-level", "warn"],
    ];
  }

  memory() {
    const shims = this.#processes().filter(({ command }) => command.includes("containerd-shim"));
    return { perContainer: shims.map(({ pid }) => residentKb(pid)), ...memoryOf(this.pids()) };
  }

  protected pids(): number[] {
    return this.#processes()
      .filter(({ command }) => /^\S*(dockerd|containerd) /.test(command))
      .map(({ pid }) => pid);
  }

  #processes(): Process[] {
    return processes().filter(({ command }) => command.includes(this.root));
  }

  protected override cleanUp(): void {
    quietly(["ip", "netns", "delete", this.#namespace]);
  }
}

/**
 * podman has no daemon: each command does the work itself. It too has a network namespace of its own, which adds
 * about a millisecond for nsenter.
 */
export class Podman implements Engine {
  readonly name = "podman";
  readonly #namespace = `gantry-bench-podman-${process.pid}`;

  constructor(private readonly directory: string) {}

  get root(): string {
    return join(this.directory, "p");
  }

  version(): string {
    return must(["podman", "--version"]);
  }

  command(args: readonly string[]): string[] {
    const roots = ["--root", join(this.root, "d"), "--runroot", join(this.root, "x")];
    return this.inNetwork(["podman", ...roots, "--cgroup-manager", "cgroupfs", ...args]);
  }

  inNetwork(command: readonly string[]): string[] {
    return ["nsenter", `--net=/run/netns/${this.#namespace}`, ...command];
  }

  build(args: readonly string[]): string[] {
    return this.command(["build", ...args]);
  }

  remove(names: readonly string[]): string[] {
    return this.command(["rm", "-f", "-t", "0", ...names]);
  }

  async start(): Promise<void> {
    mkdirSync(this.root, { recursive: true });
    // By default it raises limits, which takes a capability that not every machine gives to root.
    process.env.CONTAINERS_CONF = join(this.root, "containers.conf");
    const [, open] = /Max open files +(\d+) +(\d+)/.exec(readFileSync("/proc/self/limits", "utf8"))!;
    writeFileSync(
      process.env.CONTAINERS_CONF,
      `[containers]\ndefault_ulimits = ["nofile=${open}:${open}", "nproc=1024:1024"]\n`,
    );
    must(["ip", "netns", "add", this.#namespace]);
    must(["ip", "-n", this.#namespace, "link", "set", "lo", "up"]);
    must(this.command(["info"]));
  }

  memory() {
    const monitors = processes().filter(
      ({ command }) => command.includes("conmon") && command.includes(this.root),
    );
    return { perContainer: monitors.map(({ pid }) => residentKb(pid)), ...memoryOf([]) };
  }

  forgetPeak(): void {}

  async stop(): Promise<void> {
    if (!existsSync(this.root)) return;
    quietly(this.command(["rm", "-f", "-a", "-t", "0"]));
    quietly(["ip", "netns", "delete", this.#namespace]);
    unmountBelow(this.root);
    rmSync(this.root, { recursive: true, force: true });
  }
}

function unmountBelow(root: string): void {
  const targets = readFileSync("/proc/self/mounts", "utf8")
    .split("\n")
    .map((line) => line.split(" ")[1] ?? "")
    .filter((target) => target.startsWith(`${root}/`));
  for (const target of targets.reverse()) quietly(["umount", "-l", target]);
}
