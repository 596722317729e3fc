/** Another machine on the host's wire: a network namespace that is linked to this one. */
import { readlinkSync } from "node:fs";
import { type Result, run, until } from "./daemon.ts";
import { onInterrupt } from "./interrupt.ts";

export class Outside implements AsyncDisposable {
  readonly #link = `go${process.pid.toString(36)}${(made++).toString(36)}`.slice(0, 14);
  readonly #holder = Bun.spawn(["unshare", "-n", "sleep", "infinity"]);
  readonly #cleared = onInterrupt(() => this.#clear());

  private constructor() {}

  /**
   * @param wire addresses with prefix: ours on the link, and theirs
   * @returns one that has its default routes through us
   */
  static async open(wire: { ours: string; theirs: string }[]): Promise<Outside> {
    const outside = new Outside();
    try {
      await outside.#connect(wire);
      return outside;
    } catch (error) {
      await outside[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Runs a command there. */
  run(...command: string[]): Promise<Result> {
    return run(["nsenter", `--net=/proc/${this.#holder.pid}/ns/net`, ...command]);
  }

  /** Runs a command there until it's disposed of. */
  start(...command: string[]): Started {
    return start(["nsenter", `--net=/proc/${this.#holder.pid}/ns/net`, ...command]);
  }

  /** Our link-local address, with the scope that it has there. */
  async linkLocal(): Promise<string> {
    const shown = await run(["ip", "-6", "-o", "addr", "show", "dev", this.#link, "scope", "link"]);
    return `${/inet6 ([^/]+)/.exec(shown.stdout)![1]}%${this.#link}p`;
  }

  async #connect(wire: { ours: string; theirs: string }[]): Promise<void> {
    const own = readlinkSync("/proc/self/ns/net");
    const theirs = () => readlinkSync(`/proc/${this.#holder.pid}/ns/net`);
    await until(() => theirs() !== own, "a namespace");
    const [link, peer] = [this.#link, `${this.#link}p`];
    const here = (...args: string[]) => must(run(["ip", ...args]));
    const there = (...args: string[]) => must(this.run("ip", ...args));
    await here("link", "add", link, "type", "veth", "peer", "name", peer);
    await here("link", "set", peer, "netns", String(this.#holder.pid));
    for (const { ours, theirs } of wire) {
      await here("addr", "add", ours, "dev", link, ...(ours.includes(":") ? ["nodad"] : []));
      await there("addr", "add", theirs, "dev", peer, ...(theirs.includes(":") ? ["nodad"] : []));
    }
    await here("link", "set", link, "up");
    await there("link", "set", "lo", "up");
    await there("link", "set", peer, "up");
    for (const { ours } of wire) {
      const family = ours.includes(":") ? "-6" : "-4";
      await there(family, "route", "add", "default", "via", ours.split("/")[0]!, "dev", peer);
    }
  }

  #clear(): void {
    Bun.spawnSync(["ip", "link", "delete", this.#link], { stderr: "ignore" });
    this.#holder.kill("SIGKILL");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#clear();
    await this.#holder.exited;
    this.#cleared();
  }
}

let made = 0;

export interface Started extends Disposable {
  /** Of its output: it says something when it's ready. */
  firstLine: Promise<unknown>;
}

/** A command that runs until it's disposed of. */
export function start(command: string[]): Started {
  const child = Bun.spawn(command, { stdout: "pipe" });
  return { firstLine: child.stdout.getReader().read(), [Symbol.dispose]: () => child.kill("SIGKILL") };
}

async function must(command: Promise<Result>): Promise<void> {
  const { code, stderr } = await command;
  if (code !== 0) throw new Error(stderr);
}
