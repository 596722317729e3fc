/** A daemon of its own for a test file: own roots, socket, bridge and addresses, and nothing left afterwards. */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { busyboxArchive } from "./busybox.ts";
import { onInterrupt } from "./interrupt.ts";
import { groupsAt, leftMounts, ownRules, processesNaming, removeGroups, sweep, sweepLab } from "./sweep.ts";

export { groupsAt, leftMounts, processesNaming, removeGroups };

const top = join(import.meta.dir, "..", "..");
export const executable = join(top, "dist", "gantry");

export interface Result {
  code: number;
  stdout: string;
  stderr: string;
}

export class TestDaemon implements AsyncDisposable {
  readonly root = mkdtempSync(join(tmpdir(), "gt-"));
  readonly socket = join(this.root, "s");
  readonly host = `unix://${this.socket}`;
  readonly dataRoot = join(this.root, "data");
  readonly execRoot = join(this.root, "x");
  readonly #suffix = this.root
    .slice(-5)
    .toLowerCase()
    .replace(/[^a-z0-9]/g, "0");
  readonly bridge = `gt${this.#suffix}`;
  readonly #block = freeBlock();
  #process: Bun.Subprocess | undefined;
  readonly #cleared = onInterrupt(() => {
    this.#process?.kill("SIGKILL");
    sweep(this);
    const parent = this.flags[this.flags.indexOf("--cgroup-parent") + 1];
    if (this.flags.includes("--cgroup-parent")) sweepLab(this.root, parent!);
  });

  /** @param config daemon.json @param through a command that ends by executing the daemon: `unshare -n` */
  constructor(
    readonly flags: string[] = [],
    readonly config: object = {},
    readonly through: string[] = [],
  ) {}

  static async start(
    options: { flags?: string[]; config?: object; images?: boolean; through?: string[] } = {},
  ): Promise<TestDaemon> {
    const daemon = new TestDaemon(options.flags, options.config, options.through);
    try {
      await daemon.boot();
      if (options.images !== false) {
        const loaded = await daemon.gantry(["load", "-q", "-i", busyboxArchive()]);
        if (loaded.code !== 0) throw new Error(`cannot load busybox: ${loaded.stderr}`);
      }
    } catch (error) {
      // Nobody else could end it.
      await daemon[Symbol.asyncDispose]();
      throw error;
    }
    return daemon;
  }

  /** Starts the process and waits until it answers; returns the milliseconds that took. */
  async boot(): Promise<number> {
    mkdirSync(this.root, { recursive: true });
    // The machine's own configuration is not ours.
    writeFileSync(join(this.root, "daemon.json"), JSON.stringify(this.config));
    const from = performance.now();
    const args = [
      "daemon",
      "-H",
      this.host,
      "--data-root",
      this.dataRoot,
      "--exec-root",
      this.execRoot,
      "--pidfile",
      join(this.root, "pid"),
      "--config-file",
      join(this.root, "daemon.json"),
      "--bridge",
      this.bridge,
      "--bip",
      `10.${this.#block}.0.1/24`,
      "--default-address-pool",
      `base=10.${this.#block}.128.0/17,size=24`,
      ...this.flags,
    ];
    this.#process = Bun.spawn([...this.through, executable, ...args], {
      stdin: "ignore",
      stdout: Bun.file(join(this.root, "log")),
      stderr: Bun.file(join(this.root, "log")),
    });
    while (!(await this.#answers())) {
      if (this.#process.exitCode !== null)
        throw new Error(`the daemon ended with ${this.#process.exitCode}:\n${this.log()}`);
      if (performance.now() - from > 60_000) throw new Error(`the daemon does not answer:\n${this.log()}`);
      await Bun.sleep(5);
    }
    return performance.now() - from;
  }

  /** The lines of its nftables' tables. */
  rules(): string[] {
    return ownRules(this);
  }

  get pid(): number {
    return this.#process!.pid;
  }

  log(): string {
    return existsSync(join(this.root, "log")) ? readFileSync(join(this.root, "log"), "utf8") : "";
  }

  /** kill -9. */
  async crash(): Promise<void> {
    this.#process!.kill("SIGKILL");
    await this.#process!.exited;
  }

  async shutDown(): Promise<void> {
    this.#process!.kill("SIGTERM");
    await this.#process!.exited;
  }

  gantry(
    args: string[],
    options: { stdin?: string | Blob; env?: Record<string, string>; cwd?: string } = {},
  ): Promise<Result> {
    return run([executable, ...args], { ...options, env: { GANTRY_HOST: this.host, ...options.env } });
  }

  /** The real docker CLI; it builds by the classic protocol unless told otherwise. */
  docker(
    args: string[],
    options: { stdin?: string | Blob; env?: Record<string, string>; cwd?: string } = {},
  ): Promise<Result> {
    return run(["docker", "-H", this.host, ...args], {
      ...options,
      env: { DOCKER_CONFIG: join(this.root, "docker-config"), DOCKER_BUILDKIT: "0", ...options.env },
    });
  }

  /** stdout of a command that must succeed. */
  async ok(args: string[], options: { stdin?: string | Blob; cwd?: string } = {}): Promise<string> {
    const result = await this.gantry(args, options);
    if (result.code !== 0)
      throw new Error(`gantry ${args.join(" ")}: exit ${result.code}\n${result.stdout}${result.stderr}`);
    return result.stdout.trimEnd();
  }

  /** The API, raw. */
  request(path: string, init: RequestInit = {}): Promise<Response> {
    return fetch(`http://localhost${path}`, { ...init, unix: this.socket } as RequestInit);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // A test that failed may have left it dead or stuck, with containers that only a daemon can clear up well.
    const cleared = this.#process !== undefined && (await Promise.race([this.#clear(), Bun.sleep(60_000)]));
    if (cleared !== true) await this.#process?.kill("SIGKILL");
    await this.#process?.exited;
    sweep(this);
    blocks.delete(this.#block);
    this.#cleared();
  }

  /** Removes all containers and networks, and ends the daemon. */
  async #clear(): Promise<boolean> {
    const dead = this.#process!.exitCode !== null || this.#process!.signalCode !== null;
    try {
      if (dead) await this.boot();
      const ids = (await this.gantry(["ps", "-aq"])).stdout.trim().split("\n").filter(Boolean);
      if (ids.length > 0) await this.gantry(["rm", "-f", "-v", ...ids]);
      await this.gantry(["network", "prune", "-f"]);
      await this.shutDown();
      return true;
    } catch (error) {
      console.error(error);
      return false;
    }
  }

  async #answers(): Promise<boolean> {
    if (!existsSync(this.socket)) return false;
    try {
      return (await this.request("/_ping")).ok;
    } catch {
      return false;
    }
  }
}

/** Second numbers of 10.n.0.0/16 that daemons of this process have, running or not. */
const blocks = new Set<number>();

/** A number from 128 to 227 whose 10.n.0.0/16 nobody has: no daemon of this process, no link and no route of the host. */
function freeBlock(): number {
  const known = Bun.spawnSync(["ip", "-4", "route", "show", "table", "all"]).stdout.toString();
  const taken = new Set([...known.matchAll(/\b10\.(\d+)\./g)].map(([, number]) => Number(number)));
  // By chance all the same: another run of tests may ask at this moment.
  const first = Math.floor(Math.random() * 100);
  for (let n = 0; n < 100; n++) {
    const block = 128 + ((first + n) % 100);
    if (taken.has(block) || blocks.has(block)) continue;
    blocks.add(block);
    return block;
  }
  throw new Error("no 10.n.0.0/16 is free");
}

export async function run(
  command: string[],
  options: { stdin?: string | Blob; env?: Record<string, string | undefined>; cwd?: string } = {},
): Promise<Result> {
  const child = Bun.spawn(command, {
    stdin: options.stdin === undefined ? "ignore" : new Blob([options.stdin]),
    stdout: "pipe",
    stderr: "pipe",
    cwd: options.cwd ?? tmpdir(),
    env: { ...process.env, ...options.env },
  });
  const [stdout, stderr, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  return { code, stdout, stderr };
}

/** Waits until `condition` holds; what it stands for must come, so the bound is generous. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  what: string | (() => string),
  ms = 30_000,
): Promise<void> {
  const end = performance.now() + ms;
  while (!(await condition())) {
    if (performance.now() > end)
      throw new Error(`waited in vain: ${typeof what === "string" ? what : what()}`);
    await Bun.sleep(20);
  }
}
