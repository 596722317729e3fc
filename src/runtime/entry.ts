/**
 * Processes that enter a running container by the monitor itself (monitor/enter.c), which takes a quarter of what an OCI
 * runtime needs to find out about the container and link its libraries. Only the plain case: what the OCI runtime would
 * have to be asked about is left to it.
 */
import { existsSync, readFileSync } from "node:fs";
import { InvalidParameter } from "../lib/errors.ts";
import { type CgroupLayout, cgroupDirectories, readCgroupFile } from "../linux/cgroup.ts";
import type { RlimitName } from "../linux/process.ts";
import { capabilityNames, type ProcessIdentity, rlimitNumber } from "../linux/process.ts";
import { ociProcess } from "./spec.ts";
import type { ProcessSpec } from "./types.ts";

/** What the OCI runtime's state says of a container, as far as it is more than a process brings along. */
export interface Entrance {
  /** File of the compiled system call filter, or `unconfined`. */
  seccomp: string;
  noNewPrivileges: boolean;
  oomScoreAdj: number;
}

/** The parts of config.json (OCI runtime-spec) that are asked about; this daemon wrote it. */
interface Config {
  process?: {
    noNewPrivileges?: boolean;
    oomScoreAdj?: number;
    apparmorProfile?: string;
    selinuxLabel?: string;
  };
  linux?: {
    namespaces?: { type: string }[];
    seccomp?: { flags?: string[]; listenerPath?: string };
  };
}

/**
 * @param state crun's directory of the container
 * @returns undefined when its processes are of a kind that only the OCI runtime starts
 */
export function entranceOf(state: string): Entrance | undefined {
  let config: Config;
  try {
    config = JSON.parse(readFileSync(`${state}/config.json`, "utf8")) as Config;
  } catch {
    return undefined; // Another version of the runtime may keep its state differently.
  }
  const { process, linux } = config;
  if (!process || !linux) return undefined;
  if (process.apparmorProfile || process.selinuxLabel) return undefined;
  if (linux.namespaces?.some(({ type }) => type === "user")) return undefined;
  if (linux.seccomp?.flags?.length || linux.seccomp?.listenerPath) return undefined;
  const seccomp = linux.seccomp ? `${state}/seccomp.bpf` : "unconfined";
  if (linux.seccomp && !existsSync(seccomp)) return undefined;
  return {
    seccomp,
    noNewPrivileges: process.noNewPrivileges ?? false,
    oomScoreAdj: process.oomScoreAdj ?? 0,
  };
}

/**
 * The control groups that a process of the container joins: all of its.
 * @returns undefined when the container has divided its group, so that no process may be in the group itself (cgroups(7))
 */
export function groupsToJoin(layout: CgroupLayout, path: string): string[] | undefined {
  const directories = cgroupDirectories(layout, path);
  const divided = layout.version === 2 && readCgroupFile(directories[0], "cgroup.subtree_control") !== "";
  return directories.length === 0 || divided ? undefined : directories;
}

/**
 * What monitor/request.c reads: the length, then words with their values, each ended by a zero byte.
 * @param into the container's first process
 * @throws InvalidParameter for a value with a zero byte, or a limit that can't be set
 */
export function entryRequest(
  process: ProcessSpec,
  into: ProcessIdentity,
  entrance: Entrance,
  groups: string[],
): Uint8Array {
  const { oomScoreAdj = entrance.oomScoreAdj } = process;
  const { user, args, env, cwd, capabilities, rlimits, noNewPrivileges } = ociProcess({
    ...process,
    oomScoreAdj,
  });
  let text = "";
  const say = (word: string, value: string | number | boolean | bigint) => {
    if (String(value).includes("\0")) throw new InvalidParameter(`a zero byte in ${word}`);
    text += `${word} ${value}\0`;
  };
  say("pid", into.pid);
  say("ticks", into.startTicks);
  say("uid", user.uid);
  say("gid", user.gid);
  for (const group of user.additionalGids) say("group", group);
  say("umask", user.umask.toString(8));
  say("cwd", cwd);
  say("bounding", capabilityMask(capabilities.bounding));
  say("effective", capabilityMask(capabilities.effective));
  say("no-new-privileges", noNewPrivileges || entrance.noNewPrivileges);
  say("oom-score", oomScoreAdj);
  say("seccomp", entrance.seccomp);
  for (const { type, soft, hard } of rlimits)
    say("limit", `${rlimitNumber(type as RlimitName)} ${soft} ${hard}`);
  for (const group of groups) say("cgroup", group);
  for (const entry of env) say("env", entry);
  for (const arg of args) say("arg", arg);
  const body = Buffer.from(text);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(body.length);
  return Buffer.concat([length, body]);
}

/** A bit for each, in hexadecimal. */
function capabilityMask(names: readonly string[]): string {
  const bits = names.map(
    (name) => 1n << BigInt(capabilityNames.indexOf(name as (typeof capabilityNames)[number])),
  );
  return bits.reduce((all, bit) => all | bit, 0n).toString(16);
}
