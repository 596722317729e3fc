/** Flags of `gantry build` that need a registry, a repository or a server beside the engine. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makeContext } from "./support/context.ts";
import { executable, run, TestDaemon } from "./support/daemon.ts";
import { disposeAll } from "./support/dispose.ts";
import { TestRegistry } from "./support/registry.ts";

let daemon: TestDaemon;
let other: TestDaemon;
let registry: TestRegistry;
let directory: string;
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "gt-build-flags-"));
  registry = await TestRegistry.start();
  daemon = await TestDaemon.start();
  other = await TestDaemon.start();
});
afterAll(() => disposeAll(daemon, other, registry, directory));

const contextOf = (files: Record<string, string>) => makeContext(directory, files);

async function ok(args: string[], { on = daemon, env = {} as Record<string, string> } = {}) {
  const result = await run([executable, "-H", on.host, "build", ...args], { env });
  expect(result).toMatchObject({ code: 0 });
  return result;
}

/** Manifest or index that the registry has under this name. */
const manifestOf = async (name: string) =>
  JSON.parse(await daemon.ok(["buildx", "imagetools", "inspect", "--raw", `${registry.address}/${name}`]));

test("--push brings the image to the registry under all its names", async () => {
  const context = contextOf({ Dockerfile: 'FROM busybox\nCMD ["echo", "pushed"]' });
  const names = ["one", "two"].map((tag) => `${registry.address}/pushed:${tag}`);
  await ok(["--push", ...names.flatMap((name) => ["-t", name]), context]);
  for (const name of names) expect(await other.ok(["run", "--rm", name])).toBe("pushed");
});

describe("--cache-to and --cache-from", () => {
  const dockerfile = () => `FROM busybox\nRUN echo ${Math.random()} > /made\nRUN cat /made`;
  const cached = (text: string) => text.match(/^#\d+ CACHED$/gm)?.length ?? 0;

  test("type=registry", async () => {
    const context = contextOf({ Dockerfile: dockerfile() });
    const cache = `type=registry,ref=${registry.address}/cache:flags`;
    await ok(["--cache-to", `${cache},mode=max`, context]);
    expect(cached((await ok(["--cache-from", cache, context], { on: other })).stderr)).toBeGreaterThan(1);
  });

  test("type=inline, with the image's name alone to take it", async () => {
    const context = contextOf({ Dockerfile: dockerfile() });
    const image = `${registry.address}/inline:flags`;
    await ok(["--cache-to", "type=inline", "--push", "-t", image, context]);
    expect(cached((await ok(["--cache-from", image, context], { on: other })).stderr)).toBeGreaterThan(1);
  });
});

test.each([
  ["--provenance=mode=max", "https://slsa.dev/provenance"],
  ["--sbom=true", "https://spdx.dev/Document"],
  ["--attest=type=provenance,mode=min", "https://slsa.dev/provenance"],
])("%s is kept beside the image", async (flag, predicate) => {
  const context = contextOf({ Dockerfile: "FROM busybox\nRUN true" });
  const name = `attested:${predicate.length}${flag.length}`;
  await ok(["--push", flag, "-t", `${registry.address}/${name}`, context]);
  const { manifests } = await manifestOf(name);
  const attestation = manifests.find(
    ({ annotations }: { annotations?: Record<string, string> }) =>
      annotations?.["vnd.docker.reference.type"] === "attestation-manifest",
  );
  const { layers } = await manifestOf(`${name.split(":")[0]}@${attestation.digest}`);
  expect(layers[0].annotations["in-toto.io/predicate-type"]).toStartWith(predicate);
});

test("--platform a,b makes an index of both", async () => {
  const context = contextOf({
    Dockerfile: "FROM scratch\nARG TARGETARCH\nLABEL arch=$TARGETARCH\nCOPY f /",
    f: "",
  });
  await ok(["--push", "--platform", "linux/amd64,linux/arm64", "-t", `${registry.address}/both`, context]);
  const { manifests } = await manifestOf("both");
  const platforms = manifests.map(
    ({ platform }: { platform: { architecture: string } }) => platform.architecture,
  );
  expect(platforms.filter((name: string) => name !== "unknown").sort()).toEqual(["amd64", "arm64"]);
});

describe("what steps are given is what they see", () => {
  /** Of cgroup v1, or of v2 where the names are others; one that this kernel doesn't have is shown as none. */
  const limit = (v1: string, v2: string) =>
    `for f in /sys/fs/cgroup/${v1} /sys/fs/cgroup/${v2}; do test -e $f && echo ${v2}=$(cat $f); done; :`;
  /** Not each kernel counts swap. */
  const countsSwap = existsSync("/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes");
  const dockerfile = `FROM busybox
RUN cat /proc/self/cgroup /etc/hosts
RUN ${limit("memory/memory.limit_in_bytes", "memory.max")}
RUN ${limit("memory/memory.memsw.limit_in_bytes", "memory.swap.max")}
RUN ${limit("cpu/cpu.cfs_quota_us", "cpu.max")}
RUN ${limit("cpu/cpu.cfs_period_us", "cpu.max")}
RUN ${limit("cpu/cpu.shares", "cpu.weight")}
RUN ${limit("cpuset/cpuset.cpus", "cpuset.cpus")}
RUN echo shm=$(df -k /dev/shm | tail -n 1) nofile=$(ulimit -Sn):$(ulimit -Hn) links=$(ls /sys/class/net)
`;
  const parent = `/gantry-flags-${process.pid}`;
  const flags = [
    ["--memory", "64m"],
    ...(countsSwap ? [["--memory-swap", "96m"]] : []),
    ["--cpu-quota", "50000"],
    ["--cpu-period", "100000"],
    ["--cpu-shares", "321"],
    ["--cpuset-cpus", "0"],
    ["--shm-size", "12m"],
    ["--ulimit", "nofile=123:456"],
    ["--add-host", "db:10.1.2.3"],
    ["--add-host", "gw:host-gateway"],
    ["--network", "none"],
    ["--cgroup-parent", parent],
  ].flat();
  afterAll(() => {
    for (const controller of ["", ...readdirSync("/sys/fs/cgroup")]) {
      const made = join("/sys/fs/cgroup", controller, parent);
      if (existsSync(made)) rmdirSync(made);
    }
  });

  test.each(["gantry", "docker"] as const)("%s", async (client) => {
    const { code, stdout, stderr } = await daemon[client]([
      "build",
      "--no-cache",
      ...flags,
      contextOf({ Dockerfile: dockerfile }),
    ]);
    const said = stdout + stderr;
    expect({ code, said }).toMatchObject({ code: 0 });
    expect(said).toContain(`:${parent}/`);
    expect(said).toMatch(/10\.1\.2\.3\s+db$/m);
    expect(said).toMatch(/ ?10\.\d+\.0\.1\s+gw$/m);
    expect(said).toMatch(/memory\.max=67108864$/m);
    if (countsSwap) expect(said).toMatch(/memory\.swap\.max=100663296$/m);
    // A period is in the same line on v2.
    expect(said).toMatch(/cpu\.max=50000( 100000)?$/m);
    expect(said).toMatch(/cpu\.max=(50000 )?100000$/m);
    // Of 321 shares the runtimes make different weights, and none makes the default, which is 100.
    expect(said).toMatch(/cpu\.weight=(321|1[0-9]|[2-6][0-9])$/m);
    expect(said).toMatch(/cpuset\.cpus=0$/m);
    expect(said).toMatch(/shm=shm 12288 .* nofile=123:456 links=lo$/m);
  });
});

test.each([
  [["--memory", "1m"], "Minimum memory limit allowed is 6MB"],
  [["--memory-swap", "96m"], "You should always set the Memory limit when using Memoryswap limit"],
  [
    ["--memory", "96m", "--memory-swap", "64m"],
    "Minimum memoryswap limit should be larger than memory limit",
  ],
  [["--cpu-quota", "10"], "CPU cfs quota can not be less than 1ms"],
  [["--cpu-period", "10"], "CPU cfs period can not be less than 1ms"],
  [["--cpuset-cpus", "x"], "Invalid value x for cpuset cpus"],
  [["--cpuset-cpus", "7777"], "Requested CPUs are not available - requested 7777"],
  [["--ulimit", "nofle=3"], "invalid ulimit type: nofle"],
  [["--ulimit", "nofile=3:2"], "ulimit soft limit must be less than or equal to hard limit: 3 > 2"],
  [["--add-host", "db:x"], 'invalid IP address in add-host: "x"'],
  [
    ["--network", "hots"],
    'network mode "hots" is not supported by Gantry\'s builder: use default, none or host',
  ],
  [["--security-opt", "seccomp=unconfined"], "security"],
])("%p is refused, whether the step is cached or not", async (flags, message) => {
  const context = contextOf({ Dockerfile: "FROM busybox\nRUN true" });
  await ok([context]);
  for (const client of ["gantry", "docker"] as const) {
    const { code, stderr } = await daemon[client](["build", ...flags, context]);
    expect(code).toBeGreaterThan(0);
    expect(stderr).toContain(message);
  }
});

test("--cpuset-mems is what a step sees", async () => {
  const context = contextOf({ Dockerfile: "FROM busybox\nRUN grep Mems_allowed_list /proc/self/status" });
  const { stderr } = await ok(["--cpuset-mems", "0", "--no-cache", context]);
  expect(stderr).toMatch(/Mems_allowed_list:\s+0$/m);
});

test("--explain names the file that changed, and nothing when all is cached", async () => {
  const context = contextOf({
    Dockerfile: "FROM busybox\nCOPY src /src\nRUN ls /src",
    "src/a": "1",
    "src/b": "1",
  });
  await ok([context]);
  expect((await ok(["--explain", context])).stdout).not.toMatch(/ no /);
  writeFileSync(join(context, "src/b"), "2");
  const { stdout } = await ok(["--explain", context]);
  expect(stdout).toMatch(/COPY src \/src\s+no\s+file src\/b/);
  expect(stdout).not.toContain("src/a");
});

/** Git's own server, as a web server runs it (CGI): `/app.git` is the repository. */
async function gitBackend(repository: string, request: Request): Promise<Response> {
  const { pathname, search } = new URL(request.url);
  const child = Bun.spawn(["git", "http-backend"], {
    env: {
      ...process.env,
      GIT_PROJECT_ROOT: repository,
      GIT_HTTP_EXPORT_ALL: "1",
      GIT_PROTOCOL: request.headers.get("git-protocol") ?? "",
      PATH_INFO: pathname.replace("/app.git", "/.git"),
      QUERY_STRING: search.slice(1),
      REQUEST_METHOD: request.method,
      CONTENT_TYPE: request.headers.get("content-type") ?? "",
      HTTP_CONTENT_ENCODING: request.headers.get("content-encoding") ?? "",
    },
    stdin: await request.blob(),
  });
  const answer = Buffer.from(await new Response(child.stdout).arrayBuffer());
  const end = answer.indexOf("\r\n\r\n");
  const type = /^content-type: (.*)$/im.exec(answer.subarray(0, end).toString())?.[1] ?? "text/plain";
  return new Response(answer.subarray(end + 4), { headers: { "content-type": type.trim() } });
}

test("named contexts come from a repository and from a server", async () => {
  const repository = contextOf({ file: "of git" });
  const git = (...args: string[]) =>
    run(["git", "-C", repository, "-c", "user.name=a", "-c", "user.email=a@b", ...args]);
  for (const args of [
    ["init", "-q", "-b", "main"],
    ["add", "."],
    ["commit", "-qm", "x"],
  ])
    expect(await git(...args)).toMatchObject({ code: 0 });
  const archive = join(directory, "archive.tar");
  await run(["tar", "-cf", archive, "-C", contextOf({ file: "of http" }), "."]);
  using server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch: (request) =>
      new URL(request.url).pathname === "/archive.tar"
        ? new Response(Bun.file(archive))
        : gitBackend(repository, request),
  });
  const base = `http://127.0.0.1:${server.port}`;
  const context = contextOf({
    Dockerfile: "FROM scratch\nCOPY --from=g /file /git\nCOPY --from=h /file /http",
  });
  const out = join(context, "out");
  await ok([
    "--build-context",
    `g=${base}/app.git`,
    "--build-context",
    `h=${base}/archive.tar`,
    "-o",
    out,
    context,
  ]);
  expect(readFileSync(join(out, "git"), "utf8")).toBe("of git");
  expect(readFileSync(join(out, "http"), "utf8")).toBe("of http");
});

test("SOURCE_DATE_EPOCH of the environment is an argument, over which --build-arg goes", async () => {
  const context = contextOf({ Dockerfile: "FROM scratch\nCOPY Dockerfile /" });
  const created = () => daemon.ok(["inspect", "-f", "{{.Created}}", "epoch"]);
  const env = { SOURCE_DATE_EPOCH: "1700000000" };
  await ok(["-t", "epoch", context], { env });
  expect(await created()).toStartWith("2023-11-14T22:13:20");
  await ok(["-t", "epoch", "--build-arg", "SOURCE_DATE_EPOCH=0", context], { env });
  expect(await created()).toStartWith("1970-01-01T00:00:00");
});
