import { describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import {
  cgroupDirectories,
  cgroupDirectory,
  cgroupPids,
  isFrozen,
  readCgroupLayout,
  removeCgroup,
} from "./cgroup.ts";
import { strayControllers } from "./cgroup-hybrid.ts";
import { parseFlatKeyed, readCgroupFigures } from "./cgroup-stats.ts";
import { openPidfd, processExists, rlimitOf, signalProcess, startTicksOf } from "./process.ts";

describe("readCgroupLayout", () => {
  test("v2 only", () => {
    const layout = readCgroupLayout(
      "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n22 1 8:1 / / rw - ext4 /dev/x rw\n",
    );
    expect(layout).toEqual({ version: 2, controllers: new Map(), unified: "/sys/fs/cgroup" });
    expect(cgroupDirectory(layout, "memory", "/a/b")).toBe("/sys/fs/cgroup/a/b");
    expect(cgroupDirectories(layout, "/a")).toEqual(["/sys/fs/cgroup/a"]);
    expect(strayControllers(layout)).toEqual([]);
  });

  test("hybrid, with two controllers on one hierarchy", () => {
    const layout = readCgroupLayout(
      [
        "31 30 0:27 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw",
        "32 30 0:28 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct",
        "33 30 0:29 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd",
      ].join("\n"),
    );
    expect(layout.version).toBe(1);
    expect([...layout.controllers.keys()]).toEqual(["cpu", "cpuacct", "name=systemd"]);
    expect(cgroupDirectory(layout, "cpuacct", "/a")).toBe("/sys/fs/cgroup/cpu,cpuacct/a");
    expect(cgroupDirectory(layout, "memory", "/a")).toBeUndefined();
    expect(cgroupDirectories(layout, "/a")).toEqual([
      "/sys/fs/cgroup/cpu,cpuacct/a",
      "/sys/fs/cgroup/systemd/a",
      "/sys/fs/cgroup/unified/a",
    ]);
  });
});

test("v2's files become figures", () => {
  const unified = mkdtempSync(join(tmpdir(), "gantry-cgroup-"));
  try {
    const files = {
      "cpu.stat":
        "usage_usec 1500\nuser_usec 1000\nsystem_usec 500\nnr_periods 9\nnr_throttled 3\nthrottled_usec 7\n",
      "memory.current": "4096\n",
      "memory.max": "max\n",
      "memory.peak": "8192\n",
      "memory.stat": "anon 100\ninactive_file 50\n",
      "memory.events": "oom 2\noom_kill 1\n",
      "pids.current": "2\n",
      "pids.max": "10\n",
      "io.stat": "8:0 rbytes=10 wbytes=20 rios=1 wios=1\n8:16 rbytes=1 wbytes=2\n",
      "cgroup.freeze": "1\n",
      "cgroup.procs": "11\n12\n",
    };
    mkdirSync(join(unified, "g/child"), { recursive: true });
    for (const [name, text] of Object.entries(files)) writeFileSync(join(unified, "g", name), text);
    writeFileSync(join(unified, "g/child/cgroup.procs"), "13\n");
    const layout = { version: 2 as const, controllers: new Map<string, string>(), unified };
    expect(readCgroupFigures(layout, "/g")).toEqual({
      cpuTotal: 1_500_000,
      cpuUser: 1_000_000,
      cpuKernel: 500_000,
      periods: 9,
      throttledPeriods: 3,
      throttledTime: 7000,
      memoryUsage: 4096,
      memoryLimit: Number.POSITIVE_INFINITY,
      memoryPeak: 8192,
      memoryCache: 50,
      memoryStat: { anon: 100, inactive_file: 50 },
      pids: 2,
      pidsLimit: 10,
      ioBytes: [
        { major: 8, minor: 0, operation: "read", value: 10 },
        { major: 8, minor: 0, operation: "write", value: 20 },
        { major: 8, minor: 16, operation: "read", value: 1 },
        { major: 8, minor: 16, operation: "write", value: 2 },
      ],
      ioOperations: [
        { major: 8, minor: 0, operation: "read", value: 1 },
        { major: 8, minor: 0, operation: "write", value: 1 },
        { major: 8, minor: 16, operation: "read", value: 0 },
        { major: 8, minor: 16, operation: "write", value: 0 },
      ],
      oomKills: 1,
    });
    expect(cgroupPids(layout, "/g")).toEqual([11, 12, 13]);
    expect(isFrozen(layout, "/g")).toBeTrue();
    expect(readCgroupFigures(layout, "/none")).toBeUndefined();
    expect(cgroupPids(layout, "/none")).toEqual([]);
  } finally {
    rmSync(unified, { recursive: true });
  }
});

test("a group is removed with those below it, everywhere; none is no error", async () => {
  const layout = readCgroupLayout();
  const path = `/gantry-test-${process.pid}`;
  const directories = cgroupDirectories(layout, path);
  try {
    for (const directory of directories) mkdirSync(`${directory}/a/b`, { recursive: true });
    expect(directories.every((directory) => dirname(directory) !== "/")).toBeTrue();
  } finally {
    await removeCgroup(layout, path);
  }
  expect(cgroupPids(layout, path)).toEqual([]);
  await removeCgroup(layout, path);
});

test("parseFlatKeyed takes what it's given", () => {
  expect(parseFlatKeyed("a 1\n\nb\nc 2 3")).toEqual({ a: 1, c: 2 });
  expect(parseFlatKeyed(undefined)).toEqual({});
});

describe("processes", () => {
  test("a signal reaches the process meant and no later one of its pid", async () => {
    const child = Bun.spawn(["sleep", "100"]);
    const startTicks = startTicksOf(child.pid)!;
    expect(processExists({ pid: child.pid, startTicks })).toBeTrue();
    expect(signalProcess({ pid: child.pid, startTicks: startTicks - 1 }, 9)).toBeFalse();
    expect(child.exitCode).toBeNull();
    expect(signalProcess({ pid: child.pid, startTicks }, 15)).toBeTrue();
    await child.exited;
    expect(child.signalCode).toBe("SIGTERM");
    expect(signalProcess({ pid: child.pid, startTicks }, 15)).toBeFalse();
    expect(openPidfd(child.pid)).toBeUndefined();
  });

  test("limits of this process", () => {
    const { soft, hard } = rlimitOf("RLIMIT_NOFILE");
    expect(soft).toBeGreaterThan(0);
    expect(hard).toBeGreaterThanOrEqual(soft);
  });
});
