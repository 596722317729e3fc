/** What containers have gathered is still so after kill -9 and a new daemon: health, restart counters, terminals. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { join } from "node:path";
import { executable, TestDaemon, until } from "./support/daemon.ts";

let daemon: TestDaemon;
beforeAll(async () => {
  daemon = await TestDaemon.start();
});
afterAll(() => daemon?.[Symbol.asyncDispose]());

interface Inspection {
  RestartCount: number;
  State: {
    Status: string;
    ExitCode: number;
    Error: string;
    Health?: { Status: string; FailingStreak: number; Log: { ExitCode: number }[] };
  };
}

const inspect = async (name: string) =>
  (await (await daemon.request(`/containers/${name}/json`)).json()) as Inspection;
const healthOf = async (name: string) => (await inspect(name)).State.Health!;

test("health: the streak of failures goes on, the healthy are healthy, and probes go on", async () => {
  const check = (interval: string) => ["--health-cmd", "test -f /ok", "--health-interval", interval];
  await daemon.ok([
    "run",
    "-d",
    "--name",
    "ill",
    ...check("200ms"),
    "--health-retries",
    "1000",
    "busybox",
    "sleep",
    "1000",
  ]);
  await daemon.ok([
    "run",
    "-d",
    "--name",
    "lost",
    ...check("200ms"),
    "--health-retries",
    "2",
    "busybox",
    "sleep",
    "1000",
  ]);
  await daemon.ok([
    ...["run", "-d", "--name", "well", "--health-cmd", "true", "--health-interval", "1s"],
    ...["busybox", "sleep", "1000"],
  ]);
  await until(async () => (await healthOf("ill")).FailingStreak >= 3, "three failures");
  await until(async () => (await healthOf("lost")).Status === "unhealthy", "the unhealthy");
  await until(async () => (await healthOf("well")).Status === "healthy", "the healthy");
  const before = await healthOf("ill");

  await daemon.crash();
  await daemon.boot();

  // Before any new probe of the healthy could have run.
  expect((await healthOf("well")).Status).toBe("healthy");
  expect((await healthOf("lost")).Status).toBe("unhealthy");
  const after = await healthOf("ill");
  expect(after.Status).toBe("starting");
  expect(after.FailingStreak).toBeGreaterThanOrEqual(before.FailingStreak);
  expect(after.Log.length).toBeGreaterThanOrEqual(before.Log.length);
  await until(async () => (await healthOf("ill")).FailingStreak > after.FailingStreak, "one more failure");
  await daemon.ok(["exec", "ill", "touch", "/ok"]);
  await until(async () => (await healthOf("ill")).Status === "healthy", "health at last");
  expect((await healthOf("ill")).FailingStreak).toBe(0);
});

test("restart counters: counted on, and the limit holds over all daemons", async () => {
  await daemon.ok([
    ...["run", "-d", "--name", "again", "--restart", "on-failure:4"],
    ...["busybox", "sh", "-c", "echo run >> /runs; wc -l < /runs; sleep 0.3; exit 9"],
  ]);
  let seen = 0;
  for (let daemons = 0; daemons < 2; daemons++) {
    // On a slow machine all may be over after the first look.
    await until(async () => {
      const { RestartCount, State } = await inspect("again");
      return RestartCount > seen || State.Status === "exited";
    }, "a restart");
    seen = (await inspect("again")).RestartCount;
    await daemon.crash();
    await daemon.boot();
    expect((await inspect("again")).RestartCount).toBeGreaterThanOrEqual(seen);
  }
  await until(async () => (await inspect("again")).State.Status === "exited", "the last exit");
  const { RestartCount, State } = await inspect("again");
  expect([RestartCount, State.ExitCode]).toEqual([4, 9]);
  expect(await daemon.ok(["logs", "again"])).toBe("1\n2\n3\n4\n5");
});

test("restarts that are due and probes that never rest do not disturb a daemon that comes back, nor it them", async () => {
  const names = Array.from({ length: 8 }, (_, n) => `due${n}`);
  for (const name of names)
    await daemon.ok([
      ...["run", "-d", "--name", name, "--restart", "always"],
      ...["busybox", "sh", "-c", "sleep 0.05; exit 1"],
    ]);
  const probed = ["probed0", "probed1", "probed2", "probed3"];
  for (const name of probed)
    await daemon.ok([
      ...["run", "-d", "--name", name, "--health-cmd", "true", "--health-interval", "1ms"],
      ...["busybox", "sleep", "1000"],
    ]);
  for (let daemons = 0; daemons < 8; daemons++) {
    await daemon.crash();
    await daemon.boot();
  }
  // The pauses between restarts double: all are waited for at once.
  await Promise.all(
    names.map(async (name) => {
      const { RestartCount } = await inspect(name);
      await until(async () => (await inspect(name)).RestartCount > RestartCount, `a restart of ${name}`);
      expect((await inspect(name)).State).toMatchObject({ Error: "" });
    }),
  );
  for (const name of probed)
    await until(async () => (await healthOf(name)).Status === "healthy", "a healthy probe");
  await daemon.ok(["rm", "-f", ...names, ...probed]);
});

test("a terminal: the shell behind it goes on, with its variables and its size", async () => {
  /** A client on a terminal that types the steps' texts; it ends with the container, or the daemon. */
  const type = (steps: [string, string][], ...args: string[]) =>
    Bun.spawn(["python3", join(import.meta.dir, "support/terminal.py"), JSON.stringify(steps), ...args], {
      env: { ...process.env, TERM: "dumb", GANTRY_HOST: daemon.host },
      stdout: "pipe",
      stderr: "pipe",
    });
  const first = type(
    [["#", "kept=of''before; echo rea''dy\n"]],
    ...["docker", "-H", daemon.host, "run", "-it", "--name", "shell", "busybox", "sh"],
  );
  await until(async () => (await daemon.gantry(["logs", "shell"])).stdout.includes("ready"), "the shell");
  await daemon.crash();
  // The client has lost its connection, the container nothing.
  await first.exited;
  await daemon.boot();
  expect((await inspect("shell")).State.Status).toBe("running");
  const second = type(
    [
      ["", "echo $kept''-x; stty size\n"],
      ["ofbefore-x", "exit 6\n"],
    ],
    executable,
    "attach",
    "shell",
  );
  const shown = await new Response(second.stdout).text();
  expect(await second.exited).toBe(6);
  expect(shown).toContain("ofbefore-x");
  expect(shown).toContain("33 101");
  expect((await inspect("shell")).State.ExitCode).toBe(6);
});
