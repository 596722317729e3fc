/** Processes as the kernel shows them: signals without pid reuse, resource limits, capabilities of this process. */
import { ptr } from "bun:ffi";
import { readFileSync } from "node:fs";
import { constants } from "node:os";
import { Errno, errno, libc } from "./libc.ts";

const { close, getrlimit, syscall } = libc({
  close: { args: ["i32"], returns: "i32" },
  getrlimit: { args: ["i32", "ptr"], returns: "i32" },
  syscall: { args: ["i64", "i64", "i64", "i64", "i64"], returns: "i64" },
});

// Numbers since 424 are the same on every architecture; glibc before 2.36 has no wrappers for these.
const pidfdSendSignalNumber = 424;
const pidfdOpenNumber = 434;

/** A process that can't be mistaken for a later one of the same pid. */
export interface ProcessIdentity {
  pid: number;
  /** Field 22 of /proc/<pid>/stat: clock ticks from boot to the start of the process. */
  startTicks: number;
}

/** undefined when the process is gone. A zombie still counts: its pid can't be reused. */
export function startTicksOf(pid: number): number | undefined {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  } catch {
    return undefined;
  }
  // The name in parentheses may hold spaces and parentheses itself.
  return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19]);
}

/** True while it runs or is a zombie. */
export function processExists({ pid, startTicks }: ProcessIdentity): boolean {
  return startTicksOf(pid) === startTicks;
}

/** A pidfd, closed by `using`. undefined when there is no such process. @throws Errno */
export function openPidfd(pid: number): (Disposable & { signal(signal: number): boolean }) | undefined {
  const fd = Number(syscall(pidfdOpenNumber, pid, 0, 0, 0));
  if (fd < 0) {
    const failed = errno();
    if (failed === constants.errno.ESRCH || failed === constants.errno.EINVAL) return undefined;
    throw new Errno(failed, "pidfd_open", String(pid));
  }
  return {
    /** False when the process is gone. @throws Errno */
    signal(signal) {
      if (Number(syscall(pidfdSendSignalNumber, fd, signal, 0, 0)) >= 0) return true;
      const failed = errno();
      if (failed === constants.errno.ESRCH) return false;
      throw new Errno(failed, "pidfd_send_signal", String(pid));
    },
    [Symbol.dispose]() {
      close(fd);
    },
  };
}

/** Sends a signal to exactly this process. False when it's gone. @throws Errno */
export function signalProcess(process: ProcessIdentity, signal: number): boolean {
  using pidfd = openPidfd(process.pid);
  // The descriptor pins whatever has the pid now; the start time tells whether that's the process meant.
  return pidfd !== undefined && startTicksOf(process.pid) === process.startTicks && pidfd.signal(signal);
}

/** `RLIMIT_*` as the kernel counts them (x86 and arm). */
const rlimitNumbers = {
  RLIMIT_CPU: 0,
  RLIMIT_FSIZE: 1,
  RLIMIT_DATA: 2,
  RLIMIT_STACK: 3,
  RLIMIT_CORE: 4,
  RLIMIT_RSS: 5,
  RLIMIT_NPROC: 6,
  RLIMIT_NOFILE: 7,
  RLIMIT_MEMLOCK: 8,
  RLIMIT_AS: 9,
  RLIMIT_LOCKS: 10,
  RLIMIT_SIGPENDING: 11,
  RLIMIT_MSGQUEUE: 12,
  RLIMIT_NICE: 13,
  RLIMIT_RTPRIO: 14,
  RLIMIT_RTTIME: 15,
} as const;

export type RlimitName = keyof typeof rlimitNumbers;

export function isRlimitName(name: string): name is RlimitName {
  return Object.hasOwn(rlimitNumbers, name);
}

export function rlimitNumber(name: RlimitName): number {
  return rlimitNumbers[name];
}

/** This process's limits; Infinity: none. @throws Errno */
export function rlimitOf(name: RlimitName): { soft: number; hard: number } {
  const limits = new BigUint64Array(2);
  if (getrlimit(rlimitNumbers[name], ptr(limits)) < 0) throw new Errno(errno(), "getrlimit", name);
  const value = (raw: bigint) => (raw === 0xffff_ffff_ffff_ffffn ? Number.POSITIVE_INFINITY : Number(raw));
  return { soft: value(limits[0]!), hard: value(limits[1]!) };
}

/** Every capability in the kernel's order (linux/capability.h); the index is its bit. */
export const capabilityNames = [
  "CAP_CHOWN",
  "CAP_DAC_OVERRIDE",
  "CAP_DAC_READ_SEARCH",
  "CAP_FOWNER",
  "CAP_FSETID",
  "CAP_KILL",
  "CAP_SETGID",
  "CAP_SETUID",
  "CAP_SETPCAP",
  "CAP_LINUX_IMMUTABLE",
  "CAP_NET_BIND_SERVICE",
  "CAP_NET_BROADCAST",
  "CAP_NET_ADMIN",
  "CAP_NET_RAW",
  "CAP_IPC_LOCK",
  "CAP_IPC_OWNER",
  "CAP_SYS_MODULE",
  "CAP_SYS_RAWIO",
  "CAP_SYS_CHROOT",
  "CAP_SYS_PTRACE",
  "CAP_SYS_PACCT",
  "CAP_SYS_ADMIN",
  "CAP_SYS_BOOT",
  "CAP_SYS_NICE",
  "CAP_SYS_RESOURCE",
  "CAP_SYS_TIME",
  "CAP_SYS_TTY_CONFIG",
  "CAP_MKNOD",
  "CAP_LEASE",
  "CAP_AUDIT_WRITE",
  "CAP_AUDIT_CONTROL",
  "CAP_SETFCAP",
  "CAP_MAC_OVERRIDE",
  "CAP_MAC_ADMIN",
  "CAP_SYSLOG",
  "CAP_WAKE_ALARM",
  "CAP_BLOCK_SUSPEND",
  "CAP_AUDIT_READ",
  "CAP_PERFMON",
  "CAP_BPF",
  "CAP_CHECKPOINT_RESTORE",
] as const;

let held: ReadonlySet<string> | undefined;

/** The capabilities this process can hand on: those in its bounding and its permitted set, which nothing here changes. */
export function heldCapabilities(): ReadonlySet<string> {
  held ??= readHeldCapabilities();
  return held;
}

function readHeldCapabilities(): ReadonlySet<string> {
  const status = readFileSync("/proc/self/status", "latin1");
  const mask = (field: string) =>
    BigInt(`0x${new RegExp(`^${field}:\\s*([0-9a-f]+)`, "m").exec(status)?.[1] ?? "0"}`);
  const bits = mask("CapBnd") & mask("CapPrm");
  return new Set(capabilityNames.filter((_, bit) => (bits >> BigInt(bit)) & 1n));
}

/** Whether the kernel confines processes by AppArmor's profiles. */
export function appArmorIsOn(): boolean {
  try {
    return readFileSync("/sys/module/apparmor/parameters/enabled", "utf8").startsWith("Y");
  } catch {
    return false;
  }
}
