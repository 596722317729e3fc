/** The daemon dies at its worst moment, and nobody else notices. */
import { afterAll, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  executable,
  groupsAt,
  leftMounts,
  processesNaming,
  removeGroups,
  TestDaemon,
  until,
} from "./support/daemon.ts";
import { disposeAll } from "./support/dispose.ts";

let daemon: TestDaemon;
const context = mkdtempSync(join(tmpdir(), "gt-context-"));
afterAll(() => disposeAll(daemon, () => removeGroups(parent), context));

/** Cgroup of this daemon's alone: others may run beside it. */
const parent = `gantry-crash-${process.pid}`;

/** What the build runs, by a number that no other run of this test has. */
const step = `sleep ${100_000 + process.pid}`;
const counting = "i=0; while :; do echo $i; i=$((i+1)); sleep 0.01; done";

/** What belongs to the daemon in the kernel, besides processes. */
function kernelObjects(daemon: TestDaemon) {
  const links = Bun.spawnSync(["ip", "-o", "link", "show", "master", daemon.bridge]).stdout.toString();
  const cgroups = groupsAt(parent)
    .flatMap((path) => readdirSync(path, { withFileTypes: true }).filter((entry) => entry.isDirectory()))
    .map(({ name }) => name);
  return {
    mounts: leftMounts(daemon.root).map(({ target }) => target),
    links: links.split("\n").filter(Boolean).length,
    cgroups,
  };
}

test("kill -9 with ten containers running and a build going", async () => {
  daemon = await TestDaemon.start({ flags: ["--cgroup-parent", `/${parent}`] });
  const before = kernelObjects(daemon);
  const counters: string[] = [];
  for (let n = 0; n < 7; n++)
    counters.push(await daemon.ok(["run", "-d", "--name", `c${n}`, "busybox", "sh", "-c", counting]));
  // Two that end while there is no daemon.
  const untilTold = `while [ ! -e /told/end ]; do sleep 0.05; done`;
  const told = ["-v", `${context}:/told`, "busybox", "sh", "-c"];
  const late = await daemon.ok([
    ...["run", "-d", "--name", "late", ...told, `${untilTold}; echo over; exit 7`],
  ]);
  const removed = await daemon.ok(["run", "-d", "--rm", ...told, `${untilTold}; exit 3`]);
  const web = await daemon.ok([
    "run",
    "-d",
    "--name",
    "web",
    "-p",
    "127.0.0.1:0:80",
    "busybox",
    "sh",
    "-c",
    "echo page >/tmp/index.html; httpd -f -p 80 -h /tmp",
  ]);
  writeFileSync(
    join(context, "Dockerfile"),
    `FROM busybox\nRUN echo first > /first\nRUN echo building; ${step}\n`,
  );
  const build = daemon.gantry(["build", "-t", "cut", context]);
  await until(() => processesNaming(step).length > 0, "the build's step");
  const port = (await daemon.ok(["port", "web", "80"])).split(":").at(-1);
  const pidOf = (id: string) => daemon.ok(["inspect", "-f", "{{.State.Pid}}", id]);
  const pids = new Map<string, string>();
  for (const id of [...counters, web]) pids.set(id, await pidOf(id));
  const ending = [await pidOf(late), await pidOf(removed)];
  const client = Bun.spawn([executable, "logs", "-f", "c0"], {
    env: { ...process.env, GANTRY_HOST: daemon.host },
    stdout: "ignore",
    stderr: "ignore",
  });

  await daemon.crash();
  expect((await build).code).not.toBe(0);
  await client.exited;
  // Meanwhile containers go on: pages are served, and two of them end.
  expect(await (await fetch(`http://127.0.0.1:${port}/`)).text()).toBe("page\n");
  writeFileSync(join(context, "end"), "");
  await until(() => !ending.some((pid) => existsSync(`/proc/${pid}`)), "the end of two containers");
  const back = await daemon.boot();

  const stateOfLate = () => daemon.ok(["inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", late]);
  await until(async () => (await stateOfLate()) === "exited 7", "the exit code");
  expect(await daemon.ok(["logs", late])).toBe("over");
  await until(async () => (await daemon.gantry(["inspect", removed])).code !== 0, "--rm after the crash");
  for (const [id, pid] of pids)
    expect(await daemon.ok(["inspect", "-f", "{{.State.Running}} {{.State.Pid}}", id])).toBe(`true ${pid}`);
  for (const id of counters) {
    const count = async () => (await daemon.ok(["logs", id])).split("\n").map(Number);
    await until(async () => (await count()).length > 100, "a hundred lines");
    const lines = await count();
    expect(lines).toEqual(lines.map((_, index) => index));
  }
  expect(await (await fetch(`http://127.0.0.1:${port}/`)).text()).toBe("page\n");
  expect(await daemon.ok(["exec", "c1", "echo", "still here"])).toBe("still here");
  expect(
    await daemon.ok([
      "run",
      "--rm",
      "busybox",
      "wget",
      "-qO-",
      `http://${await daemon.ok(["inspect", "-f", "{{.NetworkSettings.IPAddress}}", "web"])}/`,
    ]),
  ).toBe("page");
  // The build's step has gone with its client; the part that was done is in the cache.
  await until(() => processesNaming(step).length === 0, "the end of the build's step");
  writeFileSync(join(context, "Dockerfile"), "FROM busybox\nRUN echo first > /first\nRUN echo second\n");
  expect((await daemon.gantry(["build", "-t", "cut", context])).stderr).toContain(" CACHED");

  await daemon.ok(["rm", "-f", ...counters, late, web]);
  await until(() => kernelObjects(daemon).mounts.length <= before.mounts.length, "the end of all mounts");
  // The kernel takes links down with their namespaces, in its own time.
  await until(() => kernelObjects(daemon).links === before.links, "the end of all links");
  const after = kernelObjects(daemon);
  expect(after.cgroups).toEqual([]);
  expect(
    processesNaming("gantry-monitor").filter((pid) =>
      readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(daemon.root),
    ),
  ).toEqual([]);
  for (const directory of ["c", "e", "r", "b"])
    expect(readdirSync(join(daemon.execRoot, directory))).toEqual([]);
  console.log(`back after ${Math.round(back)} ms`);
});
