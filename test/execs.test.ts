/** What becomes of execs with their container and with their daemon. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { TestDaemon, until } from "./support/daemon.ts";

let daemon: TestDaemon;
beforeAll(async () => {
  daemon = await TestDaemon.start();
});
afterAll(() => daemon?.[Symbol.asyncDispose]());

const post = (path: string, body: object = {}) =>
  daemon.request(path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
async function create(container: string, ...Cmd: string[]): Promise<string> {
  const answer = await post(`/containers/${container}/exec`, { Cmd });
  return ((await answer.json()) as { Id: string }).Id;
}
const start = async (id: string) => (await post(`/exec/${id}/start`, { Detach: true })).status;
const look = async (id: string) => {
  const answer = await daemon.request(`/exec/${id}/json`);
  const { Running, ExitCode } = (await answer.json()) as { Running?: boolean; ExitCode?: number | null };
  return answer.status === 200 ? { Running, ExitCode } : answer.status;
};
const idsOf = async (container: string) =>
  JSON.parse(await daemon.ok(["inspect", "-f", "{{json .ExecIDs}}", container])) as string[] | null;

test("with a run end those that were never started; the others tell their exit until the container goes", async () => {
  await daemon.ok(["run", "-d", "--name", "box", "--network", "none", "busybox", "sleep", "1000"]);
  const never = await create("box", "true");
  const ended = await create("box", "sh", "-c", "exit 3");
  const killed = await create("box", "sleep", "1000");
  expect(await idsOf("box")).toEqual([never, ended, killed]);
  expect([await start(ended), await start(killed)]).toEqual([200, 200]);
  await until(async () => !((await idsOf("box")) ?? []).includes(ended), "the exec's end");
  expect(await idsOf("box")).toEqual([never, killed]);
  await daemon.ok(["stop", "-t", "0", "box"]);
  await until(async () => (await idsOf("box")) === null, "no execs");
  expect(await look(never)).toBe(404);
  expect(await look(ended)).toEqual({ Running: false, ExitCode: 3 });
  expect(await look(killed)).toEqual({ Running: false, ExitCode: 137 });
  await daemon.ok(["start", "box"]);
  expect(await start(never)).toBe(404);
  expect(await start(ended)).toBe(409);
  await daemon.ok(["rm", "-f", "box"]);
  expect([await look(ended), await look(killed)]).toEqual([404, 404]);
});

test("a new daemon knows of none", async () => {
  await daemon.ok(["run", "-d", "--name", "old", "--network", "none", "busybox", "sleep", "1000"]);
  const running = await create("old", "sleep", "1000");
  expect(await start(running)).toBe(200);
  await create("old", "true");
  await daemon.crash();
  await daemon.boot();
  expect(await idsOf("old")).toBeNull();
  expect(await look(running)).toBe(404);
  expect((await daemon.ok(["top", "old", "-o", "pid,args"])).match(/sleep 1000/g)).toHaveLength(2);
  await daemon.ok(["rm", "-f", "old"]);
});

test("the daemon's default of no new privileges holds for execs too", async () => {
  const strict = await TestDaemon.start({ config: { "no-new-privileges": true } });
  try {
    const run = ["run", "-d", "--network", "none"];
    await strict.ok([...run, "--name", "strict", "busybox", "sleep", "1000"]);
    await strict.ok([
      ...run,
      "--name",
      "free",
      "--security-opt",
      "no-new-privileges=false",
      "busybox",
      "sleep",
      "1000",
    ]);
    const flag = (name: string) => strict.ok(["exec", name, "grep", "NoNewPrivs", "/proc/self/status"]);
    expect(await flag("strict")).toEndWith("1");
    expect(await flag("free")).toEndWith("0");
  } finally {
    await strict[Symbol.asyncDispose]();
  }
});
