/** `POST /build?remote=`: contexts that the engine fetches; and settings of steps that come by the query. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Result, removeGroups, run, TestDaemon, until } from "./support/daemon.ts";
import { disposeAll } from "./support/dispose.ts";

let daemon: TestDaemon;
let server: ReturnType<typeof Bun.serve>;
const directory = mkdtempSync(join(tmpdir(), "gt-remote-"));
beforeAll(async () => {
  const must = (...command: string[]) => {
    const { exitCode, stderr } = Bun.spawnSync(command, { cwd: directory });
    if (exitCode !== 0) throw new Error(`${command.join(" ")}: ${stderr}`);
  };
  mkdirSync(join(directory, "work/sub"), { recursive: true });
  writeFileSync(join(directory, "work/sub/Dockerfile"), "FROM busybox\nCOPY . /ctx/\nRUN ls -a /ctx");
  writeFileSync(join(directory, "work/sub/file"), "1");
  writeFileSync(join(directory, "work/Dockerfile"), "FROM busybox\nCOPY . /ctx/\nRUN ls -a /ctx");
  const git = (...args: string[]) =>
    must("git", "-C", "work", "-c", "user.name=t", "-c", "user.email=t@example.org", ...args);
  writeFileSync(
    join(directory, "work/docker-bake.json"),
    JSON.stringify({ target: { default: { tags: ["baked-remotely"], dockerfile: "sub/Dockerfile" } } }),
  );
  git("init", "-q", "-b", "main");
  git("add", ".");
  git("commit", "-qm", "one");
  must("git", "clone", "-q", "--bare", "work", "repo.git");
  must("git", "-C", "repo.git", "update-server-info");
  must("tar", "-C", "work/sub", "-czf", "context.tar.gz", ".");
  writeFileSync(join(directory, "plain"), "FROM busybox\nRUN echo from a plain file");
  writeFileSync(join(directory, "plain-with-context"), "FROM busybox\nCOPY --from=repo /file /file");
  server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: async (request) => {
      const file = Bun.file(join(directory, new URL(request.url).pathname));
      return (await file.exists()) ? new Response(file) : new Response("", { status: 404 });
    },
  });
  daemon = await TestDaemon.start();
});
afterAll(() => disposeAll(() => server?.stop(true), directory, daemon));

async function build(query: Record<string, string>, body?: Uint8Array<ArrayBuffer>): Promise<string> {
  const text = new URLSearchParams({ nocache: "1", ...query });
  return (await daemon.request(`/build?${text}`, { method: "POST", body })).text();
}

const url = (path: string) => `http://127.0.0.1:${server.port}/${path}`;

test("an archive, a Dockerfile, a repository and a directory of it", async () => {
  expect(await build({ remote: url("context.tar.gz") })).toContain("file");
  expect(await build({ remote: url("plain") })).toContain("from a plain file");
  const whole = await build({ remote: url("repo.git#main") });
  expect(whole).toContain("sub");
  expect(whole).not.toContain(".git");
  const kept = await build({
    remote: url("repo.git#main"),
    buildargs: JSON.stringify({ BUILDKIT_CONTEXT_KEEP_GIT_DIR: "1" }),
  });
  expect(kept).toContain(".git\\n");
  expect(await build({ remote: url("repo.git#main:sub") })).toContain("file");
});

const withBuildx = (await run(["docker", "buildx", "version"])).code === 0;
const environment = () => ({ DOCKER_HOST: daemon.host, DOCKER_BUILDKIT: "1" });
const clients: [string, (args: string[]) => Promise<Result>][] = [
  ["gantry", (args) => daemon.gantry(["build", ...args])],
  ["docker", (args) => run(["/usr/bin/docker", "build", ...args], { env: environment() })],
];
if (withBuildx)
  clients.push(["buildx", (args) => run(["docker", "buildx", "build", ...args], { env: environment() })]);

test.each(clients)(
  "%s builds from each of these by its URL; plain files are repository enough",
  async (name, client) => {
    for (const [path, said] of [
      ["context.tar.gz", "file"],
      ["plain", "from a plain file"],
      ["repo.git#main", "sub"],
      ["repo.git#main:sub", "file"],
    ]) {
      const built = await client(["--no-cache", "--progress", "plain", url(path!)]);
      expect([path, built]).toMatchObject([path, { code: 0 }]);
      expect(built.stderr).toContain(said!);
    }
    if (name === "docker") return;
    const named = await client([
      "--progress",
      "plain",
      "--build-context",
      `repo=${url("repo.git#main:sub")}`,
      "-t",
      `named-${name}`,
      url("plain-with-context"),
    ]);
    expect(named).toMatchObject({ code: 0 });
    expect(await daemon.ok(["run", "--rm", `named-${name}`, "cat", "/file"])).toBe("1");
  },
);

test.if(withBuildx)("buildx brings a Dockerfile of its own for a repository", async () => {
  const child = await run(["docker", "buildx", "build", "-f", "-", "-t", "own-file", url("repo.git#main")], {
    stdin: "FROM busybox\nCOPY sub/file /mine",
    env: environment(),
  });
  expect(child).toMatchObject({ code: 0 });
  expect(await daemon.ok(["run", "--rm", "own-file", "cat", "/mine"])).toBe("1");
});

test.if(withBuildx)("buildx bakes what a repository's file says", async () => {
  const baked = await run(["docker", "buildx", "bake", "--allow", "fs.read=/", url("repo.git#main")], {
    env: { ...environment(), BUILDX_BAKE_GIT_SSH: "" },
  });
  expect(baked).toMatchObject({ code: 0 });
  expect(await daemon.ok(["run", "--rm", "baked-remotely", "cat", "/ctx/Dockerfile"])).toContain(
    "FROM busybox",
  );
});

test("what is not there is told, and nothing is left", async () => {
  expect(await build({ remote: url("none") })).toContain("unable to prepare context: failed to GET");
  expect(await build({ remote: url("repo.git#nowhere") })).toContain("does not contain ref nowhere");
  expect(await build({ remote: url("repo.git#main:../..") })).toMatch(/unable to prepare context|Dockerfile/);
  expect(await build({ remote: "file:///etc" })).toContain("neither a repository nor an http(s) URL");
  const left = () => readdirSync(join(daemon.dataRoot, "tmp")).filter((name) => name.startsWith("build-"));
  await until(() => left().length === 0, "the end of the contexts");
});

function tar(Dockerfile: string): Uint8Array<ArrayBuffer> {
  const root = mkdtempSync(join(directory, "context-"));
  writeFileSync(join(root, "Dockerfile"), Dockerfile);
  return Bun.spawnSync(["tar", "-C", root, "-cf", "-", "."]).stdout as Uint8Array<ArrayBuffer>;
}

test("cgroupparent, cpusetmems, extrahosts and the arguments of BuildKit reach the steps", async () => {
  const parent = `gantry-test-parent-${process.pid}`;
  const said = await build(
    {
      cgroupparent: `/${parent}`,
      cpusetmems: "0",
      extrahosts: "db:10.1.2.3",
      buildargs: JSON.stringify({ BUILDKIT_SANDBOX_HOSTNAME: "named" }),
    },
    tar("FROM busybox\nRUN cat /proc/self/cgroup; hostname; grep db /etc/hosts"),
  );
  for (const text of [`${parent}/`, "named\\n", "10.1.2.3"]) expect(said).toContain(text);
  removeGroups(parent);
  expect(await build({}, tar("FROM busybox\nRUN hostname"))).toContain("buildkitsandbox");
  expect(await build({ cgroupparent: "../x" }, tar("FROM busybox"))).toContain("invalid cgroupparent");
  const mounted = (ns: string) =>
    build(
      { buildargs: JSON.stringify({ BUILDKIT_CACHE_MOUNT_NS: ns }) },
      tar("FROM busybox\nRUN --mount=type=cache,target=/c ls /c | wc -l; touch /c/x"),
    );
  expect([await mounted("a"), await mounted("b")].every((text) => text.includes('"0\\n"'))).toBe(true);
  expect(await mounted("a")).toContain('"1\\n"');
});
