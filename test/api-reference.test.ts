/** Every list and inspection has each field of the Engine API's reference, with its type; and each version its own. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TestDaemon, until } from "./support/daemon.ts";
import { disposeAll } from "./support/dispose.ts";
import { Reference } from "./support/reference.ts";

/** Left out of a container that didn't ask for them: what the container `box` of these tests has all of. */
const notAsked = [
  ...["ContainerState.Health", "ContainerConfig.Healthcheck", "ContainerConfig.StopSignal"],
  ...["ContainerConfig.StopTimeout", "ContainerConfig.ExposedPorts"],
  ...["HostConfig.Mounts", "HostConfig.Tmpfs", "HostConfig.Sysctls"],
];

/** Go's pointers to numbers. */
const nullable = ["MemorySwappiness", "PidsLimit", "OomKillDisable"].map((name) => `Resources.${name}`);

/** Not in every answer: Go's `omitempty`, other systems than Linux, swarm mode, versions after 1.51. */
const optional = [
  ...["ContainerSummary.SizeRw", "ContainerSummary.SizeRootFs", "ContainerSummary.Health"],
  ...[
    "ContainerInspectResponse.SizeRw",
    "ContainerInspectResponse.SizeRootFs",
    "ContainerInspectResponse.Storage",
  ],
  ...["ContainerConfig.ArgsEscaped", "ContainerConfig.NetworkDisabled", "ContainerConfig.Shell"],
  ...["HealthConfig.StartInterval", "HealthConfig.StartPeriod"],
  ...[
    "HostConfig.StorageOpt",
    "ContainerSummary.Annotations",
    "HostConfig.Annotations",
    "Resources.Init",
    "MountPoint.Name",
    "MountPoint.Driver",
  ],
  ...["Mount.Source", "Mount.ReadOnly", "Mount.Consistency", "Mount.BindOptions", "Mount.VolumeOptions"],
  ...["Mount.ImageOptions", "Mount.ClusterOptions", "Mount.TmpfsOptions"],
  ...["PortSummary.IP", "PortSummary.PublicPort"],
  ...["EndpointIPAMConfig.IPv6Address", "EndpointIPAMConfig.LinkLocalIPs"],
  ...["OCIDescriptor.urls", "OCIDescriptor.annotations", "OCIDescriptor.data", "OCIDescriptor.artifactType"],
  ...["OCIDescriptor.platform", "OCIPlatform.variant", "OCIPlatform.os.version", "OCIPlatform.os.features"],
  ...["ImageSummary.Manifests", "ImageInspect.Manifests", "ImageInspect.Identity", "ImageInspect.Variant"],
  ...[
    "ImageInspect.OsVersion",
    "ImageConfig.ArgsEscaped",
    "ImageConfig.ExposedPorts",
    "ImageConfig.Healthcheck",
  ],
  ...["ImageConfig.StopSignal", "ImageConfig.Shell"],
  ...["Network.Peers", "NetworkInspect.Services", "NetworkInspect.Status"],
  ...["IPAMConfig.IPRange", "IPAMConfig.AuxiliaryAddresses"],
  ...["Volume.Status", "Volume.ClusterVolume", "Volume.UsageData"],
  ...[
    "ContainerCPUStats.system_cpu_usage",
    "ContainerCPUStats.online_cpus",
    "ContainerCPUUsage.percpu_usage",
  ],
  ...["ContainerMemoryStats.max_usage", "ContainerMemoryStats.failcnt", "ContainerMemoryStats.commitbytes"],
  ...["ContainerMemoryStats.commitpeakbytes", "ContainerMemoryStats.privateworkingset"],
  ...["ContainerNetworkStats.endpoint_id", "ContainerNetworkStats.instance_id", "ContainerPidsStats.limit"],
  ...["ContainerStorageStats.read_count_normalized", "ContainerStorageStats.read_size_bytes"],
  ...["ContainerStorageStats.write_count_normalized", "ContainerStorageStats.write_size_bytes"],
  ...[
    "SystemInfo.NRI",
    "SystemInfo.Containerd",
    "SwarmInfo.Nodes",
    "SwarmInfo.Managers",
    "SwarmInfo.Cluster",
  ],
  ...["Runtime.runtimeArgs", "Runtime.status", "FirewallInfo.Info"],
  ...["ImageUsage", "ContainerUsage", "VolumeUsage", "BuildCacheUsage"].map(
    (use) => `SystemDataUsage.${use}`,
  ),
];

let daemon: TestDaemon;
let context: string;
beforeAll(async () => {
  daemon = await TestDaemon.start();
  context = mkdtempSync(join(tmpdir(), "gt-reference-"));
  writeFileSync(join(context, "Dockerfile"), "FROM busybox\nRUN touch /built\nLABEL of=test\n");
  await daemon.ok(["build", "-t", "built", context]);
  await daemon.ok(["network", "create", "--subnet", "10.77.0.0/24", "own"]);
  await daemon.ok(["volume", "create", "--label", "a=b", "data"]);
  await daemon.ok([
    ...[
      "run",
      "-d",
      "--name",
      "box",
      "--network",
      "own",
      "--ip",
      "10.77.0.9",
      "-p",
      "127.0.0.1::80",
      "--expose",
      "81",
    ],
    ...[
      "-v",
      "data:/data",
      "--mount",
      "type=tmpfs,target=/scratch",
      "--annotation",
      "note=1",
      "--label",
      "l=1",
    ],
    ...[
      "--health-cmd",
      "true",
      "--health-interval",
      "100ms",
      "--health-retries",
      "2",
      "--health-timeout",
      "5s",
      "--ulimit",
      "nofile=100:200",
      "--sysctl",
    ],
    ...["net.ipv4.ip_forward=0", "--tmpfs", "/t", "--stop-timeout", "1", "--stop-signal", "TERM"],
    ...["--device", "/dev/null:/dev/x", "busybox", "sh", "-c", "touch /new; sleep 100000"],
  ]);
  await daemon.ok(["create", "--name", "plain", "busybox"]);
});
afterAll(() => disposeAll(daemon, context));

async function get(path: string) {
  const response = await daemon.request(path);
  expect(response.status, path).toBe(200);
  return response.json();
}

/** Id of an exec that has ended. */
async function exec(): Promise<string> {
  const headers = { "content-type": "application/json" };
  const made = await daemon.request("/containers/box/exec", {
    method: "POST",
    headers,
    body: JSON.stringify({ Cmd: ["true"], AttachStdout: true }),
  });
  const { Id } = (await made.json()) as { Id: string };
  const body = JSON.stringify({ Detach: true });
  await daemon.request(`/exec/${Id}/start`, { method: "POST", headers, body });
  await until(
    async () => !((await get(`/exec/${Id}/json`)) as { Running: boolean }).Running,
    "the exec's end",
  );
  return Id;
}

/** The definition, and the answers that are held to it. */
const answers: [definition: string, path: string][] = [
  ["ContainerSummary", "/containers/json?all=1&size=1"],
  ["ContainerInspectResponse", "/containers/box/json?size=1"],
  ["ContainerInspectResponse", "/containers/plain/json"],
  ["ContainerTopResponse", "/containers/box/top"],
  ["ContainerStatsResponse", "/containers/box/stats?stream=0"],
  ["ContainerStatsResponse", "/containers/box/stats?stream=0&one-shot=1"],
  ["FilesystemChange", "/containers/box/changes"],
  ["ImageSummary", "/images/json"],
  ["ImageInspect", "/images/busybox/json"],
  ["ImageInspect", "/images/built/json"],
  ["ImageHistory", "/images/built/history"],
  ["NetworkSummary", "/networks"],
  ["NetworkInspect", "/networks/own"],
  ["VolumeListResponse", "/volumes"],
  ["Volume", "/volumes/data"],
  ["SystemInfo", "/info"],
  ["SystemVersion", "/version"],
  ["SystemDataUsage", "/system/df"],
];

test.each(answers)("%s: %s", async (definition, path) => {
  const absent = path.includes("/plain/") ? [...optional, ...notAsked] : optional;
  const reference = new Reference({ optional: absent, nullable });
  const answer = await get(path);
  const items = Array.isArray(answer) && definition !== "ImageHistory" ? (answer as unknown[]) : [answer];
  for (const item of items) reference.check(definition, item);
  expect(reference.problems).toEqual([]);
  expect(items.length).toBeGreaterThan(0);
});

test("the parts of a disk usage", async () => {
  const usage = (await get("/system/df")) as Record<string, unknown[]>;
  const reference = new Reference({ optional, nullable });
  const parts = {
    Images: "ImageSummary",
    Containers: "ContainerSummary",
    Volumes: "Volume",
    BuildCache: "BuildCache",
  };
  for (const [part, definition] of Object.entries(parts)) {
    expect(usage[part]!.length, part).toBeGreaterThan(0);
    for (const item of usage[part]!) reference.check(definition, item);
  }
  expect(reference.problems).toEqual([]);
});

test("an exec's inspection", async () => {
  const reference = new Reference({ optional, nullable });
  reference.check("ExecInspect", await get(`/exec/${await exec()}/json`));
  expect(reference.problems).toEqual([]);
});

test("events", async () => {
  const text = await (await daemon.request(`/events?since=1&until=${Date.now() / 1000}`)).text();
  const events = text
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as { Type: string });
  const reference = new Reference({ optional, nullable });
  for (const event of events) reference.check("EventMessage", event);
  expect(reference.problems).toEqual([]);
  expect(new Set(events.map(({ Type }) => Type))).toEqual(
    new Set(
      ["container", "image", "network", "volume"].filter((type) => events.some((e) => e.Type === type)),
    ),
  );
});

test("what was empty before: the directories of a tree, the place of its network, health", async () => {
  await until(async () => {
    const { State } = (await get("/containers/box/json")) as { State: { Health: { Status: string } } };
    return State.Health.Status === "healthy";
  }, "a healthy box");
  const { GraphDriver, NetworkSettings } = (await get("/containers/box/json")) as {
    GraphDriver: { Data: Record<string, string> };
    NetworkSettings: { SandboxKey: string };
  };
  expect(Object.keys(GraphDriver.Data).sort()).toEqual([
    "ID",
    "LowerDir",
    "MergedDir",
    "UpperDir",
    "WorkDir",
  ]);
  expect(GraphDriver.Data.UpperDir).toStartWith(daemon.dataRoot);
  expect(NetworkSettings.SandboxKey).toStartWith(`${daemon.execRoot}/netns/`);
});

/** Fields at the border of a version: there in the one, not in the other. */
const borders: [path: string, field: string, without: number, withIt: number][] = [
  ["/containers/box/json", "HostConfig.CgroupnsMode", 40, 41],
  ["/containers/box/json", "HostConfig.KernelMemory", 42, 41],
  ["/containers/box/json", "HostConfig.Annotations", 42, 43],
  ["/containers/box/json", "NetworkSettings.Networks.own.DNSNames", 43, 44],
  ["/containers/box/json", "NetworkSettings.Networks.own.GwPriority", 47, 48],
  ["/containers/box/json", "ImageManifestDescriptor", 47, 48],
  ["/containers/json", "0.HostConfig.Annotations", 45, 46],
  ["/containers/json", "0.ImageManifestDescriptor", 47, 48],
  ["/images/busybox/json", "VirtualSize", 44, 43],
  ["/images/busybox/json", "Container", 45, 44],
  ["/images/busybox/json", "Config.Hostname", 50, 49],
  ["/images/busybox/json", "Descriptor", 47, 48],
  ["/images/json", "0.VirtualSize", 44, 43],
  ["/networks/own", "EnableIPv4", 47, 48],
  ["/system/df", "BuildCache.0.Parent", 42, 41],
  ["/system/df", "BuildCache.0.Parents", 41, 42],
  ["/system/df", "BuilderSize", 42, 41],
  ["/version", "Components", 34, 35],
  ["/version", "Platform", 34, 35],
  ["/info", "ProductLicense", 38, 39],
  ["/info", "Warnings", 38, 39],
  ["/info", "DefaultAddressPools", 40, 41],
  ["/info", "KernelMemory", 42, 41],
  ["/info", "RegistryConfig.AllowNondistributableArtifactsCIDRs", 49, 48],
  ["/info", "InitCommit.Expected", 49, 48],
  ["/info", "BridgeNfIp6tables", 50, 49],
  ["/info", "CgroupVersion", 40, 41],
  ["/info", "CDISpecDirs", 43, 44],
  ["/info", "RuncCommit.Expected", 49, 48],
  ["/info", "FirewallBackend", 48, 49],
  ["/info", "BridgeNfIptables", 50, 49],
  ["/info", "DiscoveredDevices", 49, 50],
];

test.each(borders)("%s has %s not in 1.%d, but in 1.%d", async (path, field, without, withIt) => {
  const has = async (version: number) => {
    let value = await get(`/v1.${version}${path}`);
    for (const name of field.split(".")) {
      if (value === null || typeof value !== "object" || !Object.hasOwn(value, name)) return false;
      value = (value as Record<string, unknown>)[name];
    }
    return true;
  };
  expect([await has(without), await has(withIt)]).toEqual([false, true]);
});

test("aliases have the short id until 1.45, and an image without a name says so until 1.43", async () => {
  const aliases = async (version: number) =>
    (
      (await get(`/v1.${version}/containers/box/json`)) as {
        Id: string;
        NetworkSettings: { Networks: { own: { Aliases: string[] | null } } };
      }
    ).NetworkSettings.Networks.own.Aliases;
  expect(await aliases(44)).toHaveLength(1);
  expect(await aliases(45)).toBeNull();
});

test("a body's fields that came later are passed over", async () => {
  const create = async (version: number) => {
    const response = await daemon.request(`/v1.${version}/containers/create`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({
        Image: "busybox",
        HostConfig: { Annotations: { a: "b" }, ConsoleSize: [10, 20] },
      }),
    });
    const { Id } = (await response.json()) as { Id: string };
    const { HostConfig } = (await get(`/containers/${Id}/json`)) as {
      HostConfig: { Annotations?: object; ConsoleSize: number[] };
    };
    await daemon.ok(["rm", Id]);
    return [HostConfig.ConsoleSize, HostConfig.Annotations];
  };
  expect(await create(41)).toEqual([[0, 0], undefined]);
  expect(await create(42)).toEqual([[10, 20], undefined]);
  expect(await create(43)).toEqual([[10, 20], { a: "b" }]);
});
