/** `compose` against a real daemon: the commands about one service's containers, hooks, and what a service may ask for. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TestDaemon } from "./support/daemon.ts";

let daemon: TestDaemon;
let directory: string;
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "gt-compose-commands-"));
  daemon = await TestDaemon.start();
});
afterAll(async () => {
  await daemon?.[Symbol.asyncDispose]();
  rmSync(directory, { recursive: true, force: true });
});

/** A project of its own, which is taken down in the end. */
async function project(yaml: string) {
  const root = mkdtempSync(join(directory, "p-"));
  writeFileSync(join(root, "compose.yaml"), yaml);
  // Its own directory is where its programs are.
  const env = { PATH: `${root}:${process.env.PATH}` };
  const compose = (...args: string[]) => daemon.gantry(["compose", ...args], { cwd: root, env });
  const ok = async (...args: string[]) => {
    const result = await compose(...args);
    expect(result).toMatchObject({ code: 0 });
    return result;
  };
  return {
    root,
    compose,
    ok,
    [Symbol.asyncDispose]: async () => {
      await ok("down", "-t", "0", "-v");
    },
  };
}

const sleeper = "image: busybox, init: true, command: sleep 1000, stop_grace_period: 0s";

test("scale, cp, commit, export, stats and attach are about a service's containers", async () => {
  await using app = await project(
    `services: { web: { ${sleeper} }, job: { image: busybox, command: "true" }, talk: { image: busybox, stdin_open: true, command: "sh -c 'read word; echo got $$word; exit 5'" } }\n`,
  );
  await app.ok("up", "-d", "web");
  expect((await app.ok("scale", "web=2")).stderr).toMatch(/Container \S+-web-2 {2}Started/);
  expect((await app.ok("ps", "-q")).stdout.trim().split("\n")).toHaveLength(2);
  expect(await app.compose("scale", "web=x")).toMatchObject({
    code: 1,
    stderr: "invalid scale specifier: can't parse replica value as int: web=x\n",
  });

  writeFileSync(join(app.root, "file"), "copied\n");
  expect((await app.ok("cp", "file", "web:/tmp/")).stderr).toMatch(
    /web-2 copy file to \S+web-2:\/tmp\/ {2}Copied/,
  );
  for (const index of ["1", "2"])
    expect((await app.ok("exec", "-T", "--index", index, "web", "cat", "/tmp/file")).stdout).toBe("copied\n");
  await app.ok("cp", "--index", "2", "web:/tmp/file", "back");
  expect(readFileSync(join(app.root, "back"), "utf8")).toBe("copied\n");
  for (const [words, message] of [
    [["file", "back"], "unknown copy direction"],
    [["web:/a", "job:/b"], "copying between services is not supported"],
    [["job:/a", "."], 'no container found for service "job"'],
  ] as const)
    expect(await app.compose("cp", ...words)).toMatchObject({ code: 1, stderr: `${message}\n` });
  expect((await app.compose("cp", "web:/missing", ".")).stderr).toContain("Could not find the file /missing");

  const committed = await app.ok("commit", "-c", "LABEL made=here", "-m", "why", "web", "saved:1");
  const id = /Committed as (sha256:\S+)/.exec(committed.stderr)![1]!;
  expect(await daemon.ok(["inspect", "-f", "{{.Id}} {{.Config.Labels.made}} {{.Comment}}", "saved:1"])).toBe(
    `${id} here why`,
  );

  await app.ok("export", "-o", "web.tar", "web");
  const listed = Bun.spawnSync(["tar", "tf", join(app.root, "web.tar")]).stdout.toString();
  expect(listed.split("\n")).toContain("tmp/file");

  const stats = (await app.ok("stats", "--no-stream", "--format", "{{.Name}}", "web")).stdout.trim();
  expect(
    stats
      .split("\n")
      .map((name) => name.replace(/^.*-web/, "web"))
      .sort(),
  ).toEqual(["web-1", "web-2"]);
  expect(await app.compose("attach", "job")).toMatchObject({
    code: 1,
    stderr: 'service "job" is not running\n',
  });
  await app.ok("up", "-d", "talk");
  const options = { cwd: app.root, stdin: "hello\n" };
  expect(await daemon.gantry(["compose", "attach", "talk"], options)).toMatchObject({
    code: 5,
    stdout: "got hello\n",
  });
});

test("hooks run when a container has started and before it stops, and fail what they belong to", async () => {
  await using app = await project(`
services:
  web:
    ${sleeper.split(", ").join("\n    ")}
    volumes: [seen:/seen]
    post_start:
      - command: sh -c 'echo "start $$WHO $$(id -u) $$(pwd)" >> /seen/log'
        user: "7"
        working_dir: /tmp
        environment: { WHO: hook }
    pre_stop:
      - command: sh -c "echo stop >> /seen/log"
  reader: { image: busybox, command: cat /seen/log, volumes: [seen:/seen], profiles: [read] }
  broken:
    ${sleeper.split(", ").join("\n    ")}
    profiles: [broken]
    post_start: [{ command: sh -c "echo said why; exit 3" }]
volumes:
  seen: { driver_opts: { type: tmpfs, device: tmpfs, o: mode=1777 } }
`);
  const log = async () => (await app.ok("run", "--rm", "-T", "reader")).stdout.trim().split("\n");
  await app.ok("run", "--rm", "-T", "reader", "true");
  // A tmpfs lasts as long as somebody has it mounted.
  await app.ok("run", "-d", "--name", `keeper-${process.pid}`, "reader", "sleep", "1000");
  await app.ok("up", "-d", "web");
  const started = "start hook 7 /tmp";
  expect(await log()).toEqual([started]);
  await app.ok("restart", "web");
  expect(await log()).toEqual([started, "stop", started]);
  await app.ok("stop", "web");
  expect(await log()).toEqual([started, "stop", started, "stop"]);
  await app.ok("rm", "-f", "web");
  expect(await log()).toHaveLength(4);

  const broken = await app.compose("up", "-d", "broken");
  expect(broken.code).toBe(1);
  expect(broken.stderr).toContain("said why\n");
  expect(broken.stderr).toContain("broken hook exited with status 3\n");
  await daemon.ok(["rm", "-f", `keeper-${process.pid}`]);
});

test("a provider brings a service up in its own way, and tells those that need it where it is", async () => {
  await using app = await project(`
name: provided
services:
  web: { ${sleeper}, depends_on: [data] }
  data: { provider: { type: gantry-test-provider, options: { kind: big, size: [1, 2] } } }
`);
  const program = join(app.root, "gantry-test-provider");
  writeFileSync(
    program,
    `#!/bin/sh
if [ "$2" = metadata ]; then [ -e stops ] && echo '{"stop":{"parameters":[]}}'; exit 0; fi
echo "$@" >> calls
echo '{"type":"info","message":"working"}'
[ -e broken ] && echo '{"type":"error","message":"no more room"}'
echo '{"type":"setenv","message":"URL=data://here"}'
echo '{"type":"rawsetenv","message":"SECRET=as=is"}'
`,
    { mode: 0o755 },
  );
  const { compose } = app;
  const calls = () => readFileSync(join(app.root, "calls"), "utf8").trim().split("\n");
  expect((await compose("up", "-d")).stderr).toMatch(/^ data {2}working$/m);
  expect(calls()).toEqual(["compose --project-name=provided up --kind=big --size=1 --size=2 data"]);
  expect((await compose("exec", "-T", "web", "sh", "-c", "echo $DATA_URL")).stdout).toBe("data://here\n");
  expect((await compose("run", "--rm", "-T", "web", "sh", "-c", "echo $DATA_URL")).stdout).toBe(
    "data://here\n",
  );
  expect(calls()).toHaveLength(2);
  expect((await compose("exec", "-T", "web", "sh", "-c", "echo $SECRET")).stdout).toBe("as=is\n");
  expect((await compose("ps", "-aq")).stdout.trim().split("\n")).toHaveLength(1);
  // Only one that says so is stopped.
  expect((await compose("stop", "-t", "0")).code).toBe(0);
  expect(calls()).toHaveLength(2);
  writeFileSync(join(app.root, "stops"), "");
  expect((await compose("stop", "web")).code).toBe(0);
  expect(calls()).toHaveLength(2);
  expect((await compose("stop")).code).toBe(0);
  expect(calls().at(-1)).toBe("compose --project-name=provided stop --kind=big --size=1 --size=2 data");
  expect((await compose("down", "-t", "0")).code).toBe(0);
  expect(calls().at(-1)).toStartWith("compose --project-name=provided down ");

  writeFileSync(join(app.root, "broken"), "");
  expect(await compose("up", "-d")).toMatchObject({ code: 1 });
  expect((await compose("up", "-d")).stderr).toContain('provider of service "data": no more room');
  rmSync(program);
  expect((await compose("up", "-d")).stderr).toContain('provider "gantry-test-provider" not found');
  // What is left for the end needs no provider.
  writeFileSync(join(app.root, "compose.yaml"), "name: provided\nservices: { web: { image: busybox } }\n");
});

test("gw_priority says which network leads out, gpus and reserved devices are asked for", async () => {
  await using app = await project(`
services:
  web: { ${sleeper}, networks: { a: {}, z: { gw_priority: 1 } } }
  gpu: { image: busybox, gpus: all, profiles: [gpu] }
  reserved:
    image: busybox
    profiles: [gpu]
    deploy: { resources: { reservations: { devices: [{ driver: nvidia, count: 1, capabilities: [utility] }] } } }
networks:
  a: { ipam: { config: [{ subnet: 10.211.1.0/24 }] } }
  z: { ipam: { config: [{ subnet: 10.211.2.0/24 }] } }
`);
  await app.ok("up", "-d");
  expect((await app.ok("exec", "-T", "web", "ip", "route")).stdout).toMatch(/^default via 10\.211\.2\.1 /);
  for (const [service, words] of [
    ["gpu", 'could not select device driver "" with capabilities: [[gpu]]'],
    ["reserved", 'could not select device driver "nvidia" with capabilities: [[utility]]'],
  ] as const)
    expect((await app.compose("up", "-d", service)).stderr).toContain(words);
});

test("config shows the file in every form that is asked for", async () => {
  await using app = await project(`
services:
  web: { image: busybox, env_file: vars, build: ./here, models: [m], volumes: [./data:/data] }
networks: { unused: {} }
models: { m: { model: ai/small } }
`);
  writeFileSync(join(app.root, "vars"), "A=1\n");
  const config = async (...args: string[]) =>
    JSON.parse(
      (
        await app.ok(
          ...args.filter((word) => word.startsWith("--all")),
          "config",
          "--format=json",
          ...args.filter((word) => !word.startsWith("--all")),
        )
      ).stdout,
    );
  expect((await config()).services.web).toMatchObject({
    environment: { A: "1" },
    networks: { default: null },
    build: { context: join(app.root, "here"), dockerfile: "Dockerfile" },
  });
  const plain = (await config("--no-env-resolution", "--no-normalize", "--no-path-resolution")).services.web;
  expect(plain.environment).toBeUndefined();
  expect(plain.networks).toBeUndefined();
  expect(plain.build).toEqual({ context: "./here" });
  expect(plain.env_file[0].path).toBe("vars");
  expect(Object.keys((await config("--all-resources")).networks)).toContain("unused");
  expect((await app.ok("config", "--models")).stdout).toBe("ai/small\n");
  expect((await app.compose("up", "-d")).stderr).toContain("services.web.models is not supported");
  writeFileSync(join(app.root, "compose.yaml"), "services: { web: { image: busybox } }\n");
});
