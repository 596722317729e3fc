/** The end of a daemon's things without the daemon: what it leaves when it was killed and can't come back. */
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** How the engine marks what is its own in the kernel. */
const instanceOf = (dataRoot: string) => createHash("sha256").update(dataRoot).digest("hex").slice(0, 8);

/** The lines of a daemon's nftables' tables: what it has of chains, rules and elements of maps. */
export function ownRules({ dataRoot }: Pick<Roots, "dataRoot">): string[] {
  return ["ip", "ip6"].flatMap((family) =>
    Bun.spawnSync(["nft", "list", "table", family, `gantry_${instanceOf(dataRoot)}`], { stderr: "ignore" })
      .stdout.toString()
      .split("\n")
      .filter(Boolean),
  );
}

interface Roots {
  root: string;
  dataRoot: string;
  bridge: string;
}

/** Processes, mounts, links, rules, control groups and files. Nothing there is no error. */
export function sweep({ root, dataRoot, bridge }: Roots): void {
  // A runtime or monitor at work would make something after all.
  for (const pid of processesNaming(root)) kill(pid);
  const containers = join(dataRoot, "containers");
  const groups = existsSync(containers)
    ? readdirSync(containers).flatMap((id) => groupsAt(`gantry/${id}`))
    : [];
  for (const group of groups) endAllIn(group);
  for (const { target } of leftMounts(root)) Bun.spawnSync(["umount", "-l", target]);
  const ip = (...args: string[]) => Bun.spawnSync(["ip", ...args]).stdout.toString();
  const instance = instanceOf(dataRoot);
  for (const line of ip("-o", "link").split("\n")) {
    const name = /^\d+: ([^:@]+)/.exec(line)?.[1];
    if (name !== undefined && (name === bridge || line.includes(`alias gantry:${instance}:`)))
      ip("link", "delete", name);
  }
  for (const family of ["ip", "ip6"])
    Bun.spawnSync(["nft", "delete", "table", family, `gantry_${instance}`], { stderr: "ignore" });
  for (const group of groups) removeGroup(group);
  rmSync(root, { recursive: true, force: true });
}

/** The end of what a test of one layer has: processes in its cgroups, mounts below its directory, and both. */
export function sweepLab(directory: string, cgroupParent: string): void {
  // A runtime at work would make a cgroup after all.
  for (const pid of processesNaming(directory)) kill(pid);
  const groups = groupsAt(cgroupParent).flatMap(groupsBelow);
  for (const group of groups) endAllIn(group);
  for (const { target } of leftMounts(directory)) Bun.spawnSync(["umount", "-l", target]);
  for (const group of groups) removeGroup(group);
  rmSync(directory, { recursive: true, force: true });
}

/** A cgroup and those in it, innermost first. */
function groupsBelow(group: string): string[] {
  const inner = readdirSync(group, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  return [...inner.flatMap(({ name }) => groupsBelow(join(group, name))), group];
}

/** Pids of processes whose command line has `needle`. */
export function processesNaming(needle: string): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && name !== String(process.pid))
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ").includes(needle);
      } catch {
        return false;
      }
    })
    .map(Number);
}

/** Mounts below a directory, innermost first. */
export function leftMounts(root: string): { target: string }[] {
  return readFileSync("/proc/self/mounts", "utf8")
    .split("\n")
    .map((line) => ({ target: line.split(" ")[1] ?? "" }))
    .filter(({ target }) => target.startsWith(`${root}/`))
    .reverse();
}

/** A cgroup's directories, one in each hierarchy that has it. */
export function groupsAt(path: string): string[] {
  const root = "/sys/fs/cgroup";
  const hierarchies = [root, ...readdirSync(root).map((name) => join(root, name))];
  return hierarchies.map((at) => join(at, path)).filter((at) => existsSync(at));
}

/** Removes a cgroup that nothing is in any more. */
export function removeGroups(path: string): void {
  for (const group of groupsAt(path)) removeGroup(group);
}

function endAllIn(group: string): void {
  for (const pid of pidsIn(group)) kill(pid);
  // What is frozen dies only once thawed.
  for (const [file, word] of [
    ["freezer.state", "THAWED"],
    ["cgroup.freeze", "0"],
  ] as const)
    if (existsSync(join(group, file))) writeFileSync(join(group, file), word);
}

function pidsIn(group: string): number[] {
  try {
    return readFileSync(join(group, "cgroup.procs"), "utf8").split("\n").filter(Boolean).map(Number);
  } catch {
    return [];
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It has gone on its own.
  }
}

/** The kernel lets a group go a moment after its last process. */
function removeGroup(group: string): void {
  for (let tries = 0; tries < 1000; tries++) {
    try {
      rmdirSync(group);
      return;
    } catch (error) {
      if ((error as { code?: string }).code !== "EBUSY") return;
      Bun.sleepSync(10);
    }
  }
}
