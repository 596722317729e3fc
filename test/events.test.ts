/**
 * What `docker events` tells of each command: the sequences of dockerd, recorded with the docker CLI, with all their
 * attributes. Ours leave out what dockerd does and Gantry doesn't: mounting a container's volumes for `cp`.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { join } from "node:path";
import { TestDaemon, until } from "./support/daemon.ts";
import { TestRegistry } from "./support/registry.ts";

interface Event {
  Type: string;
  Action: string;
  Actor: { ID: string; Attributes: Record<string, string> };
  status?: string;
  id?: string;
  from?: string;
  scope: string;
  timeNano: number;
}

let daemon: TestDaemon;
let registry: TestRegistry;
beforeAll(async () => {
  [daemon, registry] = await Promise.all([TestDaemon.start(), TestRegistry.start()]);
});
afterAll(async () => {
  await daemon?.[Symbol.asyncDispose]();
  await registry?.[Symbol.asyncDispose]();
});

async function events(): Promise<Event[]> {
  const now = (Date.now() / 1000 + 0.001).toFixed(9);
  const text = await (await daemon.request(`/v1.51/events?since=1&until=${now}`)).text();
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Event);
}

/** `container die exitCode=0 image=busybox name=one`; ids of whatever kind are `*`, as are times. */
function line({ Type, Action, Actor: { ID, Attributes } }: Event): string {
  const id = Type === "container" || Type === "network" ? "" : ID;
  const words = Object.entries(Attributes)
    .map(
      ([name, value]) =>
        `${name}=${["execDuration", "reclaimed"].includes(name) ? value.replace(/^\d+$/, "*") : value}`,
    )
    .sort();
  return [Type, Action, id, ...words]
    .filter((word) => word !== "")
    .join(" ")
    .replace(/(sha256:)?\b[0-9a-f]{64}\b/g, "*");
}

/** Runs docker's client, the last time to end with `code`, and holds what it makes the daemon tell to `lines`. */
async function tells(commands: string[][], lines: string[], code = 0): Promise<void> {
  const before = (await events()).length;
  for (const [index, command] of commands.entries()) {
    const result = await daemon.docker(command);
    const wanted = index === commands.length - 1 ? code : 0;
    if (result.code !== wanted)
      throw new Error(`docker ${command.join(" ")}: ${result.code}\n${result.stderr}`);
  }
  await hears(before, lines);
}

/** What comes after the first `before` events; a command's end may be told a moment after the client's. */
async function hears(before: number, lines: string[]): Promise<void> {
  const late = Date.now() + 20_000;
  while ((await events()).length < before + lines.length && Date.now() < late) await Bun.sleep(20);
  expect((await events()).slice(before).map(line)).toEqual(lines);
}

const loop = ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done"];
const one = "a=b image=busybox name=one";
const mounted = [
  "volume mount data container=* destination=/v driver=local propagation= read/write=false",
  "volume mount * container=* destination=/anon driver=local propagation= read/write=true",
];
const unmounted = [
  "volume unmount data container=* driver=local",
  "volume unmount * container=* driver=local",
];
const ended = ["network disconnect container=* name=own type=bridge", ...unmounted];

test("the life of a container with a network and volumes", async () => {
  await tells(
    [
      ["network", "create", "--label", "team=x", "own"],
      ["volume", "create", "--label", "team=x", "data"],
      [
        ...["create", "--name", "one", "--label", "a=b", "--network", "own"],
        ...["-v", "data:/v:ro", "-v", "/anon", "busybox", ...loop],
      ],
    ],
    [
      "network create name=own type=bridge",
      "volume create data driver=local",
      "volume create * driver=local",
      `container create ${one}`,
    ],
  );
  await tells(
    [["start", "one"]],
    ["network connect container=* name=own type=bridge", ...mounted, `container start ${one}`],
  );
  await tells([["top", "one"]], [`container top ${one}`]);
  await tells(
    [
      ["cp", "one:/etc/passwd", join(daemon.root, "passwd")],
      ["cp", join(daemon.root, "passwd"), "one:/tmp/x"],
    ],
    [`container archive-path ${one}`, `container extract-to-dir ${one}`],
  );
  await tells(
    [["commit", "-m", "hello", "one", "made:1"]],
    [
      `container pause ${one}`,
      "image tag * a=b name=made:1",
      "container commit a=b comment=hello image=busybox imageID=* imageRef=made:1 name=one",
      `container unpause ${one}`,
    ],
  );
  await tells(
    [
      ["export", "-o", join(daemon.root, "tree.tar"), "one"],
      ["rename", "one", "uno"],
      ["rename", "uno", "one"],
      ["update", "--restart", "no", "one"],
      ["pause", "one"],
      ["unpause", "one"],
      ["network", "connect", "bridge", "one"],
      ["network", "disconnect", "bridge", "one"],
      ["kill", "-s", "USR2", "one"],
    ],
    [
      `container export ${one}`,
      "container rename a=b image=busybox name=uno oldName=/one",
      "container rename a=b image=busybox name=one oldName=/uno",
      `container update ${one}`,
      `container pause ${one}`,
      `container unpause ${one}`,
      "network connect container=* name=bridge type=bridge",
      "network disconnect container=* name=bridge type=bridge",
      `container kill ${one} signal=12`,
    ],
  );
});

test("restart, stop and removal", async () => {
  // The shell has gone into its loop: its trap is set.
  await until(async () => (await daemon.docker(["top", "one"])).stdout.includes("sleep"), "the loop");
  const end = [
    `container kill ${one} signal=15`,
    "container die a=b execDuration=* exitCode=0 image=busybox name=one",
    ...ended,
    `container stop ${one}`,
  ];
  await tells(
    [["restart", "-t", "60", "one"]],
    [
      ...end,
      "network connect container=* name=own type=bridge",
      ...mounted,
      `container start ${one}`,
      `container restart ${one}`,
    ],
  );
  await until(async () => (await daemon.docker(["top", "one"])).stdout.includes("sleep"), "the loop");
  await tells([["stop", "-t", "60", "one"]], end);
  await tells([["rm", "-v", "one"]], ["volume destroy * driver=local", `container destroy ${one}`]);
});

test("commands within", async () => {
  await daemon.ok(["run", "-d", "--name", "two", "--network", "none", "busybox", "top"]);
  const at = "image=busybox name=two";
  await tells(
    [["exec", "two", "true"]],
    [
      `container exec_create: true  execID=* ${at}`,
      `container exec_start: true  execID=* ${at}`,
      `container exec_die execID=* exitCode=0 ${at}`,
    ],
  );
  await tells(
    [["exec", "two", "sh", "-c", "exit 3"]],
    [
      `container exec_create: sh -c exit 3 execID=* ${at}`,
      `container exec_start: sh -c exit 3 execID=* ${at}`,
      `container exec_die execID=* exitCode=3 ${at}`,
    ],
    3,
  );
  await tells(
    [["exec", "two", "nothere"]],
    [`container exec_create: nothere  execID=* ${at}`, `container exec_start: nothere  execID=* ${at}`],
    127,
  );
  const size = "/containers/two/resize?h=10&w=20";
  const before = (await events()).length;
  expect((await daemon.request(size, { method: "POST" })).status).toBe(200);
  await hears(before, ["container resize height=10 image=busybox name=two width=20"]);
  await tells(
    [["rm", "-f", "two"]],
    [
      `container kill ${at} signal=9`,
      "container die execDuration=* exitCode=137 image=busybox name=two",
      "network disconnect container=* name=none type=null",
      `container destroy ${at}`,
    ],
  );
});

test("runs: on the host's network, of what isn't there, a stop that must kill", async () => {
  const at = (name: string) => `image=busybox name=${name}`;
  await tells(
    [["run", "--rm", "--name", "three", "--network", "host", "busybox", "true"]],
    [
      `container create ${at("three")}`,
      `container attach ${at("three")}`,
      "network connect container=* name=host type=host",
      `container start ${at("three")}`,
      `container die execDuration=* exitCode=0 ${at("three")}`,
      "network disconnect container=* name=host type=host",
      `container destroy ${at("three")}`,
    ],
  );
  await tells(
    [["run", "--rm", "--name", "four", "-v", "data:/v", "busybox", "nothere"]],
    [
      `container create ${at("four")}`,
      `container attach ${at("four")}`,
      "network connect container=* name=bridge type=bridge",
      "volume mount data container=* destination=/v driver=local propagation= read/write=true",
      "network disconnect container=* name=bridge type=bridge",
      "volume unmount data container=* driver=local",
      `container destroy ${at("four")}`,
    ],
    127,
  );
  await daemon.ok(["run", "-d", "--name", "five", "busybox", "sleep", "1000"]);
  await tells(
    [
      ["pause", "five"],
      ["stop", "-t", "0", "five"],
      ["rm", "five"],
    ],
    [
      `container pause ${at("five")}`,
      `container kill ${at("five")} signal=15`,
      `container unpause ${at("five")}`,
      `container kill ${at("five")} signal=9`,
      `container die execDuration=* exitCode=137 ${at("five")}`,
      "network disconnect container=* name=bridge type=bridge",
      `container stop ${at("five")}`,
      `container destroy ${at("five")}`,
    ],
  );
});

test("memory that runs out, and terminals that are left", async () => {
  const at = "image=busybox name=full";
  await tells(
    [
      [
        ...["run", "--name", "full", "--network", "none", "--memory", "16m", "--memory-swap", "16m"],
        ...["busybox", "sh", "-c", "x=a; while :; do x=$x$x; done"],
      ],
    ],
    [
      `container create ${at}`,
      `container attach ${at}`,
      "network connect container=* name=none type=null",
      `container start ${at}`,
      `container oom ${at}`,
      `container die execDuration=* exitCode=137 ${at}`,
      "network disconnect container=* name=none type=null",
    ],
    137,
  );
  await daemon.ok(["rm", "full"]);
});

test("a health check's commands and its change", async () => {
  const before = (await events()).length;
  await daemon.ok([
    ...["run", "-d", "--name", "six", "--network", "none"],
    ...["--health-cmd", "true", "--health-interval", "100ms", "busybox", "top"],
  ]);
  const after = async () => (await events()).slice(before).map(line);
  await until(
    async () => (await after()).some((text) => text.includes("health_status")),
    "a healthy container",
  );
  const at = "image=busybox name=six";
  expect((await after()).slice(2, 7)).toEqual([
    `container start ${at}`,
    `container exec_create: /bin/sh -c true execID=* ${at}`,
    `container exec_start: /bin/sh -c true execID=* ${at}`,
    `container exec_die execID=* exitCode=0 ${at}`,
    `container health_status: healthy ${at}`,
  ]);
  await daemon.ok(["rm", "-f", "six"]);
});

test("images: every way they come and go", async () => {
  const name = `${registry.address}/app`;
  const archive = join(daemon.root, "app.tar");
  await tells(
    [
      ["tag", "made:1", `${name}:1`],
      ["push", "-q", `${name}:1`],
      ["save", "-o", archive, `${name}:1`],
      ["rmi", "made:1"],
      ["rmi", `${name}:1`],
    ],
    [
      `image tag * a=b name=${name}:1`,
      `image push ${name}:1 a=b name=${name}`,
      "image save * a=b name=*",
      "image untag * a=b name=*",
      // The tag's, and the digest's that the push has left.
      "image untag * a=b name=*",
      "image untag * a=b name=*",
      "image delete * name=*",
    ],
  );
  await tells([["load", "-q", "-i", archive]], ["image load * a=b name=*"]);
  await tells([["pull", "-q", `${name}:1`]], [`image pull ${name}:1 a=b name=${name}`]);
  await tells(
    [["import", join(daemon.root, "tree.tar"), "brought:1"]],
    ["image tag * name=brought:1", "image import * name=*"],
  );
  await tells([["image", "prune", "-f"]], ["image prune reclaimed=*"]);
});

test("prunes", async () => {
  await daemon.ok(["create", "--name", "seven", "--network", "none", "busybox"]);
  await tells(
    [["container", "prune", "-f"]],
    ["container destroy image=busybox name=seven", "container prune reclaimed=*"],
  );
  await daemon.ok(["network", "create", "spare"]);
  await daemon.ok(["network", "rm", "own"]);
  await tells(
    [["network", "prune", "-f"]],
    ["network destroy name=spare type=bridge", "network prune reclaimed=*"],
  );
  await tells([["builder", "prune", "-f"]], ["builder prune reclaimed=*"]);
  const before = (await events()).length;
  // Not every docker client has -a.
  await daemon.ok(["volume", "prune", "-af"]);
  await hears(before, ["volume destroy data driver=local", "volume prune reclaimed=*"]);
});

test("old clients' fields", async () => {
  for (const { Type, Action, Actor, status, id, from, scope } of await events()) {
    expect(scope).toBe("local");
    const shown = Type === "container" || Type === "image";
    expect([status, id]).toEqual(shown ? [Action, Actor.ID] : [undefined, undefined]);
    expect(from).toBe(Type === "container" ? Actor.Attributes.image : undefined);
  }
});

test("a token with labels hears of its networks, volumes and images, and no others", async () => {
  const secret = (await daemon.ok(["token", "create", "--label", "team=blue", "blue"])).split("\n").at(-1)!;
  for (const team of ["blue", "red"]) {
    await daemon.ok(["network", "create", "--label", `team=${team}`, `net-${team}`]);
    await daemon.ok(["volume", "create", "--label", `team=${team}`, `vol-${team}`]);
    await daemon.ok([
      ...["run", "--rm", "--name", `c-${team}`, "--label", `team=${team}`],
      ...["--network", `net-${team}`, "-v", `vol-${team}:/v`, "busybox", "true"],
    ]);
    await daemon.gantry(["build", "-q", "-t", `img-${team}`, "-"], {
      stdin: `FROM busybox\nLABEL team=${team}\n`,
    });
  }
  const headers = { authorization: `Bearer ${secret.trim()}` };
  const now = (Date.now() / 1000 + 0.001).toFixed(9);
  const heard = await daemon.request(`/v1.51/events?since=1&until=${now}`, { headers });
  const text = await heard.text();
  const lines = text.trim().split("\n");
  const kinds = lines.map((event) => line(JSON.parse(event)).split(" ").slice(0, 2).join(" "));
  expect(kinds).toEqual([
    "network create",
    "volume create",
    "container create",
    "container attach",
    "network connect",
    "volume mount",
    "container start",
    "container die",
    "network disconnect",
    "volume unmount",
    "container destroy",
    "image tag",
    "image build",
  ]);
  expect(text).not.toContain("red");
});
