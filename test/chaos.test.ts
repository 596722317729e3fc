/**
 * The daemon dies two hundred times at instants of chance under a mixed load: containers with health checks, restart
 * policies and data in volumes; execs, attached streams. What it had acknowledged is there each
 * time, what was in the air has happened or has not, and in the end nothing has leaked.
 */
import { afterAll, expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { leftMounts, processesNaming, TestDaemon, until } from "./support/daemon.ts";

const kills = 200;
const workers = 4;
/** A daemon lives this long at most, in milliseconds. */
const longestLife = 120;

let daemon: TestDaemon;
afterAll(() => daemon?.[Symbol.asyncDispose]());

/** What the client may believe: that it is so, that it isn't, or that it asked and never heard. */
type Belief = boolean | "asked";

interface Thing {
  kind: "containers" | "volumes" | "networks";
  name: string;
  exists: Belief;
  runs: Belief;
  /** Lines that execs have written to its volume: those that are said to be there, and those that may be. */
  written: number;
  asked: number;
}

/** The id of every container that ever was, for the search for leaks. */
const ids = new Set<string>();

async function call(method: string, path: string, body?: object): Promise<{ status: number; body: string }> {
  const response = await daemon.request(path, {
    method,
    headers: { "Content-Type": "application/json" },
    ...(method === "POST" && { body: JSON.stringify(body ?? {}) }),
  });
  return { status: response.status, body: await response.text() };
}

/** Asks; a refusal is a mistake of the daemon's, a broken connection is the kill. */
async function ask(method: string, path: string, wanted: number[], body?: object): Promise<string> {
  const answer = await call(method, path, body);
  if (!wanted.includes(answer.status))
    throw new Refused(`${method} ${path}: ${answer.status} ${answer.body}`);
  return answer.body;
}

class Refused extends Error {}

const pick = <T>(items: readonly T[]): T => items[Math.floor(Math.random() * items.length)]!;

class Worker {
  things: Thing[] = [];
  #made = 0;

  constructor(private readonly name: string) {}

  /** One thing to do, by chance. */
  async step(): Promise<void> {
    const thing = pick(this.things);
    if (!thing || (this.things.length < 4 && Math.random() < 0.5)) return this.#create();
    if (thing.kind !== "containers" || Math.random() < 0.3) return this.#remove(thing);
    if (thing.runs !== true) return this.#start(thing);
    return Math.random() < 0.6 ? this.#use(thing) : this.#stop(thing);
  }

  async #create(): Promise<void> {
    const kind = pick(["containers", "containers", "containers", "volumes", "networks"] as const);
    const name = `${this.name}-${this.#made++}`;
    const thing: Thing = { kind, name, exists: "asked", runs: false, written: 0, asked: 0 };
    this.things.push(thing);
    if (kind === "volumes") await ask("POST", "/volumes/create", [201], { Name: name });
    else if (kind === "networks") await ask("POST", "/networks/create", [201], { Name: name });
    else {
      const body = {
        Image: "busybox",
        Cmd: ["sh", "-c", "while :; do echo tick; sleep 0.05; done"],
        ...(Math.random() < 0.5 && { Healthcheck: { Test: ["CMD", "true"], Interval: 30_000_000 } }),
        HostConfig: {
          Binds: [`${name}-data:/data`],
          RestartPolicy: { Name: pick(["no", "unless-stopped", "on-failure"]) },
        },
      };
      const answer = await ask("POST", `/containers/create?name=${name}`, [201], body);
      ids.add(JSON.parse(answer).Id);
    }
    thing.exists = true;
  }

  async #start(thing: Thing): Promise<void> {
    thing.runs = "asked";
    await ask("POST", `/containers/${thing.name}/start`, [204]);
    thing.runs = true;
  }

  /** An exec that writes, with somebody attached to the container meanwhile. */
  async #use(thing: Thing): Promise<void> {
    thing.asked++;
    const watching = new AbortController();
    const watcher = daemon
      .request(`/containers/${thing.name}/attach?stream=1&stdout=1`, {
        method: "POST",
        signal: watching.signal,
      })
      .then((response) => response.text())
      .catch(() => undefined);
    try {
      const exec = { Cmd: ["sh", "-c", "echo line >> /data/lines"], AttachStdout: true };
      const { Id } = JSON.parse(await ask("POST", `/containers/${thing.name}/exec`, [201], exec)) as {
        Id: string;
      };
      await ask("POST", `/exec/${Id}/start`, [200], { Detach: false });
      const { ExitCode } = JSON.parse(await ask("GET", `/exec/${Id}/json`, [200])) as { ExitCode: number };
      if (ExitCode !== 0) throw new Refused(`exec in ${thing.name}: ${ExitCode}`);
      thing.written++;
    } finally {
      watching.abort();
      await watcher;
    }
  }

  async #stop(thing: Thing): Promise<void> {
    thing.runs = "asked";
    await ask("POST", `/containers/${thing.name}/${pick(["stop?t=0", "kill"])}`, [204]);
    thing.runs = false;
  }

  async #remove(thing: Thing): Promise<void> {
    thing.exists = "asked";
    if (thing.runs) thing.runs = "asked";
    await ask("DELETE", `/${thing.kind}/${thing.name}?force=1`, [204]);
    this.things.splice(this.things.indexOf(thing), 1);
    expect((await call("GET", where(thing))).status).toBe(404);
    if (thing.kind === "containers") await call("DELETE", `/volumes/${thing.name}-data`);
  }

  /** After the restart: beliefs hold, and what was open is settled. */
  async settle(): Promise<void> {
    for (const thing of [...this.things]) {
      const { status, body } = await call("GET", where(thing));
      const exists = status === 200;
      if (thing.exists !== "asked") expect({ thing, exists }).toEqual({ thing, exists: thing.exists });
      thing.exists = exists;
      if (!exists) {
        this.things.splice(this.things.indexOf(thing), 1);
        continue;
      }
      if (thing.kind !== "containers") continue;
      const { Id, State } = JSON.parse(body) as { Id: string; State: { Running: boolean; Pid: number } };
      ids.add(Id);
      if (thing.runs !== "asked")
        expect({ thing, running: State.Running }).toEqual({ thing, running: thing.runs });
      expect(State.Running && !existsSync(`/proc/${State.Pid}`)).toBe(false);
      if (thing.runs === "asked") {
        // A signal of the last daemon's may still be on its way to what looks alive.
        await ask("POST", `/containers/${thing.name}/stop?t=0`, [204, 304]);
        thing.runs = false;
      }
      const file = join(daemon.dataRoot, "volumes", `${thing.name}-data`, "_data", "lines");
      const lines = existsSync(file) ? readFileSync(file, "utf8").split("\n").length - 1 : 0;
      expect(lines).toBeGreaterThanOrEqual(thing.written);
      expect(lines).toBeLessThanOrEqual(thing.asked);
    }
  }
}

const where = ({ kind, name }: Thing) =>
  kind === "containers" ? `/containers/${name}/json` : `/${kind}/${name}`;

/** Lets everybody work until the daemon is killed. */
async function live(crew: readonly Worker[], life: number): Promise<void> {
  let over = false;
  const work = crew.map(async (worker) => {
    while (!over) {
      try {
        await worker.step();
      } catch (error) {
        if (error instanceof Refused || !over) throw error;
      }
    }
  });
  const all = Promise.all(work);
  await Promise.race([Bun.sleep(life), all]);
  over = true;
  await daemon.crash();
  await all;
}

test(`${kills} kills at instants of chance`, async () => {
  daemon = await TestDaemon.start();
  const rules = daemon.rules();
  const crew = Array.from({ length: workers }, (_, index) => new Worker(`w${index}`));
  for (let kill = 0; kill < kills; kill++) {
    await live(crew, Math.random() * longestLife);
    await daemon.boot();
    for (const worker of crew) await worker.settle();
  }
  for (const { kind, name } of crew.flatMap(({ things }) => things))
    await ask("DELETE", `/${kind}/${name}?force=1`, [204]);
  expect(await daemon.ok(["ps", "-aq"])).toBe("");
  await daemon.ok(["volume", "prune", "-a", "-f"]);
  // What execs leave that outlived their daemon, the next one clears.
  await daemon.shutDown();
  await daemon.boot();
  await nothingLeft();
  expect(daemon.rules()).toEqual(rules);
}, 600_000);

async function nothingLeft(): Promise<void> {
  const links = () => Bun.spawnSync(["ip", "-o", "link", "show", "master", daemon.bridge]).stdout.toString();
  // The kernel takes links down with their namespaces, in its own time.
  await until(() => links() === "", "the end of all links");
  expect(leftMounts(daemon.root)).toEqual([]);
  const others = () => processesNaming(daemon.execRoot).filter((pid) => pid !== daemon.pid);
  const commands = others().map((pid) => [
    pid,
    readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " "),
  ]);
  expect(commands).toEqual([]);
  for (const directory of ["c", "e", "r", "netns"]) {
    const path = join(daemon.execRoot, directory);
    expect({ directory, left: existsSync(path) ? readdirSync(path) : [] }).toEqual({ directory, left: [] });
  }
  expect(readdirSync(join(daemon.dataRoot, "containers"))).toEqual([]);
  expect(readdirSync(join(daemon.dataRoot, "volumes"))).toEqual([]);
  const groups = readdirSync("/sys/fs/cgroup")
    .map((controller) => `/sys/fs/cgroup/${controller}/gantry`)
    .filter((path) => existsSync(path))
    .flatMap((path) => readdirSync(path).filter((name) => ids.has(name)));
  expect(groups).toEqual([]);
}
