/** What dockerd refuses of a create, an update and a query, in its words, and nothing of it is made. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { TestDaemon } from "./support/daemon.ts";

let daemon: TestDaemon;
beforeAll(async () => {
  daemon = await TestDaemon.start();
  await daemon.ok(["run", "-d", "--name", "peer", "--network", "none", "busybox", "top"]);
});
afterAll(() => daemon?.[Symbol.asyncDispose]());

async function message(method: string, path: string, body?: object): Promise<string> {
  const response = await daemon.request(`/v1.51${path}`, {
    method,
    ...(body && { headers: { "content-type": "application/json" }, body: JSON.stringify(body) }),
  });
  return `${response.status} ${((await response.json()) as { message: string }).message}`;
}

const shared = (rest: object) => ({ HostConfig: { NetworkMode: "container:peer", ...rest } });
const bound = (spec: string) => ({ HostConfig: { Binds: [spec] } });

const creates: [body: object, refusal: string][] = [
  [{ Env: ["A=1", "=x"] }, "invalid environment variable: =x"],
  [{ Env: [""] }, "invalid environment variable: "],
  [{ HostConfig: { SecurityOpt: ["nope"] } }, 'invalid --security-opt 1: "nope"'],
  [{ HostConfig: { SecurityOpt: ["nope=x"] } }, 'invalid --security-opt 2: "nope=x"'],
  [
    { HostConfig: { SecurityOpt: ["no-new-privileges:x"] } },
    'invalid --security-opt 2: "no-new-privileges:x"',
  ],
  [{ Hostname: "h", HostConfig: { UTSMode: "host" } }, "conflicting options: hostname and the UTS mode"],
  [{ HostConfig: { PidMode: "container:nobody" } }, "No such container: nobody"],
  [shared({ Dns: ["1.1.1.1"] }), "conflicting options: dns and the network mode"],
  [
    shared({ ExtraHosts: ["a:1.1.1.1"] }),
    "conflicting options: custom host-to-IP mapping and the network mode",
  ],
  [
    shared({ PublishAllPorts: true }),
    "conflicting options: port publishing and the container type network mode",
  ],
  [
    { ...shared({}), ExposedPorts: { "80/tcp": {} } },
    "conflicting options: port exposing and the container type network mode",
  ],
  [{ ...shared({}), Hostname: "h" }, "conflicting options: hostname and the network mode"],
  [bound("/tmp:/a:ro,rw"), "invalid volume specification: '/tmp:/a:ro,rw': invalid mode: ro,rw"],
  [
    bound("/tmp:/a:shared,slave"),
    "invalid volume specification: '/tmp:/a:shared,slave': invalid mode: shared,slave",
  ],
  [
    bound("data:/a:rshared"),
    "invalid volume specification: 'data:/a:rshared': invalid mount config for type \"volume\": field BindOptions must not be specified",
  ],
  [
    bound("/tmp:/a:nocopy"),
    "invalid volume specification: '/tmp:/a:nocopy': invalid mount config for type \"bind\": field VolumeOptions must not be specified",
  ],
  [{ HostConfig: { VolumesFrom: ["peer:nope"] } }, "invalid mode: nope"],
  [
    { HostConfig: { Mounts: [{ Type: "volume", Target: "/a", ReadOnly: true }] } },
    'invalid mount config for type "volume": must not set ReadOnly mode when using anonymous volumes',
  ],
  [
    { HostConfig: { RestartPolicy: { Name: "always", MaximumRetryCount: 2 } } },
    "invalid restart policy: maximum retry count can only be used with 'on-failure'",
  ],
];
test.each(creates)("create %j", async (body, refusal) => {
  expect(await message("POST", "/containers/create", { Image: "busybox", ...body })).toBe(`400 ${refusal}`);
  expect(await daemon.ok(["ps", "-aq"])).toHaveLength(12);
  expect(await daemon.ok(["volume", "ls", "-q"])).toBe("");
});

test("a policy of restarts without a name has any count, as old clients send it", async () => {
  const response = await daemon.request("/v1.51/containers/create", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({
      Image: "busybox",
      HostConfig: { RestartPolicy: { Name: "", MaximumRetryCount: 3 } },
    }),
  });
  expect(response.status).toBe(201);
  await daemon.ok(["rm", ((await response.json()) as { Id: string }).Id]);
});

const filters = (value: object) => encodeURIComponent(JSON.stringify(value));
const others: [method: string, path: string, refusal: string][] = [
  ["POST", "/containers/nobody/kill", "404 cannot kill container: nobody: No such container: nobody"],
  ["GET", `/containers/json?filters=${filters({ publish: ["x"] })}`, "400 invalid filter 'publish=x'"],
  ["GET", `/containers/json?filters=${filters({ expose: ["80/x"] })}`, "400 invalid filter 'expose=80/x'"],
  ["GET", "/events?since=5&until=1", "400 `since` time (5) cannot be after `until` time (1)"],
  [
    "GET",
    "/images/BAD/json",
    "400 invalid reference format: repository name (library/BAD) must be lowercase",
  ],
];
test.each(others)("%s %s", async (method, path, refusal) => {
  expect(await message(method, path)).toBe(refusal);
});

test("a create of nothing", async () => {
  expect(await message("POST", "/containers/create", {})).toBe(
    "400 invalid request body: config cannot be empty in order to create a container",
  );
});

test("what is done with a container that doesn't run is told by the name that was given", async () => {
  await daemon.ok(["create", "--name", "still", "busybox"]);
  const id = await daemon.ok(["inspect", "-f", "{{.ID}}", "still"]);
  expect(await message("POST", "/containers/still/kill")).toBe(
    `409 cannot kill container: still: container ${id} is not running`,
  );
  await daemon.ok(["pause", "peer"]);
  expect(await message("POST", "/containers/peer/exec", { Cmd: ["true"] })).toBe(
    "409 container peer is paused, unpause the container before exec",
  );
  await daemon.ok(["unpause", "peer"]);
});
