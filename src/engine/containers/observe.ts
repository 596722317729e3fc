import { readFileSync } from "node:fs";
import { totalmem } from "node:os";
import { Conflict, InvalidParameter } from "../../lib/errors.ts";
import { type Context, cgroupPath } from "../context.ts";
import type { ContainerRecord, StatsSample } from "../types.ts";
import { isRunning } from "./state.ts";
import type { Container } from "./table.ts";

/** `docker top`: the host's ps, cut down to the container's processes. @throws Conflict, InvalidParameter */
export async function top(
  context: Context,
  record: ContainerRecord,
  psArgs: string,
): Promise<{ titles: string[]; processes: string[][] }> {
  if (!isRunning(record)) throw new Conflict(`container ${record.id} is not running`);
  const args = psArgs.trim() === "" ? ["-ef"] : psArgs.trim().split(/\s+/);
  if (psArgs.includes("\0")) throw new InvalidParameter("ps_args has a NUL character");
  // ps takes `-p` besides its own selection as "and"/"or" by option; so all are listed and filtered here.
  const ps = Bun.spawn(["ps", ...args], {
    stdout: "pipe",
    stderr: "pipe",
    env: { ...process.env, LC_ALL: "C" },
  });
  const [output, problem, code] = await Promise.all([
    new Response(ps.stdout).text(),
    new Response(ps.stderr).text(),
    ps.exited,
  ]);
  if (code !== 0) throw new InvalidParameter(`ps ${args.join(" ")}: ${problem.trim().split("\n")[0]}`);
  const [head = "", ...lines] = output.trimEnd().split("\n");
  const titles = head.trim().split(/\s+/);
  const pidColumn = titles.indexOf("PID");
  if (pidColumn < 0) throw new InvalidParameter("Couldn't find PID field in ps output");
  const pids = new Set(
    context.runtime.pids(cgroupPath(record.hostConfig.CgroupParent, record.id)).map(String),
  );
  const processes = lines
    .map((line) => {
      const words = line.trim().split(/\s+/);
      // The last column is the command, with its spaces.
      return [...words.slice(0, titles.length - 1), words.slice(titles.length - 1).join(" ")];
    })
    .filter((words) => pids.has(words[pidColumn]!));
  return { titles, processes };
}

/** One sample of a running container; undefined when it does not run. */
export function sample(context: Context, record: ContainerRecord): StatsSample | undefined {
  if (!isRunning(record)) return undefined;
  return {
    readAt: Date.now(),
    cgroup: context.runtime.stats(cgroupPath(record.hostConfig.CgroupParent, record.id)),
    memoryTotal: totalmem(),
    systemCpu: hostCpu(),
    onlineCpus: navigator.hardwareConcurrency,
    networks: record.sandboxId === "" ? {} : context.network.counters(record.sandboxId),
  };
}

/** A sample a second, undefined while it doesn't run, until the caller leaves or the container is removed. */
export async function* samples(
  context: Context,
  container: Container,
  signal: AbortSignal,
): AsyncGenerator<StatsSample | undefined> {
  let removed = false;
  const forget = container.onRemoval(() => {
    removed = true;
  });
  try {
    while (!signal.aborted && !removed) {
      yield sample(context, container.record);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(done, 1000);
        function done() {
          clearTimeout(timer);
          signal.removeEventListener("abort", done);
          resolve();
        }
        signal.addEventListener("abort", done);
      });
    }
  } finally {
    forget();
  }
}

/** Nanoseconds of CPU that the whole host has used (first line of /proc/stat, in clock ticks of 10 ms). */
function hostCpu(): number {
  const ticks = readFileSync("/proc/stat", "utf8")
    .split("\n", 1)[0]!
    .trim()
    .split(/\s+/)
    .slice(1, 9)
    .map(Number);
  return ticks.reduce((sum, n) => sum + n, 0) * 10_000_000;
}
