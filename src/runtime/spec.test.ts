/** The parts of config.json that are decided here rather than by the OCI runtime. */
import { describe, expect, test } from "bun:test";
import type { CgroupLayout } from "../linux/cgroup.ts";
import { startFailure } from "./failures.ts";
import { ociRlimits } from "./rlimits.ts";
import { type OciSpec, ociJson, ociResources, ociSpec } from "./spec.ts";
import type { ContainerSpec } from "./types.ts";

const v2: CgroupLayout = { version: 2, controllers: new Map(), unified: "/sys/fs/cgroup" };
const host = { cgroup: v2, monitor: "/x/monitor" };

const base: ContainerSpec = {
  id: "c",
  rootfs: "/r",
  readonlyRootfs: false,
  process: {
    args: ["cmd"],
    env: [],
    cwd: "/",
    user: { uid: 0, gid: 0, additionalGids: [] },
    terminal: false,
    capabilities: ["CAP_CHOWN"],
    noNewPrivileges: false,
    rlimits: [],
  },
  mounts: [],
  namespaces: [{ type: "mount" }],
  devices: [],
  resources: {},
  cgroupPath: "/g/c",
  sysctls: {},
  privileged: false,
  seccomp: "default",
};

interface Mount {
  destination: string;
  source: string;
  options: string[];
}
const mountsOf = (spec: OciSpec) => spec.mounts as Mount[];

describe("ociSpec", () => {
  test("default mounts in order; one of the container's own replaces its default", () => {
    const destinations = mountsOf(ociSpec(base, host)).map(({ destination }) => destination);
    expect(destinations).toEqual([
      "/proc",
      "/dev",
      "/dev/pts",
      "/sys",
      "/sys/fs/cgroup",
      "/dev/mqueue",
      "/dev/shm",
    ]);
    const shm = { destination: "/dev/shm", type: "bind", source: "/dev/shm", options: ["rbind"] };
    const mounts = mountsOf(ociSpec({ ...base, mounts: [shm] }, host));
    expect(mounts.filter(({ destination }) => destination === "/dev/shm")).toEqual([shm]);
    expect(mountsOf(ociSpec({ ...base, shmSize: 1234 }, host)).at(-1)!.options).toContain("size=1234");
  });

  test("devices: nothing but what is named; everything when privileged", () => {
    const device = {
      path: "/dev/x",
      type: "c" as const,
      major: 10,
      minor: 229,
      access: "rw",
      fileMode: 0o660,
    };
    const spec = ociSpec({ ...base, devices: [device] }, host);
    expect(spec.linux.devices).toEqual([
      { path: "/dev/x", type: "c", major: 10, minor: 229, fileMode: 0o660 },
    ]);
    expect((spec.linux.resources as { devices: object }).devices).toEqual([
      { allow: false, access: "rwm" },
      { allow: true, type: "c", major: 10, minor: 229, access: "rw" },
    ]);
    const privileged = ociSpec({ ...base, privileged: true }, host).linux;
    expect((privileged.resources as { devices: object }).devices).toEqual([{ allow: true, access: "rwm" }]);
    expect(privileged).toMatchObject({ maskedPaths: [], readonlyPaths: [], seccomp: undefined });
  });

  test("init goes in front of the command, from the monitor's file", () => {
    const spec = ociSpec({ ...base, init: true }, host);
    expect((spec.process as { args: string[] }).args).toEqual(["/sbin/docker-init", "--", "cmd"]);
    expect(mountsOf(spec).at(-1)).toMatchObject({
      destination: "/sbin/docker-init",
      source: "/x/monitor",
      options: ["bind", "ro"],
    });
  });

  test("no limit on v2 that only v1 has", () => {
    const { memory } = ociResources(
      { memory: 1, memorySwappiness: 3, oomKillDisable: true, memorySwap: 2 },
      v2,
    );
    expect(memory).toEqual({
      limit: 1,
      reservation: undefined,
      swap: 2,
      swappiness: undefined,
      disableOOMKiller: undefined,
    });
  });
});

describe("ociRlimits", () => {
  const nofile = (soft: number, hard: number, explicit: boolean) => [
    { type: "RLIMIT_NOFILE", soft, hard, explicit },
  ];

  test.each([
    ["fits", nofile(5, 10, true), { soft: 5, hard: 10 }],
    ["a default is lowered", nofile(500, 1000, false), { soft: 100, hard: 100 }],
    ["an unlimited default too", nofile(-1, -1, false), { soft: 100, hard: 100 }],
    ["a soft limit above", nofile(50, 1000, false), { soft: 50, hard: 100 }],
  ])("%s", (_, limits, expected) => {
    expect(ociRlimits(limits, () => 100)).toEqual([{ type: "RLIMIT_NOFILE", ...expected }]);
  });

  test("explicit and too high, or unknown", () => {
    expect(() => ociRlimits(nofile(5, 1000, true), () => 100)).toThrow(
      "error setting rlimit type 7: operation not permitted: the hard limit of nofile can be 100 at most",
    );
    expect(() => ociRlimits([{ type: "RLIMIT_FOO", soft: 1, hard: 1, explicit: false }])).toThrow(
      "invalid ulimit type",
    );
  });

  test("unlimited is written with all its 64 bits", () => {
    expect(ociJson(ociRlimits(nofile(-1, -1, true), () => Number.POSITIVE_INFINITY))).toBe(
      '[{"type":"RLIMIT_NOFILE","soft":18446744073709551615,"hard":18446744073709551615}]',
    );
  });
});

describe("startFailure", () => {
  test.each([
    [
      "executable file `foo` not found in $PATH: No such file or directory",
      "foo",
      127,
      'exec: "foo": executable file not found in $PATH',
    ],
    [
      "executable file `/x/foo` not found in $PATH: No such file or directory",
      "/x/foo",
      127,
      'exec: "/x/foo": stat /x/foo: no such file or directory',
    ],
    ["open executable: Permission denied", "/etc/passwd", 126, 'exec: "/etc/passwd": permission denied'],
    ["open executable: Operation not permitted", "/etc", 126, 'exec: "/etc": is a directory'],
    ["open executable: Operation not permitted", "", 127, 'exec: "": executable file not found in $PATH'],
    [
      'runc run failed: unable to start container process: exec: "foo": executable file not found in $PATH',
      "foo",
      127,
      'exec: "foo": executable file not found in $PATH',
    ],
    [
      'time="2026-11-24T04:46:33Z" level=error msg="exec failed: unable to start container process: exec: \\"/etc\\": permission denied"',
      "/etc",
      126,
      'exec: "/etc": permission denied',
    ],
  ])("%s", (output, command, exitCode, text) => {
    const failure = startFailure("exec", `a warning\n${output}\n`, command);
    expect(failure.exitCode).toBe(exitCode as 126);
    expect(failure.message).toBe(
      `OCI runtime exec failed: exec failed: unable to start container process: ${text}: unknown`,
    );
  });

  test("anything else is 125 and keeps the runtime's words", () => {
    expect(startFailure("start", "mount `x` to `y`: No such device\n", "foo")).toMatchObject({
      exitCode: 125,
      message:
        "failed to create task for container: failed to create shim task: OCI runtime create failed: runc create failed: mount `x` to `y`: No such device: unknown",
    });
    expect(startFailure("start", "", "foo").message).toContain("gave no reason");
  });
});
