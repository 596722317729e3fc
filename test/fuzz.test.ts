/**
 * Bodies that no client would send: each is answered in words, nothing is made by half, and the daemon goes on.
 * All chance comes from one seed: GANTRY_TEST_SEED=NUMBER draws other bodies.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import fc from "fast-check";
import { TestDaemon } from "./support/daemon.ts";

const seed = Number(process.env.GANTRY_TEST_SEED ?? 1);

let daemon: TestDaemon;
let box: string;
beforeAll(async () => {
  daemon = await TestDaemon.start();
  box = await daemon.ok(["run", "-d", "--name", "box", "busybox", "sleep", "100000"]);
});
afterAll(() => daemon?.[Symbol.asyncDispose]());

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

const container: Json = {
  Hostname: "h",
  User: "0:0",
  Env: ["A=1"],
  Cmd: ["true"],
  Entrypoint: ["sh"],
  Image: "busybox",
  WorkingDir: "/w",
  Labels: { a: "b" },
  ExposedPorts: { "80/tcp": {} },
  Volumes: { "/v": {} },
  StopSignal: "SIGTERM",
  StopTimeout: 3,
  Healthcheck: { Test: ["CMD", "true"], Interval: 1_000_000_000, Retries: 3 },
  HostConfig: {
    Binds: ["data:/data:ro"],
    PortBindings: { "80/tcp": [{ HostIp: "127.0.0.1", HostPort: "0" }] },
    RestartPolicy: { Name: "on-failure", MaximumRetryCount: 2 },
    Memory: 33_554_432,
    NanoCpus: 500_000_000,
    PidsLimit: 10,
    Ulimits: [{ Name: "nofile", Soft: 10, Hard: 20 }],
    Devices: [{ PathOnHost: "/dev/null", PathInContainer: "/dev/x", CgroupPermissions: "r" }],
    Mounts: [{ Type: "tmpfs", Target: "/t", TmpfsOptions: { SizeBytes: 4096 } }],
    Sysctls: { "net.ipv4.ip_forward": "0" },
    LogConfig: { Type: "json-file", Config: { "max-size": "1m" } },
    CapAdd: ["NET_ADMIN"],
    SecurityOpt: ["no-new-privileges"],
    ExtraHosts: ["a:1.2.3.4"],
    NetworkMode: "bridge",
    ShmSize: 65536,
    Links: ["box:b"],
  },
  NetworkingConfig: { EndpointsConfig: { bridge: { IPAMConfig: null, DriverOpts: {} } } },
};

const exec: Json = {
  AttachStdout: true,
  Cmd: ["true"],
  Env: ["A=1"],
  User: "0",
  WorkingDir: "/",
  Tty: false,
  ConsoleSize: [10, 20],
};
const update: Json = {
  Memory: 33_554_432,
  MemorySwap: 67_108_864,
  CpuShares: 5,
  PidsLimit: 7,
  RestartPolicy: { Name: "no" },
};
const network: Json = {
  Name: "n",
  Driver: "bridge",
  Internal: false,
  IPAM: {
    Driver: "default",
    Config: [{ Subnet: "10.99.0.0/24", Gateway: "10.99.0.1", IPRange: "10.99.0.0/25" }],
  },
  Options: { "com.docker.network.driver.mtu": "1400" },
  Labels: { a: "b" },
};
const endpoint: Json = {
  Container: "nobody",
  EndpointConfig: { Aliases: ["a"], IPAMConfig: { IPv4Address: "10.99.0.9" } },
};
const volume: Json = {
  Name: "v",
  Driver: "local",
  DriverOpts: { type: "tmpfs", device: "tmpfs", o: "size=1m" },
  Labels: {},
};

/** Values that programs trip over. */
const nasty: fc.Arbitrary<Json> = fc.oneof(
  fc.constantFrom<Json>(
    null,
    true,
    0,
    -1,
    1.5,
    2 ** 53,
    -(2 ** 63),
    1e308,
    "",
    " ",
    "\0",
    "../..",
    "/",
    "a".repeat(70_000),
  ),
  fc.constantFrom<Json>(
    [],
    {},
    [null],
    [[]],
    { "": "" },
    ["\ud800"],
    { constructor: 1 },
    "__proto__",
    "-",
    ":",
    "::::",
    "%s%n",
  ),
  fc.string({ unit: "binary", maxLength: 40 }),
  fc.integer(),
  fc.jsonValue({ maxDepth: 3 }) as fc.Arbitrary<Json>,
);

type Path = (string | number)[];

function pathsOf(value: Json, path: Path = []): Path[] {
  if (value === null || typeof value !== "object") return [path];
  const inner = Array.isArray(value)
    ? value.flatMap((item, index) => pathsOf(item, [...path, index]))
    : Object.entries(value).flatMap(([key, item]) => pathsOf(item, [...path, key]));
  return [path, ...inner];
}

function replaceAt(value: Json, [head, ...rest]: Path, by: Json | undefined): Json | undefined {
  if (head === undefined) return by;
  if (Array.isArray(value))
    return value.map((item, index) => (index === head ? (replaceAt(item, rest, by) ?? null) : item));
  const { [head]: inner, ...others } = value as { [key: string]: Json };
  const next = replaceAt(inner!, rest, by);
  return next === undefined ? others : { ...others, [head]: next };
}

/** A body with one to three places changed or left out; sometimes cut, or no JSON at all. */
function mutated(valid: Json): fc.Arbitrary<string> {
  const paths = pathsOf(valid);
  const change = fc.tuple(fc.constantFrom(...paths), fc.option(nasty, { nil: undefined, freq: 6 }));
  const bodies = fc.array(change, { minLength: 1, maxLength: 3 }).map((changes) => {
    let body: Json = valid;
    for (const [path, by] of changes) {
      try {
        body = replaceAt(body, path, by) ?? null;
      } catch {
        // An earlier change took this place away.
      }
    }
    return JSON.stringify(body);
  });
  return fc.oneof(
    { weight: 20, arbitrary: bodies },
    { weight: 1, arbitrary: fc.tuple(bodies, fc.nat(200)).map(([body, cut]) => body.slice(0, -1 - cut)) },
    { weight: 1, arbitrary: fc.string({ unit: "binary" }) },
  );
}

/** A start takes longer than all the rest: some of them will do. */
const startsToo = fc.nat(99).map((chance) => chance < 5);

async function send(method: string, path: string, body?: string) {
  const headers = { "Content-Type": "application/json" };
  const response = await daemon.request(path, { method, headers, ...(body !== undefined && { body }) });
  return { status: response.status, text: await response.text() };
}

/** Everything but what would be our mistake: 500s, and answers that say nothing. */
function expectAnswer(path: string, body: string, { status, text }: { status: number; text: string }): void {
  // 503: a registry that isn't there.
  const fine = status < 500 || status === 501 || (status === 503 && /^\/(auth|images\/create)/.test(path));
  if (!fine) throw new Error(`${path} ${body}: ${status} ${text}`);
  if (status >= 400) expect(JSON.parse(text).message.length).toBeGreaterThan(3);
}

const endpoints: [string, () => string, Json, number][] = [
  ["create", () => "/containers/create", container, 2000],
  ["update", () => `/containers/${box}/update`, update, 2000],
  ["exec", () => `/containers/${box}/exec`, exec, 2000],
  ["commit", () => `/commit?container=${box}&repo=fuzz`, container, 20],
  ["network create", () => "/networks/create", network, 500],
  ["network connect", () => "/networks/bridge/connect", endpoint, 300],
  ["network disconnect", () => "/networks/bridge/disconnect", { Container: "nobody", Force: true }, 100],
  ["volume create", () => "/volumes/create", volume, 500],
  ["auth", () => "/auth", { username: "u", password: "p", serveraddress: "127.0.0.1:9" }, 30],
];

test.each(endpoints)("%s answers %# in words", async (what, pathOf, valid, runs) => {
  const path = pathOf();
  await fc.assert(
    fc.asyncProperty(mutated(valid), startsToo, async (body, starts) => {
      const answer = await send("POST", path, body);
      expectAnswer(path, body, answer);
      if (answer.status >= 300) return;
      const made = answer.text === "" ? {} : (JSON.parse(answer.text) as { Id?: string; Name?: string });
      if (what === "create") await whole(body, made.Id!, starts);
      if (what === "exec" && starts) {
        const started = await send("POST", `/exec/${made.Id}/start`, '{"Detach":true}');
        expectAnswer("exec start", body, started);
      }
      if (what === "network create") expect((await send("DELETE", `/networks/${made.Id}`)).status).toBe(204);
      if (what === "volume create")
        expect((await send("DELETE", `/volumes/${encodeURIComponent(made.Name!)}`)).status).toBe(204);
    }),
    { numRuns: runs, seed },
  );
  expect((await send("GET", "/_ping")).text).toBe("OK");
  expect(await daemon.ok(["ps", "-aq", "--no-trunc"])).toBe(box);
});

/** A container that was made can be looked at, perhaps started, and removed. */
async function whole(body: string, id: string, starts: boolean): Promise<void> {
  const seen = await send("GET", `/containers/${id}/json`);
  expect(seen.status).toBe(200);
  expect((await send("GET", "/containers/json?all=1&size=1")).status).toBe(200);
  if (starts) {
    const { status, text } = await send("POST", `/containers/${id}/start`);
    // Mounts and limits that the kernel refuses are the runtime's words.
    if (status >= 500 && !/OCI runtime|mount/.test(text)) throw new Error(`start ${body}: ${status} ${text}`);
  }
  expect((await send("DELETE", `/containers/${id}?force=1&v=1`)).status).toBe(204);
}

test("queries of every kind", async () => {
  const paths = [
    "/containers/json?filters=",
    "/images/json?filters=",
    "/networks?filters=",
    "/volumes?filters=",
    "/events?until=1&filters=",
    `/containers/${box}/logs?stdout=1&tail=`,
    `/containers/${box}/logs?stdout=1&since=`,
    `/containers/${box}/top?ps_args=`,
    `/containers/${box}/archive?path=`,
    `/containers/${box}/stats?stream=0&one-shot=`,
    "/containers/json?all=1&limit=",
    "/images/create?fromSrc=&fromImage=",
    "/containers/create?name=",
  ];
  const value = fc.oneof(
    nasty.map((json) => JSON.stringify(json)),
    fc.string({ unit: "binary" }),
    fc.constantFrom('{"label":["a"]}', '{"until":["x"]}', '{"name":{"a":true}}', "-1", "1e9", "9".repeat(30)),
  );
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...paths), value, async (path, text) => {
      const method = path.includes("/create") ? "POST" : "GET";
      const whole = path + encodeURIComponent(text.toWellFormed().slice(0, 2000));
      expectAnswer(whole, "", await send(method, whole));
    }),
    { numRuns: 500, seed },
  );
  expect((await send("GET", "/_ping")).text).toBe("OK");
});
