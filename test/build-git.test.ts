/** Repositories that ask who is there: by a token over http, by the client's agent over ssh. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { run, TestDaemon, until } from "./support/daemon.ts";
import { disposeAll } from "./support/dispose.ts";

/** The docker CLI that has BuildKit's client in itself. */
const docker20 = "/usr/bin/docker";
const withBuildx = (await run(["docker", "buildx", "version"])).code === 0;
const token = "t0ken";

let daemon: TestDaemon;
let directory: string;
let server: ReturnType<typeof Bun.serve>;
let sshd: Bun.Subprocess | undefined;
let sshPort: number;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "gt-git-"));
  daemon = await TestDaemon.start();
  await repository();
  server = serveRepositories();
  await startSshd();
});
afterAll(() =>
  disposeAll(
    () => sshd?.kill(),
    () => server?.stop(true),
    daemon,
    directory,
  ),
);

const must = async (command: string[]) => expect(await run(command)).toMatchObject({ code: 0 });

async function repository(): Promise<void> {
  const work = join(directory, "work");
  mkdirSync(work);
  writeFileSync(join(work, "Dockerfile"), "FROM busybox\nCOPY file /file\n");
  writeFileSync(join(work, "file"), "of the repository");
  const git = (...args: string[]) =>
    must(["git", "-C", work, "-c", "user.name=x", "-c", "user.email=x@x", ...args]);
  await git("init", "-q", "-b", "main");
  await git("add", ".");
  await git("commit", "-qm", "first");
  await must(["git", "clone", "-q", "--bare", work, join(directory, "private.git")]);
}

/** Git's own server, behind a password. */
function serveRepositories() {
  const wanted = `basic ${Buffer.from(`x-access-token:${token}`).toString("base64")}`;
  return Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    async fetch(request) {
      if (request.headers.get("authorization")?.replace(/^Basic/, "basic") !== wanted)
        return new Response("", { status: 401, headers: { "www-authenticate": 'Basic realm="test"' } });
      const { pathname, search } = new URL(request.url);
      const child = Bun.spawn(["git", "http-backend"], {
        stdin: new Blob([await request.arrayBuffer()]),
        env: {
          ...process.env,
          GIT_PROJECT_ROOT: directory,
          GIT_HTTP_EXPORT_ALL: "1",
          GIT_CONFIG_COUNT: "1",
          GIT_CONFIG_KEY_0: "safe.directory",
          GIT_CONFIG_VALUE_0: "*",
          PATH_INFO: pathname,
          QUERY_STRING: search.slice(1),
          REQUEST_METHOD: request.method,
          CONTENT_TYPE: request.headers.get("content-type") ?? "",
          HTTP_CONTENT_ENCODING: request.headers.get("content-encoding") ?? "",
          GIT_PROTOCOL: request.headers.get("git-protocol") ?? "",
        },
      });
      const answer = Buffer.from(await new Response(child.stdout).arrayBuffer());
      const end = answer.indexOf("\r\n\r\n");
      const headers = new Headers();
      let status = 200;
      for (const line of answer.subarray(0, end).toString().split("\r\n")) {
        const [, name = "", value = ""] = /^([^:]+): (.*)$/.exec(line) ?? [];
        if (name === "Status") status = Number.parseInt(value, 10);
        else headers.set(name, value);
      }
      return new Response(answer.subarray(end + 4), { status, headers });
    },
  });
}

async function startSshd(): Promise<void> {
  const home = join(directory, "ssh");
  mkdirSync(home);
  mkdirSync("/run/sshd", { recursive: true });
  for (const name of ["host", "client"])
    await must(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", join(home, name)]);
  // Another process may take a free port before sshd does.
  for (let tries = 0; ; tries++) {
    const free = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
    sshPort = free.port;
    free.stop(true);
    const settings = [
      `HostKey ${home}/host`,
      `AuthorizedKeysFile ${home}/client.pub`,
      `PidFile ${home}/pid`,
      "ListenAddress 127.0.0.1",
      `Port ${sshPort}`,
      "PermitRootLogin prohibit-password",
      "PasswordAuthentication no",
      "StrictModes no",
      "UsePAM no",
    ];
    writeFileSync(join(home, "config"), `${settings.join("\n")}\n`);
    const child = Bun.spawn(["/usr/sbin/sshd", "-D", "-e", "-f", join(home, "config")], { stderr: "ignore" });
    sshd = child;
    // It names itself when it listens.
    await until(() => child.exitCode !== null || existsSync(join(home, "pid")), "sshd listens or ends");
    if (child.exitCode === null) return;
    if (tries === 5) throw new Error(`sshd ended with ${child.exitCode}`);
  }
}

const docker = (args: string[], program: string[] = [docker20]) =>
  run([...program, "build", "--progress", "plain", ...args], {
    env: {
      DOCKER_HOST: daemon.host,
      DOCKER_BUILDKIT: "1",
      GIT_TOKEN: token,
      SSH_AUTH_SOCK: undefined,
    },
  });
const fileIn = (image: string) => daemon.ok(["run", "--rm", image, "cat", "/file"]);

test("a context over http, with the client's token", async () => {
  const url = `http://127.0.0.1:${server.port}/private.git`;
  const secret = join(directory, "token");
  writeFileSync(secret, token);
  const refused = await docker([url]);
  expect(refused.code).toBe(1);
  expect(refused.stderr).toContain("unable to prepare context");
  const given = ["--secret", `id=GIT_AUTH_TOKEN,src=${secret}`];
  expect(await docker([...given, "-t", "by-token", url])).toMatchObject({ code: 0 });
  expect(await fileIn("by-token")).toBe("of the repository");
  // For this host alone, and as a whole header.
  const here = ["--secret", `id=GIT_AUTH_TOKEN.127.0.0.1:${server.port},src=${secret}`];
  expect(await docker([...here, "-t", "by-host", url])).toMatchObject({ code: 0 });
  const header = join(directory, "header");
  writeFileSync(header, `basic ${Buffer.from(`x-access-token:${token}`).toString("base64")}`);
  expect(await docker(["--secret", `id=GIT_AUTH_HEADER,src=${header}`, url])).toMatchObject({ code: 0 });
  expect(daemon.log()).not.toContain(token);
});

test("repositories over ssh, with the client's agent", async () => {
  const url = `ssh://root@127.0.0.1:${sshPort}${directory}/private.git`;
  const key = ["--ssh", `default=${join(directory, "ssh/client")}`];
  const context = join(directory, "context");
  mkdirSync(context);
  writeFileSync(join(context, "Dockerfile"), `FROM busybox\nADD ${url} /taken\nRUN cp /taken/file /file\n`);
  expect((await docker([context])).code).toBe(1);
  expect(await docker([...key, "-t", "by-agent", context])).toMatchObject({ code: 0 });
  expect(await fileIn("by-agent")).toBe("of the repository");
});

test.if(withBuildx)("a context over ssh, with the client's agent", async () => {
  const url = `ssh://root@127.0.0.1:${sshPort}${directory}/private.git`;
  const key = ["--ssh", `default=${join(directory, "ssh/client")}`];
  const built = await docker([...key, "-t", "context-by-agent", url], ["docker", "buildx"]);
  expect(built).toMatchObject({ code: 0 });
  expect(await fileIn("context-by-agent")).toBe("of the repository");
});
