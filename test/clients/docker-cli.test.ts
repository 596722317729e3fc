/** Docker's own command line: what people do with it in a working day, step by step. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Result, TestDaemon, until } from "../support/daemon.ts";
import { disposeAll } from "../support/dispose.ts";

let daemon: TestDaemon;
const directory = mkdtempSync(join(tmpdir(), "gt-docker-"));
beforeAll(async () => {
  daemon = await TestDaemon.start();
});
afterAll(() => disposeAll(directory, daemon));

let steps = 0;
const call = (...args: string[]): Promise<Result> => {
  steps++;
  return daemon.docker(args, { cwd: directory });
};
async function ok(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await call(...args);
  if (code !== 0) throw new Error(`docker ${args.join(" ")}: exit ${code}\n${stdout}${stderr}`);
  return stdout.trimEnd();
}
const fails = async (code: number, said: string, ...args: string[]) => {
  const result = await call(...args);
  expect({ code: result.code, stderr: result.stderr }).toEqual({
    code,
    stderr: expect.stringContaining(said),
  });
};
const ask = (format: string, container: string) => ok("inspect", "-f", format, container);

test("a day at work", async () => {
  // The machine.
  expect(await ok("version", "-f", "{{.Server.Version}}")).not.toBe("");
  expect(await ok("info", "-f", "{{.Driver}} {{.Swarm.LocalNodeState}}")).toBe("overlay2 inactive");
  expect(await ok("images", "--format", "{{.Repository}}")).toContain("busybox");

  // An image of one's own.
  mkdirSync(join(directory, "app"));
  writeFileSync(join(directory, "app/index.html"), "hello\n");
  writeFileSync(
    join(directory, "app/Dockerfile"),
    'FROM busybox\nARG WHO=nobody\nENV WHO=$WHO\nCOPY index.html /www/\nCMD ["httpd", "-f", "-h", "/www"]\n',
  );
  steps++;
  const built = await daemon.docker(["build", "-q", "-t", "app:1", "--build-arg", "WHO=me", "app"], {
    cwd: directory,
    env: { DOCKER_BUILDKIT: "0" },
  });
  expect(built.code).toBe(0);
  expect(built.stdout).toMatch(/^sha256:[0-9a-f]{64}\n$/);
  expect(await ok("history", "--format", "{{.CreatedBy}}", "app:1")).toContain("httpd");
  await ok("tag", "app:1", "app:latest");
  expect(await ok("image", "inspect", "-f", "{{json .RepoTags}}", "app:1")).toBe('["app:1","app:latest"]');

  // A service with a network, a volume, a port and a health check.
  await ok("network", "create", "--label", "day=1", "back");
  await ok("volume", "create", "--label", "day=1", "data");
  const id = await ok(
    ...["run", "-d", "--name", "web", "--network", "back", "--network-alias", "www", "-v", "data:/data"],
    ...[
      "-p",
      "127.0.0.1::80",
      "-e",
      "MODE=test",
      "-m",
      "64m",
      "--restart",
      "on-failure:2",
      "--label",
      "day=1",
    ],
    ...["--health-cmd", "test -f /www/index.html", "--health-interval", "1s", "app:1"],
  );
  expect(id).toMatch(/^[0-9a-f]{64}$/);
  const address = await ok("port", "web", "80/tcp");
  const page = () => fetch(`http://${address}/`).then((answer) => answer.text());
  await until(async () => (await page().catch(() => "")) === "hello\n", "the page");
  await until(async () => (await ask("{{.State.Health.Status}}", "web")) === "healthy", "its health");
  expect(await ok("ps", "--filter", "label=day=1", "--format", "{{.Names}} {{.State}}")).toBe("web running");
  expect(await ok("exec", "-e", "EXTRA=1", "web", "sh", "-c", "echo $WHO $MODE $EXTRA")).toBe("me test 1");
  await fails(7, "", "exec", "web", "sh", "-c", "exit 7");
  await fails(127, "", "exec", "web", "no-such-program");
  expect(await ok("run", "--rm", "--network", "back", "busybox", "wget", "-qO-", "http://www/")).toBe(
    "hello",
  );
  expect(await ok("top", "web")).toContain("httpd");
  expect(await ok("stats", "--no-stream", "--format", "{{.Name}} {{.MemUsage}}", "web")).toMatch(
    /^web .*\/ 64MiB$/,
  );

  // Files in and out.
  writeFileSync(join(directory, "new.html"), "changed\n");
  await ok("cp", "new.html", "web:/www/index.html");
  expect(await page()).toBe("changed\n");
  await ok("cp", "web:/www/index.html", "back.html");
  expect(readFileSync(join(directory, "back.html"), "utf8")).toBe("changed\n");
  expect(await ok("diff", "web")).toContain("C /www/index.html");
  await ok("commit", "-m", "changed", "web", "app:2");
  expect(await ok("run", "--rm", "app:2", "cat", "/www/index.html")).toBe("changed");

  // Its life.
  await ok("update", "--memory", "96m", "--memory-swap", "192m", "web");
  expect(await ask("{{.HostConfig.Memory}}", "web")).toBe(String(96 << 20));
  await ok("pause", "web");
  expect(await ask("{{.State.Status}}", "web")).toBe("paused");
  await ok("unpause", "web");
  await ok("rename", "web", "site");
  await ok("restart", "-t", "0", "site");
  await ok("stop", "-t", "0", "site");
  expect(await ok("wait", "site")).toBe("137");
  await ok("start", "site");
  await fails(1, "already in use", "create", "--name", "site", "busybox");
  await fails(125, "No such image", "run", "--pull", "never", "not-there");
  await fails(126, "permission denied", "run", "--rm", "busybox", "/etc/passwd");
  await fails(3, "", "run", "--rm", "busybox", "sh", "-c", "exit 3");

  // What it says.
  await ok("run", "--name", "talk", "busybox", "sh", "-c", "echo one; echo two >&2; sleep 0.1; echo three");
  expect(await ok("logs", "--tail", "1", "talk")).toBe("three");
  expect((await call("logs", "talk")).stderr).toBe("two\n");
  const now = (Date.now() / 1000).toFixed(3);
  const since = ["events", "--since", "10m", "--until", now, "--filter", "container=talk"];
  expect((await ok(...since, "--format", "{{.Action}}")).split("\n")).toEqual(
    expect.arrayContaining(["create", "attach", "start", "die"]),
  );

  // Away with images and back.
  await ok("save", "-o", "app.tar", "app:1", "app:latest");
  await ok("rm", "-f", "site");
  expect(await ok("rmi", "app:1", "app:latest")).toContain("Untagged: app:1");
  expect(await ok("load", "-i", "app.tar")).toContain("Loaded image: app:1");
  await ok("export", "-o", "talk.tar", "talk");
  await ok("import", "-c", "CMD /bin/date", "talk.tar", "flat:1");
  expect(await ok("run", "--rm", "flat:1", "echo", "flat")).toBe("flat");

  // The evening.
  expect(await ok("system", "df", "--format", "{{.Type}}")).toBe(
    "Images\nContainers\nLocal Volumes\nBuild Cache",
  );
  await fails(1, "", "volume", "rm", "none");
  expect(await ok("container", "prune", "-f")).toContain("Deleted Containers");
  expect(await ok("network", "rm", "back")).toBe("back");
  expect(await ok("volume", "ls", "-q", "--filter", "label=day=1")).toBe("data");
  expect(await ok("volume", "rm", "data")).toBe("data");
  expect(await ok("ps", "-aq")).toBe("");
  expect(steps).toBeGreaterThanOrEqual(25);
});
