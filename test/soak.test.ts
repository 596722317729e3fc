/** A thousand short lives leave the daemon and the kernel as they were. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { leftMounts, TestDaemon, until } from "./support/daemon.ts";

let daemon: TestDaemon;
beforeAll(async () => {
  daemon = await TestDaemon.start();
});
afterAll(() => daemon?.[Symbol.asyncDispose]());

const cycles = 1000;
const atOnce = 4;
const ids = new Set<string>();

async function post(path: string, body?: object): Promise<{ Id?: string; StatusCode?: number }> {
  const response = await daemon.request(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body ?? {}),
  });
  if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
  const text = await response.text();
  return text === "" ? {} : JSON.parse(text);
}

async function oneLife(): Promise<void> {
  const { Id } = await post("/containers/create", { Image: "busybox", Cmd: ["true"] });
  await post(`/containers/${Id}/start`);
  const { StatusCode } = await post(`/containers/${Id}/wait`);
  expect(StatusCode).toBe(0);
  ids.add(Id!);
  const gone = await daemon.request(`/containers/${Id}?v=1`, { method: "DELETE" });
  expect(gone.status).toBe(204);
}

async function lives(count: number): Promise<void> {
  let left = count;
  const worker = async () => {
    while (left-- > 0) await oneLife();
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
}

/** What a leak would be made of. */
function held() {
  const links = Bun.spawnSync(["ip", "-o", "link", "show", "master", daemon.bridge]).stdout.toString();
  const rules = Bun.spawnSync(["nft", "list", "ruleset"]).stdout.toString();
  return {
    mounts: leftMounts(daemon.root).length,
    links: links.split("\n").filter(Boolean).length,
    rules: rules.split("\n").filter((line) => line.includes(daemon.bridge)).length,
    directories: ["c", "e", "r", "b", "netns"].map(
      (name) =>
        readdirSync(daemon.execRoot).includes(name) && readdirSync(`${daemon.execRoot}/${name}`).length,
    ),
    cgroups: readdirSync("/sys/fs/cgroup")
      .map((controller) => `/sys/fs/cgroup/${controller}/gantry`)
      .filter((path) => existsSync(path))
      .flatMap((path) => readdirSync(path).filter((name) => ids.has(name))),
  };
}

const descriptors = () => readdirSync(`/proc/${daemon.pid}/fd`).length;

/** Kilobytes. */
function memory(): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${daemon.pid}/status`, "utf8"))![1]);
}

test(`${cycles} containers come and go, and nothing stays`, async () => {
  await lives(100);
  await until(() => held().links === 0, "the end of the first links");
  const before = held();
  const descriptorsBefore = descriptors();
  const memoryBefore = memory();
  await lives(cycles);
  // The kernel takes links down with their namespaces, in its own time.
  await until(
    () => Bun.deepEquals(held(), before),
    () => `${JSON.stringify(held())} to be as before: ${JSON.stringify(before)}`,
  );
  // Connections that are kept alive come and go.
  await until(
    () => descriptors() < descriptorsBefore + 2 * atOnce,
    () => `${descriptors()} descriptors to become as few as ${descriptorsBefore}`,
  );
  // A collector needs room; a leak of a hundredth of a container's record each would be seen.
  console.log(memoryBefore, memory());
  expect(memory() - memoryBefore).toBeLessThan(40_000);
  expect(await daemon.ok(["ps", "-aq"])).toBe("");
}, 600_000);
