/**
 * Checkpoints: a container's processes saved and gone on with. They need CRIU on the PATH and a kernel that suits it;
 * without, what is looked at is that the engine says so.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { TestDaemon, until } from "./support/daemon.ts";

/** Why this machine has no checkpoints; undefined: it has. */
function missing(): string | undefined {
  const criu = Bun.which("criu");
  if (!criu) return "no criu on the PATH";
  if (!Bun.which("runc")) return "no runc on the PATH";
  const { exitCode, stderr } = Bun.spawnSync([criu, "check"]);
  return exitCode === 0 ? undefined : `criu check: ${stderr.toString().trim()}`;
}
const reason = missing();
if (reason !== undefined) console.log(`checkpoints are not made here: ${reason}`);

let daemon: TestDaemon;
beforeAll(async () => {
  daemon = await TestDaemon.start({ flags: ["--experimental"] });
});
afterAll(() => daemon?.[Symbol.asyncDispose]());

const count = "i=0; while :; do i=$((i+1)); echo $i; echo $i > /count; sleep 0.1; done";
const counter = (name: string, ...options: string[]) =>
  daemon.ok(["run", "-d", "--runtime", "runc", "--name", name, ...options, "busybox", "sh", "-c", count]);
const numbers = async (name: string) => (await daemon.ok(["logs", name])).split("\n").map(Number);
const state = (name: string) => daemon.ok(["inspect", "-f", "{{.State.Status}}", name]);
const counts = (name: string, beyond: number) =>
  until(async () => ((await numbers(name)).at(-1) ?? 0) > beyond, `${name} counts on`);

test.skipIf(reason !== undefined)("a container that ends with a checkpoint goes on from it", async () => {
  await counter("counter", "--restart", "always", "-p", "127.0.0.1::80", "-v", "things:/things");
  await counts("counter", 3);
  expect(await daemon.docker(["checkpoint", "create", "counter", "first"])).toEqual({
    code: 0,
    stdout: "first\n",
    stderr: "",
  });
  expect(await state("counter")).toBe("exited");
  const before = await numbers("counter");
  expect(await daemon.ok(["checkpoint", "ls", "counter"])).toBe("CHECKPOINT NAME\nfirst");
  expect(await daemon.ok(["start", "--checkpoint", "first", "counter"])).toBe("");
  await counts("counter", before.at(-1)!);
  // One count after the other, with nothing in between and no second start.
  const all = await numbers("counter");
  expect(all).toEqual(all.map((_, at) => at + 1));
  expect(await daemon.ok(["exec", "counter", "ps"])).toContain("sh -c i=0");
  await daemon.crash();
  await daemon.boot();
  await counts("counter", all.length);
  await daemon.ok(["rm", "-f", "-v", "counter"]);
});

test.skipIf(reason !== undefined)(
  "a checkpoint leaves the container running, in a directory of the user's",
  async () => {
    const directory = join(daemon.root, "mine");
    await counter("running", "--network", "none");
    await counts("running", 2);
    const create = ["checkpoint", "create", "--leave-running", "--checkpoint-dir", directory, "running"];
    expect(await daemon.ok([...create, "c1"])).toBe("c1");
    expect(await state("running")).toBe("running");
    await counts("running", (await numbers("running")).at(-1)!);
    expect((await daemon.gantry([...create, "c1"])).stderr).toContain(
      "checkpoint with name c1 already exists",
    );
    expect(await daemon.ok(["checkpoint", "ls", "running"])).toBe("CHECKPOINT NAME");
    expect(await daemon.ok(["checkpoint", "ls", "--checkpoint-dir", directory, "running"])).toEndWith("\nc1");
    await daemon.ok(["checkpoint", "rm", "--checkpoint-dir", directory, "running", "c1"]);
    expect(existsSync(join(directory, "c1"))).toBeFalse();
    await daemon.ok(["rm", "-f", "running"]);
  },
);

test("what can't be is said, and leaves nothing", async () => {
  const refused = async (...args: string[]) => (await daemon.gantry(args)).stderr;
  await daemon.ok(["run", "-d", "--name", "plain", "busybox", "sleep", "100000"]);
  expect(await refused("checkpoint", "create", "plain", "../x")).toContain("Invalid checkpoint ID (../x)");
  expect(await refused("checkpoint", "rm", "plain", "none")).toContain("checkpoint none does not exist");
  expect(await refused("checkpoint", "create", "nobody", "one")).toContain("No such container: nobody");
  const runtime = await daemon.ok(["inspect", "-f", "{{.HostConfig.Runtime}}", "plain"]);
  const crun = runtime === "crun" && !Bun.spawnSync(["crun", "--version"]).stdout.includes("+CRIU");
  if (crun)
    expect(await refused("checkpoint", "create", "plain", "one")).toContain(
      "create the container with --runtime runc",
    );
  else if (reason !== undefined)
    expect(await refused("checkpoint", "create", "plain", "one")).toContain("checkpoints need CRIU");
  if (crun || reason !== undefined) {
    expect(await daemon.ok(["checkpoint", "ls", "plain"])).toBe("CHECKPOINT NAME");
    expect(await state("plain")).toBe("running");
  }
  await daemon.ok(["rm", "-f", "plain"]);
  await daemon.ok(["create", "--name", "still", "busybox", "true"]);
  expect(await refused("start", "--checkpoint", "none", "still")).toContain(
    "checkpoint none does not exist for container still",
  );
  await daemon.ok(["rm", "still"]);
});
