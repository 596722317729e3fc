/** What the kernel lacks: `info` tells it, and limits that can't be kept are dropped with Docker's words. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { run, TestDaemon } from "./support/daemon.ts";

interface Info {
  [field: string]: unknown;
  DriverStatus: [string, string][];
  SecurityOptions: string[];
  Warnings: string[] | null;
  NFd: number;
  NGoroutines: number;
}
const infoOf = async (daemon: TestDaemon, version = "v1.51"): Promise<Info> =>
  (await daemon.request(`/${version}/info`)).json() as Promise<Info>;

describe("a daemon on this machine", () => {
  let daemon: TestDaemon;
  beforeAll(async () => {
    daemon = await TestDaemon.start({ flags: ["--default-cgroupns-mode", "private"] });
  });
  afterAll(() => daemon?.[Symbol.asyncDispose]());

  test("info has figures of the daemon's own, and its storage's", async () => {
    const info = await infoOf(daemon);
    const descriptors = readdirSync(`/proc/${daemon.pid}/fd`).length;
    expect(Math.abs(info.NFd - descriptors)).toBeLessThan(10);
    expect(info.NGoroutines).toBeGreaterThan(1);
    expect(info.NGoroutines).toBeLessThan(200);
    expect(info.SecurityOptions).toContain("name=cgroupns");
    const status = Object.fromEntries(info.DriverStatus);
    const said = (await run(["stat", "-f", "-c", "%T", daemon.dataRoot])).stdout.trim();
    expect(status["Backing Filesystem"]).toBe(said === "ext2/ext3" ? "extfs" : said);
    expect(status["Supports d_type"]).toBe("true");
    expect(status["Native Overlay Diff"]).toBe("true");
    expect(info.IPv4Forwarding).toBe(true);
  });

  test("limits that info has support for are kept without a word", async () => {
    const info = await infoOf(daemon);
    const limits = { Memory: 64 << 20, CpuShares: 100, CpuQuota: 50_000, CpusetCpus: "0", PidsLimit: 20 };
    const supported = {
      Memory: info.MemoryLimit && info.SwapLimit,
      CpuShares: info.CPUShares,
      CpuQuota: info.CpuCfsQuota,
      CpusetCpus: info.CPUSet,
      PidsLimit: info.PidsLimit,
    };
    const HostConfig = Object.fromEntries(
      Object.entries(limits).filter(([name]) => supported[name as keyof typeof supported]),
    );
    expect(await create(daemon, HostConfig)).toMatchObject({ warnings: [], kept: HostConfig });
  });

  test("weights of block devices, which few kernels have", async () => {
    const info = await infoOf(daemon);
    const { warnings, kept } = await create(daemon, { BlkioWeight: 100 });
    const lacks =
      warnings[0] ===
      "Your kernel does not support Block I/O weight or the cgroup is not mounted. Weight discarded.";
    expect(kept.BlkioWeight).toBe(lacks ? 0 : 100);
    expect(warnings).toHaveLength(lacks ? 1 : 0);
    // Info has a word on it for cgroup v2 alone.
    if (info.CgroupVersion === "2")
      expect((info.Warnings ?? []).includes("WARNING: No io.weight support")).toBe(lacks);
  });
});

describe("a daemon that sees no control groups, and forwards nothing", () => {
  let daemon: TestDaemon;
  const forward = (on: "0" | "1") =>
    run(["nsenter", "-t", String(daemon.pid), "-n", "sh", "-c", `echo ${on} >/proc/sys/net/ipv4/ip_forward`]);
  beforeAll(async () => {
    const hide = `ip link set lo up; while umount -l /sys/fs/cgroup 2>/dev/null; do :; done; exec "$@"`;
    daemon = await TestDaemon.start({
      through: ["unshare", "--mount", "--net", "sh", "-c", hide, "sh"],
      flags: ["-H", "tcp://127.0.0.1:2375", "--allow-insecure-tcp"],
    });
    expect((await forward("0")).code).toBe(0);
  });
  afterAll(() => daemon?.[Symbol.asyncDispose]());

  test("info says so", async () => {
    const info = await infoOf(daemon);
    expect(info).toMatchObject({
      MemoryLimit: false,
      SwapLimit: false,
      CpuCfsPeriod: false,
      CpuCfsQuota: false,
      CPUShares: false,
      CPUSet: false,
      PidsLimit: false,
      OomKillDisable: false,
      IPv4Forwarding: false,
    });
    expect((await infoOf(daemon, "v1.41")).KernelMemoryTCP).toBe(false);
    const [exposed, ...warnings] = info.Warnings ?? [];
    expect(exposed).toStartWith("WARNING: API is accessible on http://127.0.0.1:2375 without encryption.\n");
    expect(warnings).toEqual([
      "WARNING: No memory limit support",
      "WARNING: No swap limit support",
      "WARNING: No cpu cfs quota support",
      "WARNING: No cpu cfs period support",
      "WARNING: No cpu shares support",
      "WARNING: No cpuset support",
      "WARNING: No io.weight support",
      "WARNING: No io.weight (per device) support",
      "WARNING: No io.max (rbps) support",
      "WARNING: No io.max (wbps) support",
      "WARNING: No io.max (riops) support",
      "WARNING: No io.max (wiops) support",
      "WARNING: IPv4 forwarding is disabled",
    ]);
    expect((await daemon.docker(["info"])).stderr).toContain("WARNING: No memory limit support\n");
  });

  test("create drops the limits, with Docker's warnings", async () => {
    const device = { Path: "/dev/null", Rate: 1_000_000 };
    const { warnings, kept } = await create(
      daemon,
      {
        Memory: 64 << 20,
        MemoryReservation: 32 << 20,
        MemorySwappiness: 10,
        KernelMemory: 32 << 20,
        OomKillDisable: true,
        PidsLimit: 9,
        CpuShares: 100,
        CpuPeriod: 100_000,
        CpuQuota: 50_000,
        CpusetCpus: "0",
        BlkioWeight: 100,
        BlkioWeightDevice: [{ Path: "/dev/null", Weight: 100 }],
        BlkioDeviceReadBps: [device],
        BlkioDeviceWriteBps: [device],
        BlkioDeviceReadIOps: [device],
        BlkioDeviceWriteIOps: [device],
      },
      "v1.41",
    );
    const lacks = (what: string) => `Your kernel does not support ${what} or the cgroup is not mounted.`;
    expect(warnings).toEqual([
      `${lacks("memory limit capabilities")} Limitation discarded.`,
      `${lacks("memory swappiness capabilities")} Memory swappiness discarded.`,
      `${lacks("memory soft limit capabilities")} Limitation discarded.`,
      `${lacks("kernel memory limit capabilities")} Limitation discarded.`,
      "Your kernel does not support OomKillDisable. OomKillDisable discarded.",
      `${lacks("PIDs limit capabilities")} PIDs limit discarded.`,
      `${lacks("CPU shares")} Shares discarded.`,
      "Your kernel does not support CPU CFS scheduler. CPU period/quota discarded.",
      `${lacks("cpuset")} Cpuset discarded.`,
      `${lacks("Block I/O weight")} Weight discarded.`,
      `${lacks("Block I/O weight_device")} Weight-device discarded.`,
      `${lacks("BPS Block I/O read limit")} Block I/O BPS read limit discarded.`,
      `${lacks("BPS Block I/O write limit")} Block I/O BPS write limit discarded.`,
      `${lacks("IOPS Block read limit")} Block I/O IOPS read limit discarded.`,
      `${lacks("IOPS Block write limit")} Block I/O IOPS write limit discarded.`,
      "IPv4 forwarding is disabled. Networking will not work.",
    ]);
    expect(kept).toMatchObject({
      Memory: 0,
      MemorySwap: -1,
      MemorySwappiness: null,
      OomKillDisable: null,
      PidsLimit: null,
      CpuShares: 0,
      CpuQuota: 0,
      CpusetCpus: "",
      BlkioWeight: 0,
      BlkioDeviceReadBps: [],
    });
  });

  test("update warns too; what nothing comes near to is refused", async () => {
    await daemon.ok(["create", "--name", "plain", "--network", "none", "busybox", "true"]);
    const updated = await daemon.request("/v1.51/containers/plain/update", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ BlkioWeight: 200 }),
    });
    expect(await updated.json()).toEqual({
      Warnings: [
        "Your kernel does not support Block I/O weight or the cgroup is not mounted. Weight discarded.",
      ],
    });
    expect((await daemon.docker(["create", "--cpus", "0.5", "busybox"])).stderr).toContain(
      "NanoCPUs can not be set, as your kernel does not support CPU CFS scheduler or the cgroup is not mounted",
    );
    expect((await daemon.docker(["create", "--cpu-rt-runtime", "9", "busybox"])).stderr).toContain(
      "Your kernel does not support cgroup CPU real-time scheduler",
    );
  });
});

/** Makes a container by the API, and says what it was told and what has become of its limits. */
async function create(daemon: TestDaemon, HostConfig: object, version = "v1.51") {
  const answer = await daemon.request(`/${version}/containers/create`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ Image: "busybox", Cmd: ["true"], HostConfig }),
  });
  const { Id, Warnings } = (await answer.json()) as { Id: string; Warnings: string[] };
  expect(answer.status).toBe(201);
  const inspected = (await (await daemon.request(`/${version}/containers/${Id}/json`)).json()) as {
    HostConfig: Record<string, unknown>;
  };
  return { warnings: Warnings, kept: inspected.HostConfig };
}
