/** What is wrong is told: what, where, and with Docker's status; and nothing of it stays. */
import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { leftMounts, TestDaemon, until } from "./support/daemon.ts";
import { disposeAll } from "./support/dispose.ts";
import { TestRegistry } from "./support/registry.ts";

let daemon: TestDaemon;
let registry: TestRegistry;
let directory: string;
let mounts: number;
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "gt-bad-"));
  registry = await TestRegistry.start();
  daemon = await TestDaemon.start();
  mounts = leftMounts(daemon.root).length;
});
afterEach(async () => {
  expect(await daemon.ok(["ps", "-aq"])).toBe("");
  await until(() => leftMounts(daemon.root).length === mounts, "the end of its mounts");
  expect((await daemon.request("/_ping")).status).toBe(200);
});
afterAll(() => disposeAll(daemon, registry, directory));

async function post(path: string, body: unknown, headers: Record<string, string> = {}) {
  const response = await daemon.request(path, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: typeof body === "string" ? body : JSON.stringify(body),
  });
  const text = await response.text();
  return { status: response.status, message: (JSON.parse(text) as { message: string }).message };
}

test("an unknown image", async () => {
  const unknown = await post("/containers/create", { Image: "no-such-image" });
  expect(unknown).toEqual({ status: 404, message: "No such image: no-such-image:latest" });
  const run = await daemon.gantry(["run", "--rm", "--pull", "never", "no-such-image"]);
  expect(run.code).toBe(125);
  expect(run.stderr).toContain("No such image: no-such-image:latest");
  const pull = await daemon.gantry(["pull", `${registry.address}/no/such:1`]);
  expect(pull.code).toBe(1);
  expect(pull.stderr).toContain(`${registry.address}/no/such:1`);
});

test("a name that no image can have", async () => {
  const { code, stderr } = await daemon.gantry(["run", "--rm", "UpperCase"]);
  expect(code).toBe(125);
  expect(stderr).toContain("invalid reference format: repository name (library/UpperCase) must be lowercase");
});

test("a taken name", async () => {
  const id = await daemon.ok(["create", "--name", "taken", "busybox"]);
  const again = await post("/containers/create?name=taken", { Image: "busybox" });
  expect(again.status).toBe(409);
  expect(again.message).toBe(
    `Conflict. The container name "/taken" is already in use by container "${id}". You have to remove (or rename) that container to be able to reuse that name.`,
  );
  await daemon.ok(["rm", "taken"]);
});

test("a name that is none", async () => {
  const { status, message } = await post("/containers/create?name=/", { Image: "busybox" });
  expect(status).toBe(400);
  expect(message).toBe("Invalid container name (/), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed");
});

test("a file for the id that can't be written", async () => {
  const before = await daemon.ok(["ps", "-aq"]);
  const { code, stderr } = await daemon.gantry([
    "run",
    "--cidfile",
    join(directory, "none/id"),
    "busybox",
    "true",
  ]);
  expect(code).toBe(125);
  expect(stderr).toContain("failed to create the container ID file");
  expect(await daemon.ok(["ps", "-aq"])).toBe(before);
});

test("a taken port", async () => {
  const server = Bun.serve({ port: 0, hostname: "0.0.0.0", fetch: () => new Response("mine") });
  try {
    const result = await daemon.gantry([
      "run",
      "-d",
      "--name",
      "port",
      "-p",
      `${server.port}:80`,
      "busybox",
      "true",
    ]);
    expect(result.code).toBe(125);
    expect(result.stderr).toContain(`0.0.0.0:${server.port}`);
    expect(result.stderr).toMatch(/in use|already allocated/);
    // As with Docker, the container is there, created and not running.
    expect(await daemon.ok(["inspect", "-f", "{{.State.Status}}", "port"])).toBe("created");
    await daemon.ok(["rm", "port"]);
  } finally {
    await server.stop(true);
  }
});

test("a bad Dockerfile line", async () => {
  const context = mkdtempSync(join(directory, "context-"));
  writeFileSync(join(context, "Dockerfile"), "FROM busybox\nRUN true\nCOPPY a b\n");
  for (const client of ["gantry", "docker"] as const) {
    const result = await daemon[client](["build", "-t", "bad", context]);
    expect(result.code).toBe(1);
    expect(result.stderr).toContain("dockerfile parse error on line 3: unknown instruction: COPPY");
    expect(result.stderr).toContain("COPY");
  }
  expect(await daemon.ok(["images", "-q", "bad"])).toBe("");
});

test("a step that fails gives its code, and its image is not there", async () => {
  const context = mkdtempSync(join(directory, "context-"));
  writeFileSync(join(context, "Dockerfile"), "FROM busybox\nRUN exit 9\n");
  const result = await daemon.gantry(["build", "-t", "failed", context]);
  expect(result.code).toBe(9);
  expect(result.stderr).toContain("The command '/bin/sh -c exit 9' returned a non-zero code: 9");
  expect(await daemon.ok(["images", "-q", "failed"])).toBe("");
});

test("invalid YAML", async () => {
  const file = join(directory, "compose.yml");
  writeFileSync(file, "services:\n  web:\n    image: busybox\n   ports: [80]\n");
  const broken = await daemon.gantry(["compose", "-f", file, "up", "-d"]);
  expect(broken.code).not.toBe(0);
  expect(broken.stderr).toContain(`${file}:4`);
  writeFileSync(file, "services:\n  web:\n    image: busybox\n    prots: [80]\n");
  const unknown = await daemon.gantry(["compose", "-f", file, "up", "-d"]);
  expect(unknown.code).not.toBe(0);
  expect(unknown.stderr).toContain("prots");
  expect(await daemon.ok(["network", "ls", "-q", "--filter", "type=custom"])).toBe("");
});

test("a missing volume path", async () => {
  const missing = join(directory, "not-there");
  const result = await daemon.gantry([
    "run",
    "--rm",
    "--mount",
    `type=bind,source=${missing},target=/x`,
    "busybox",
    "true",
  ]);
  expect(result.code).toBe(125);
  expect(result.stderr).toContain(`bind source path does not exist: ${missing}`);
});

test("a body that is not JSON, and one of wrong types", async () => {
  const broken = await post("/containers/create", "{nonsense");
  expect(broken.status).toBe(400);
  expect(broken.message).toContain("invalid JSON");
  const typed = await post("/containers/create", { Image: "busybox", HostConfig: { Memory: "much" } });
  expect(typed).toEqual({ status: 400, message: "invalid value for HostConfig.Memory: a number is wanted" });
  const list = await post("/containers/create", { Image: "busybox", Env: "A=1" });
  expect(list).toEqual({ status: 400, message: "invalid value for Env: a list of texts is wanted" });
  const form = await post("/containers/create", "Image=busybox", { "content-type": "text/plain" });
  expect(form).toEqual({
    status: 400,
    message: "unsupported Content-Type header (text/plain): must be 'application/json'",
  });
  const network = await post("/networks/create", { Name: 5 });
  expect(network).toEqual({ status: 400, message: "invalid value for Name: a text is wanted" });
  const volume = await post("/volumes/create", []);
  expect(volume).toEqual({ status: 400, message: "invalid request body: an object is wanted" });
  const filters = await daemon.request("/containers/json?filters=nonsense");
  expect(filters.status).toBe(400);
});

test("a truncated layer and a wrong digest", async () => {
  await daemon.ok(["tag", "busybox", `${registry.address}/bad/layer:1`]);
  await daemon.ok(["push", `${registry.address}/bad/layer:1`]);
  const blobs = [...new Bun.Glob("**/sha256/**").scanSync({ cwd: registry.root, absolute: true })];
  const layer = blobs
    .map((path) => ({ path, size: statSync(path).size }))
    .sort((a, b) => b.size - a.size)[0]!;
  const whole = readFileSync(layer.path);
  await using other = await freshDaemon();

  truncateSync(layer.path, layer.size - 1000);
  const truncated = await other.gantry(["pull", `${registry.address}/bad/layer:1`]);
  expect(truncated.code).toBe(1);

  const changed = Buffer.from(whole);
  // In the part that the first attempt hasn't got yet: what it has is kept and gone on with.
  changed[changed.length - 500]! ^= 1;
  writeFileSync(layer.path, changed);
  const wrong = await other.gantry(["pull", `${registry.address}/bad/layer:1`]);
  expect(wrong.code).toBe(1);
  expect(wrong.stderr).toContain("digest mismatch");
  expect(await other.ok(["images", "-aq"])).toBe("");
  expect(readdirSync(join(other.dataRoot, "content/ingest"))).toEqual([]);

  writeFileSync(layer.path, whole);
  await other.ok(["pull", `${registry.address}/bad/layer:1`]);
  expect(await other.ok(["run", "--rm", `${registry.address}/bad/layer:1`, "echo", "whole"])).toBe("whole");
});

const freshDaemon = () => TestDaemon.start({ images: false });

test("an archive that is none, and one that is cut off", async () => {
  const before = await daemon.ok(["images", "-q"]);
  const none = await daemon.gantry(["load"], { stdin: "no archive at all" });
  expect(none.code).toBe(1);
  const saved = join(directory, "saved.tar");
  await daemon.ok(["save", "-o", saved, "busybox"]);
  truncateSync(saved, statSync(saved).size >> 1);
  const cut = await daemon.gantry(["load", "-i", saved]);
  expect(cut.code).toBe(1);
  expect(cut.stderr).toContain("unexpected EOF");
  for (const [name, message] of [
    ["nothere", "No such image: nothere"],
    ["nothere:1", "reference does not exist"],
    ["BAD", "invalid reference format: repository name (library/BAD) must be lowercase"],
  ] as const) {
    const missing = await daemon.docker(["save", "-o", join(directory, "none.tar"), name]);
    expect(missing.stderr).toContain(`Error response from daemon: ${message}\n`);
  }
  expect(await daemon.ok(["images", "-q"])).toBe(before);
});

test("what is not there is 501 and says what", async () => {
  const response = await daemon.request("/swarm/init", { method: "POST" });
  expect(response.status).toBe(501);
  expect(((await response.json()) as { message: string }).message).toBe(
    "swarm mode is not supported by Gantry yet",
  );
  const leave = await daemon.request("/swarm/leave", { method: "POST" });
  expect([leave.status, await leave.json()]).toEqual([503, { message: "This node is not part of a swarm" }]);
  const services = await daemon.request("/services");
  expect([services.status, await services.text()]).toEqual([
    503,
    expect.stringContaining("This node is not a swarm manager"),
  ]);
  expect(await (await daemon.request("/plugins")).json()).toEqual([]);
  const ingress = await post("/networks/create", { Name: "mesh", Ingress: true });
  expect(ingress).toEqual({ status: 501, message: "network.Ingress is not supported yet" });
});

test("a health that is none is refused; a directory over a file gets Docker's hint; strangers have a home", async () => {
  const health = await daemon.gantry(["ps", "-f", "health=x"]);
  expect(health.stderr).toContain("unrecognized filter value for health: x");
  const over = await daemon.gantry(["run", "--rm", "-v", "/usr:/etc/passwd", "busybox", "true"]);
  expect(over.stderr).toContain("Are you trying to mount a directory onto a file");
  const env = await daemon.ok(["run", "--rm", "-u", "1000", "busybox", "env"]);
  expect(env).toMatch(/^HOME=\/$/m);
});
