/** BuildKit's ways in, by the clients that people have: Debian's docker CLI 20.10, and docker buildx where it is. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { linkSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makeContext } from "./support/context.ts";
import { leftMounts, type Result, run, TestDaemon, until } from "./support/daemon.ts";
import { disposeAll } from "./support/dispose.ts";
import { TestRegistry } from "./support/registry.ts";

/** The docker CLI that has BuildKit's client in itself. */
const docker20 = "/usr/bin/docker";
const withBuildx = (await run(["docker", "buildx", "version"])).code === 0;

let daemon: TestDaemon;
let directory: string;
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "gt-buildkit-"));
  daemon = await TestDaemon.start();
});
afterAll(() => disposeAll(daemon, directory));

const contextOf = (files: Record<string, string>) => makeContext(directory, files);

/** undefined when nobody listens. */
const connected = (path: string) =>
  new Promise<Socket | undefined>((resolve) => {
    const socket = connect(path);
    socket.once("connect", () => resolve(socket)).once("error", () => resolve(undefined));
  });

const environment = () => ({ DOCKER_HOST: daemon.host, DOCKER_BUILDKIT: "1", SSH_AUTH_SOCK: undefined });
const docker = (args: string[], options: { stdin?: string | Blob; env?: Record<string, string> } = {}) =>
  run([docker20, ...args], { ...options, env: { ...environment(), ...options.env } });
const buildx = (args: string[], options: { stdin?: string | Blob; env?: Record<string, string> } = {}) =>
  run(["docker", "buildx", ...args], { ...options, env: { ...environment(), ...options.env } });

type Client = (
  args: string[],
  options?: { stdin?: string | Blob; env?: Record<string, string> },
) => Promise<Result>;
const clients: [string, Client][] = [
  ["docker", docker],
  ...(withBuildx ? [["buildx", buildx] as [string, Client]] : []),
];

describe.each(clients)("%s", (name, client) => {
  const build = (args: string[], options?: Parameters<Client>[1]) =>
    client(["build", "--progress", "plain", ...args], options);
  const ok = async (args: string[], options?: Parameters<Client>[1]) => {
    const result = await build(args, options);
    expect(result).toMatchObject({ code: 0 });
    return result.stderr;
  };

  test("builds from files of the client, and sends changed ones only", async () => {
    const context = contextOf({
      Dockerfile: `FROM busybox\nCOPY . /context\nRUN echo ${name} && find /context -type f | sort`,
      ".dockerignore": "*.log\nskip\n!skip/kept.log\n",
      "a/file": "one",
      "b.log": "",
      "skip/dropped": "",
      "skip/kept.log": "",
      "name with ü": "",
    });
    symlinkSync("/etc/passwd", join(context, "link"));
    linkSync(join(context, "a/file"), join(context, "hard"));
    writeFileSync(join(context, "a/large"), Buffer.alloc(3_000_000, 7));
    const first = await ok(["-t", `${name}-files`, context]);
    for (const path of ["a/file", "a/large", "hard", "skip/kept.log", "name with ü"])
      expect(first).toContain(`/context/${path}`);
    expect(first).not.toMatch(/b\.log$|skip\/dropped/m);
    expect(first).toMatch(/transferring context: 3\.00MB/);
    expect(
      await daemon.ok([
        "run",
        "--rm",
        `${name}-files`,
        "sh",
        "-c",
        "readlink /context/link; cat /context/hard",
      ]),
    ).toBe("/etc/passwd\none");
    writeFileSync(join(context, "a/file"), "two");
    rmSync(join(context, "hard"));
    const second = await ok(["-t", `${name}-files`, context]);
    expect(second).toMatch(/transferring context: \d+B/);
    expect(
      await daemon.ok([
        "run",
        "--rm",
        `${name}-files`,
        "sh",
        "-c",
        "cat /context/a/file; cd /context; echo *",
      ]),
    ).toBe("twoDockerfile a link name with ü skip");
    expect((await ok([context])).match(/ CACHED$/gm)).toHaveLength(2);
  });

  test("target, arguments, labels, secrets, Dockerfile from stdin, image id", async () => {
    const context = contextOf({ file: "content", secret: "hush" });
    const dockerfile = [
      "FROM busybox AS first",
      "ARG WORD=none",
      "COPY file /file",
      "RUN --mount=type=secret,id=key echo $WORD $(wc -c < /run/secrets/key) > /word",
      "FROM first",
      "RUN false",
    ].join("\n");
    const iid = join(context, "iid");
    const args = [
      "-f",
      "-",
      "--target",
      "first",
      "--build-arg",
      "WORD=hi",
      "--label",
      "a=b",
      "--iidfile",
      iid,
    ];
    await ok(
      [...args, "--secret", `id=key,src=${join(context, "secret")}`, "-t", `${name}-target`, context],
      {
        stdin: dockerfile,
      },
    );
    expect(await daemon.ok(["run", "--rm", `${name}-target`, "cat", "/file", "/word"])).toBe("contenthi 4");
    expect(await daemon.ok(["inspect", "-f", '{{.Id}} {{index .Config.Labels "a"}}', `${name}-target`])).toBe(
      `${readFileSync(iid, "utf8")} b`,
    );
  });

  test("a failing step ends with its output and exit code", async () => {
    const result = await build([
      contextOf({ Dockerfile: "FROM busybox\n\nRUN echo about to fail && \\\n  exit 7\n" }),
    ]);
    expect(result.code).toBe(1);
    expect(result.stderr).toContain("about to fail");
    expect(result.stderr).toMatch(/did not complete successfully: exit code: 7/);
    if (name === "buildx")
      expect(result.stderr).toMatch(/ 3 \| >>> RUN echo about to fail && \\\n +4 \| >>> {3}exit 7/);
  });

  test("files and archives as output", async () => {
    const context = contextOf({
      Dockerfile:
        "FROM busybox AS make\nRUN mkdir -p /out/d && echo made > /out/d/file && ln -s d/file /out/link && chmod 4755 /out/d/file\nFROM scratch\nCOPY --from=make /out /",
    });
    const images = await daemon.ok(["images", "-aq"]);
    const target = join(context, "target");
    await ok(["-o", target, context]);
    expect(
      await run(["sh", "-c", `cd ${target} && find . | sort && cat link && stat -c %a d/file`]),
    ).toMatchObject({
      stdout: ".\n./d\n./d/file\n./link\nmade\n4755\n",
    });
    await ok(["-o", `type=tar,dest=${target}.tar`, context]);
    expect((await run(["tar", "-tf", `${target}.tar`])).stdout).toMatch(/d\/file\n.*link\n/s);
    expect(await daemon.ok(["images", "-aq"])).toBe(images);
  });

  test("a step reaches the client's SSH agent", async () => {
    // It ends when the agent was reached; by a number that no other run of this test has.
    const step = `sleep ${300_000 + process.pid}`;
    const agent = join(mkdtempSync(join(directory, "agent-")), "s");
    // Answers every request with an empty list of keys (SSH_AGENT_IDENTITIES_ANSWER).
    const server = createServer((socket) =>
      socket.on("data", () => socket.write(Buffer.from([0, 0, 0, 5, 12, 0, 0, 0, 0]))),
    );
    await new Promise<void>((resolve) => server.listen(agent, resolve));
    try {
      const context = contextOf({
        Dockerfile: `FROM busybox\nRUN --mount=type=ssh test -S $SSH_AUTH_SOCK && { ${step}; echo ${name}; }`,
      });
      const building = ok(["--ssh", `default=${agent}`, context]);
      const sockets = () => [
        ...new Bun.Glob("b/ssh-*/agent").scanSync({ cwd: daemon.execRoot, onlyFiles: false }),
      ];
      // Its file is there a moment before anybody listens.
      let socket: Socket | undefined;
      await until(async () => {
        const [path] = sockets();
        socket = path === undefined ? undefined : await connected(join(daemon.execRoot, path));
        return socket !== undefined;
      }, "the step has a socket");
      const answer = await new Promise<Buffer>((resolve, reject) => {
        const chunks: Buffer[] = [];
        socket!.once("error", reject).on("data", (chunk: Buffer) => {
          chunks.push(chunk);
          if (Buffer.concat(chunks).length >= 9) resolve(Buffer.concat(chunks));
        });
        socket!.write(Buffer.from([0, 0, 0, 1, 11]));
        building.catch(reject);
      });
      expect([...answer]).toEqual([0, 0, 0, 5, 12, 0, 0, 0, 0]);
      await until(async () => (await run(["pkill", "-f", `^${step}`])).code === 0, "the end of the sleep");
      await building;
      await until(() => sockets().length === 0, "the end of the socket");
    } finally {
      server.close();
    }
    const without = await build([
      contextOf({ Dockerfile: "FROM busybox\nRUN --mount=type=ssh,required true" }),
    ]);
    expect(without.code).toBe(1);
  });

  test("a client that goes away ends the build", async () => {
    // By a number that no other run of this test has.
    const step = `sleep ${200_000 + process.pid}`;
    const context = contextOf({ Dockerfile: `FROM busybox\nRUN echo begun && ${step}` });
    const [command, ...rest] = name === "docker" ? [docker20] : ["docker", "buildx"];
    const child = Bun.spawn([command!, ...rest, "build", "--progress", "plain", context], {
      env: { ...process.env, ...environment() },
      stdout: "ignore",
      stderr: Bun.file(join(context, "log")),
    });
    const running = async () => (await run(["pgrep", "-f", `^${step}`])).code === 0;
    await until(running, "the step runs");
    child.kill("SIGKILL");
    await until(async () => !(await running()), "the step ends");
    await until(() => leftMounts(daemon.root).length === 0, "nothing is mounted");
  });
});

test.each(clients)("%s takes an archive as context", async (name, client) => {
  const context = contextOf({ Dockerfile: "FROM busybox\nCOPY file /file", file: "archived" });
  const archive = join(context, "..", `${name}.tar`);
  expect(await run(["tar", "-C", context, "-cf", archive, "."])).toMatchObject({ code: 0 });
  expect(await client(["build", "-t", `${name}-archived`, "-"], { stdin: Bun.file(archive) })).toMatchObject({
    code: 0,
  });
  expect(await daemon.ok(["run", "--rm", `${name}-archived`, "cat", "/file"])).toBe("archived");
});

test.if(withBuildx)("buildx: an archive as context, and others by name beside it", async () => {
  const other = contextOf({ file: "from beside" });
  const context = contextOf({
    Dockerfile: "FROM base\nCOPY --from=other /file /file\nCOPY own /own",
    own: "own",
  });
  const archive = join(directory, "named.tar");
  expect(await run(["tar", "-C", context, "-cf", archive, "."])).toMatchObject({ code: 0 });
  const named = ["--build-context", `other=${other}`, "--build-context", "base=docker-image://busybox"];
  const built = await buildx(["build", ...named, "-t", "archive-named", "-"], { stdin: Bun.file(archive) });
  expect(built).toMatchObject({ code: 0 });
  expect(await daemon.ok(["run", "--rm", "archive-named", "cat", "/file", "/own"])).toBe("from besideown");
});

test("base images are pulled with the credentials that the client keeps", async () => {
  await using registry = await TestRegistry.start();
  await daemon.ok(["tag", "busybox", `${registry.address}/private:1`]);
  await daemon.ok(["push", "-q", `${registry.address}/private:1`]);
  const login = Buffer.from("someone:s3cret").toString("base64");
  using front = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch(request) {
      if (request.headers.get("authorization") !== `Basic ${login}`)
        return new Response("", { status: 401, headers: { "www-authenticate": 'Basic realm="test"' } });
      const { pathname } = new URL(request.url);
      return fetch(`http://${registry.address}${pathname}`, {
        method: request.method,
        headers: { accept: request.headers.get("accept") ?? "*/*" },
      });
    },
  });
  const address = `127.0.0.1:${front.port}`;
  const context = contextOf({
    Dockerfile: `FROM ${address}/private:1\nRUN true`,
    "config/config.json": JSON.stringify({ auths: { [address]: { auth: login } } }),
    "nobody/config.json": "{}",
  });
  const refused = await docker(["build", context], { env: { DOCKER_CONFIG: join(context, "nobody") } });
  expect(refused.code).toBe(1);
  expect(await docker(["build", context], { env: { DOCKER_CONFIG: join(context, "config") } })).toMatchObject(
    { code: 0 },
  );
  expect(daemon.log()).not.toContain("s3cret");
});

test.if(withBuildx)("buildx pushes what it has built", async () => {
  await using registry = await TestRegistry.start();
  const context = contextOf({ Dockerfile: "FROM busybox\nRUN echo pushed > /file" });
  const name = `${registry.address}/built:1`;
  expect(await buildx(["build", "--push", "-t", name, context])).toMatchObject({ code: 0 });
  await daemon.ok(["rmi", "-f", name]);
  await daemon.ok(["pull", "-q", name]);
  expect(await daemon.ok(["run", "--rm", name, "cat", "/file"])).toBe("pushed");
});

test.if(withBuildx)("buildx: named contexts, the builder's cache, bake", async () => {
  const other = contextOf({ file: "from the other" });
  const context = contextOf({
    Dockerfile:
      "FROM base\nCOPY --from=other /file /file\nRUN --mount=from=other,target=/o cat /o/file > /bound",
    "docker-bake.json": JSON.stringify({
      group: { default: { targets: ["a", "b"] } },
      target: {
        a: { context: ".", "dockerfile-inline": "FROM busybox\nRUN echo a > /name", tags: ["baked-a"] },
        b: { context: ".", "dockerfile-inline": "FROM busybox\nRUN echo b > /name", tags: ["baked-b"] },
      },
    }),
  });
  const args = ["--build-context", `other=${other}`, "--build-context", "base=docker-image://busybox"];
  expect(await buildx(["build", ...args, "-t", "named", context])).toMatchObject({ code: 0 });
  expect(await daemon.ok(["run", "--rm", "named", "cat", "/file", "/bound"])).toBe(
    "from the otherfrom the other",
  );
  const baked = await run(["docker", "buildx", "bake"], { cwd: context, env: environment() });
  expect(baked).toMatchObject({ code: 0 });
  for (const letter of ["a", "b"])
    expect(await daemon.ok(["run", "--rm", `baked-${letter}`, "cat", "/name"])).toBe(letter);
  expect((await buildx(["du"])).stdout).toMatch(/Total:/);
  expect(await buildx(["prune", "-af"])).toMatchObject({ code: 0 });
  expect((await buildx(["du"])).stdout).not.toMatch(/regular/);
});
