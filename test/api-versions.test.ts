/**
 * What the versions of the API differ in besides fields of answers (api-reference.test.ts has those): defaults, refusals
 * and parameters of containers, execs and the system, from the version history of Docker's API.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { run, TestDaemon, until } from "./support/daemon.ts";

let daemon: TestDaemon;
let below: string;
beforeAll(async () => {
  daemon = await TestDaemon.start();
  await daemon.ok(["network", "create", "first"]);
  await daemon.ok(["network", "create", "second"]);
  await daemon.ok(["volume", "create", "data"]);
  await daemon.ok([
    "run",
    "-d",
    "--name",
    "box",
    "--network",
    "first",
    "--pids-limit",
    "100",
    "busybox",
    "top",
  ]);
  await daemon.ok(["run", "-d", "--name", "talker", "busybox", "sh", "-c", "echo said; exec sleep 10000"]);
  await until(async () => (await daemon.ok(["logs", "talker"])) === "said", "what it says");
  below = join(daemon.root, "dir", "sub");
  mkdirSync(below, { recursive: true });
  if ((await run(["mount", "-t", "tmpfs", "below", below])).code !== 0) throw new Error("cannot mount");
});
afterAll(async () => {
  if (below !== undefined) await run(["umount", below]);
  await daemon?.[Symbol.asyncDispose]();
});

const get = async (version: number, path: string) =>
  (await (await daemon.request(`/v1.${version}${path}`)).json()) as Record<string, never>;
const post = (version: number, path: string, body?: object) =>
  daemon.request(`/v1.${version}${path}`, {
    method: "POST",
    ...(body && { headers: { "content-type": "application/json" }, body: JSON.stringify(body) }),
  });

interface Inspected {
  HostConfig: Record<string, unknown> & { Mounts?: { BindOptions?: object; VolumeOptions?: object }[] };
  Config: Record<string, unknown> & { Healthcheck?: object };
  NetworkSettings: { Networks: Record<string, { MacAddress: string }> };
}

/** Creates a container by one version, and looks at it by the newest; the message of a refusal. */
async function create<T>(
  version: number,
  body: object,
  look: (made: Inspected, warnings: string[]) => T,
  query = "",
): Promise<T | string> {
  const response = await post(version, `/containers/create${query}`, {
    Image: "busybox",
    Cmd: ["top"],
    ...body,
  });
  const answer = (await response.json()) as { Id: string; Warnings: string[]; message: string };
  if (response.status !== 201) return `${response.status} ${answer.message}`;
  try {
    return look((await get(51, `/containers/${answer.Id}/json`)) as unknown as Inspected, answer.Warnings);
  } finally {
    await daemon.request(`/v1.51/containers/${answer.Id}`, { method: "DELETE" });
  }
}

const host = (version: number, HostConfig: object, field: string) =>
  create(version, { HostConfig }, ({ HostConfig: made }) => made[field]);
const mount = (version: number, Mount: object) =>
  create(version, { HostConfig: { Mounts: [Mount] } }, ({ HostConfig: { Mounts } }) => Mounts?.[0]);
/** What a command in `talker` prints. */
async function exec(version: number, body: object): Promise<string> {
  const asked = { AttachStdout: true, Tty: true, ...body };
  const { Id } = (await (await post(version, "/containers/talker/exec", asked)).json()) as { Id: string };
  const started = await post(version, `/exec/${Id}/start`, { Tty: true });
  return (await started.text()).replaceAll("\r", "");
}

/** The messages of `talker`'s log over a websocket. */
function overWebsocket(version: number, query: string): Promise<unknown[]> {
  const socket = new WebSocket(
    `ws+unix://${daemon.socket}:/v1.${version}/containers/talker/attach/ws?logs=1&stream=0&${query}`,
  );
  socket.binaryType = "arraybuffer";
  const messages: unknown[] = [];
  socket.onmessage = ({ data }) => messages.push(data);
  return new Promise((resolve) => {
    socket.onclose = () => resolve(messages);
  });
}

const bindOf = () => ({ Type: "bind", Source: join(daemon.root, "dir"), Target: "/t" });
const mac = "02:11:22:33:44:55";

/** The first version that does otherwise; what one before it does, and what it does. */
const changes: [
  since: number,
  what: string,
  probe: (version: number) => Promise<unknown>,
  before: unknown,
  from: unknown,
][] = [
  [25, "AutoRemove", (v) => host(v, { AutoRemove: true }, "AutoRemove"), false, true],
  [
    25,
    "StopTimeout",
    (v) => create(v, { StopTimeout: 3 }, ({ Config }) => Config.StopTimeout ?? "none"),
    "none",
    3,
  ],
  [
    25,
    "bare names of security options",
    async (v) => (await get(v, "/info")).SecurityOptions?.[0],
    "seccomp",
    "name=seccomp,profile=builtin",
  ],
  [
    28,
    "a list of networks tells no containers",
    async (v) =>
      (
        (await get(v, "/networks?filters=%7B%22name%22%3A%5B%22first%22%5D%7D")) as unknown as {
          Containers: object;
        }[]
      ).map(({ Containers }) => Object.keys(Containers).length),
    [1],
    [0],
  ],
  [25, "Env of an exec", (v) => exec(v, { Cmd: ["sh", "-c", "echo $A"], Env: ["A=yes"] }), "\n", "yes\n"],
  [
    28,
    "a websocket's frames",
    async (v) => (await overWebsocket(v, "stdout=1")).map((data) => typeof data)[0],
    "string",
    "object",
  ],
  [
    30,
    "conditions of a wait",
    async (v) => {
      const left = new AbortController();
      const response = await fetch(`http://localhost/v1.${v}/containers/box/wait?condition=nonsense`, {
        unix: daemon.socket,
        method: "POST",
        signal: left.signal,
      } as RequestInit);
      left.abort();
      return response.status;
    },
    200,
    400,
  ],
  [35, "WorkingDir of an exec", (v) => exec(v, { Cmd: ["pwd"], WorkingDir: "/tmp" }), "/\n", "/tmp\n"],
  [40, "private IPC by default", (v) => host(v, {}, "IpcMode"), "shareable", "private"],
  [
    40,
    "KernelMemoryTCP",
    (v) =>
      create(
        v,
        { HostConfig: { KernelMemoryTCP: 1 << 24 } },
        ({ HostConfig }, warnings) => Boolean(HostConfig.KernelMemoryTCP) || warnings.length > 0,
      ),
    false,
    true,
  ],
  [
    40,
    "PidsLimit of an update",
    async (v) => {
      await post(51, "/containers/box/update", { PidsLimit: 100 });
      await post(v, "/containers/box/update", { PidsLimit: 50 });
      return ((await get(51, "/containers/box/json")) as unknown as Inspected).HostConfig.PidsLimit;
    },
    100,
    50,
  ],
  [
    41,
    "platform of a create",
    (v) => create(v, {}, () => "made", "?platform=linux/s390x"),
    "made",
    expect.stringMatching(/^404 .*busybox/),
  ],
  [41, "CgroupnsMode", (v) => host(v, { CgroupnsMode: "private" }, "CgroupnsMode"), "host", "private"],
  [
    41,
    "one-shot statistics",
    async (v) => {
      const stats = await get(v, "/containers/talker/stats?stream=0&one-shot=1");
      return (stats.precpu_stats as unknown as { system_cpu_usage?: number }).system_cpu_usage !== undefined;
    },
    true,
    false,
  ],
  [42, "streams of a websocket", async (v) => (await overWebsocket(v, "")).length > 0, true, false],
  [42, "ConsoleSize", (v) => host(v, { ConsoleSize: [10, 20] }, "ConsoleSize"), [0, 0], [10, 20]],
  [
    42,
    "options of another type of mount",
    (v) => mount(v, { Type: "tmpfs", Target: "/t", VolumeOptions: { NoCopy: true } }),
    { Type: "tmpfs", Target: "/t" },
    '400 VolumeOptions must not be specified on mount type "tmpfs"',
  ],
  [
    42,
    "CreateMountpoint",
    (v) =>
      mount(v, {
        ...bindOf(),
        Source: join(daemon.root, "dir", "made"),
        BindOptions: { CreateMountpoint: true },
      }),
    expect.stringContaining("bind source path does not exist"),
    expect.objectContaining({ BindOptions: { CreateMountpoint: true } }),
  ],
  [
    42,
    "signal of a stop",
    async (v) => {
      await post(v, "/containers/box/start");
      return (await post(v, "/containers/box/stop?signal=NONSENSE&t=0")).status;
    },
    204,
    400,
  ],
  [
    42,
    "type of a stream",
    async (v) => {
      const response = await daemon.request(`/v1.${v}/containers/box/logs?stdout=1`);
      await response.arrayBuffer();
      return response.headers.get("content-type");
    },
    "application/vnd.docker.raw-stream",
    "application/vnd.docker.multiplexed-stream",
  ],
  [
    42,
    "type of a disk usage",
    async (v) => Object.keys(await get(v, "/system/df?type=volume")).includes("Images"),
    true,
    false,
  ],
  [
    42,
    "a prune of volumes leaves the named ones",
    async (v) => {
      await post(51, "/volumes/create", { Name: "spare" });
      const filters = encodeURIComponent(JSON.stringify({ "label!": ["no"] }));
      const { VolumesDeleted } = (await (await post(v, `/volumes/prune?filters=${filters}`)).json()) as {
        VolumesDeleted: string[] | null;
      };
      return VolumesDeleted?.includes("spare") ?? false;
    },
    true,
    false,
  ],
  [43, "Annotations", (v) => host(v, { Annotations: { a: "b" } }, "Annotations"), undefined, { a: "b" }],
  [
    44,
    "StartInterval",
    (v) =>
      create(
        v,
        { Healthcheck: { Test: ["CMD", "true"], StartInterval: 1e9 } },
        ({ Config }) => Config.Healthcheck,
      ),
    { Test: ["CMD", "true"] },
    { Test: ["CMD", "true"], StartInterval: 1e9 },
  ],
  [
    44,
    "ReadOnlyForceRecursive",
    (v) =>
      mount(v, {
        ...bindOf(),
        ReadOnly: true,
        BindOptions: { Propagation: "rprivate", ReadOnlyForceRecursive: true },
      }),
    "400 BindOptions.ReadOnlyForceRecursive needs API v1.44 or newer",
    expect.objectContaining({ BindOptions: { Propagation: "rprivate", ReadOnlyForceRecursive: true } }),
  ],
  [
    44,
    "what is mounted below a read-only bind",
    async (v) => {
      const below = join(daemon.root, "dir");
      const asked = {
        HostConfig: { Binds: [`${below}:/t:ro`] },
        Cmd: ["touch", "/t/sub/x"],
        Image: "busybox",
      };
      const { Id } = (await (await post(v, "/containers/create", asked)).json()) as { Id: string };
      const waited = post(51, `/containers/${Id}/wait?condition=next-exit`).then((response) =>
        response.json(),
      );
      await post(51, `/containers/${Id}/start`);
      const { StatusCode } = (await waited) as { StatusCode: number };
      await daemon.request(`/v1.51/containers/${Id}`, { method: "DELETE" });
      return StatusCode;
    },
    0,
    1,
  ],
  [
    44,
    "several networks",
    (v) =>
      create(
        v,
        {
          NetworkingConfig: { EndpointsConfig: { first: {}, second: {} } },
          HostConfig: { NetworkMode: "first" },
        },
        ({ NetworkSettings }) => Object.keys(NetworkSettings.Networks).sort(),
      ),
    "400 Container cannot be created with multiple network endpoints: first, second",
    ["first", "second"],
  ],
  [
    44,
    "an endpoint's MAC address",
    (v) =>
      create(
        v,
        {
          HostConfig: { NetworkMode: "first" },
          NetworkingConfig: { EndpointsConfig: { first: { MacAddress: mac } } },
        },
        ({ NetworkSettings }) => NetworkSettings.Networks.first!.MacAddress,
      ),
    "",
    mac,
  ],
  [
    44,
    "a container's MAC address is an endpoint's",
    (v) =>
      create(
        v,
        { MacAddress: mac, HostConfig: { NetworkMode: "first" } },
        ({ NetworkSettings }, warnings) => [NetworkSettings.Networks.first!.MacAddress, ...warnings],
      ),
    [mac],
    [
      mac,
      "The container-wide MacAddress field is now deprecated. It should be specified in EndpointsConfig instead.",
    ],
  ],
  [
    45,
    "Subpath",
    (v) => mount(v, { Type: "volume", Source: "data", Target: "/t", VolumeOptions: { Subpath: "sub" } }),
    "400 VolumeOptions.Subpath needs API v1.45 or newer",
    expect.objectContaining({ VolumeOptions: { Subpath: "sub" } }),
  ],
  [
    48,
    "images as mounts",
    (v) => mount(v, { Type: "image", Source: "busybox", Target: "/t" }),
    '400 Mount type "Image" needs API v1.48 or newer',
    expect.objectContaining({ Type: "image" }),
  ],
];

test.each(changes)("since 1.%d: %s", async (since, _what, probe, before, from) => {
  expect(await probe(since - 1)).toEqual(before);
  expect(await probe(since)).toEqual(from);
});
