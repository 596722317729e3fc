/** Both clients draw bars from the engine's progress on a terminal; ours tells speed and time left too. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { CuttingProxy } from "./support/cutting-proxy.ts";
import { executable, run, TestDaemon } from "./support/daemon.ts";
import { disposeAll } from "./support/dispose.ts";
import { digestOf, Repository } from "./support/multi-platform.ts";
import { TestRegistry } from "./support/registry.ts";

let daemon: TestDaemon;
let registry: TestRegistry;
let proxy: CuttingProxy;
beforeAll(async () => {
  registry = await TestRegistry.start();
  proxy = new CuttingProxy(registry.address);
  daemon = await TestDaemon.start({ images: false });
  await publish("bars", [tarOf(3 << 20)]);
});
afterAll(() => disposeAll(daemon, proxy, registry));

/** An archive with a file of random bytes. */
const tarOf = (size: number) =>
  Buffer.from(
    Bun.spawnSync(["sh", "-c", "d=$(mktemp -d) && cat > $d/f && tar -C $d -cf - f && rm -r $d"], {
      stdin: randomBytes(size),
    }).stdout,
  );

async function publish(name: string, tars: Buffer<ArrayBuffer>[]): Promise<void> {
  const repository = new Repository(`${registry.address}/${name}`);
  const config = await repository.blob("application/vnd.oci.image.config.v1+json", {
    os: "linux",
    architecture: "amd64",
    rootfs: { type: "layers", diff_ids: tars.map(digestOf) },
  });
  const layers = await Promise.all(
    tars.map((tar) => repository.blob("application/vnd.oci.image.layer.v1.tar", tar)),
  );
  await repository.manifest("1", { config, layers });
}

/** What a terminal shows of a command; `steps` as terminal.py takes them. */
const onTerminal = (
  [columns, rows]: [columns: number, rows?: number],
  steps: [string, string][],
  ...command: string[]
) =>
  run(
    [
      "python3",
      join(import.meta.dir, "support/terminal.py"),
      JSON.stringify(steps),
      ...["sh", "-c", 'trap : INT; "$@"; echo "ended with $?"; stty -a', "sh", ...command],
    ],
    {
      env: {
        GANTRY_HOST: daemon.host,
        DOCKER_HOST: daemon.host,
        TERM: "xterm",
        TERMINAL_SIZE: `${rows ?? 24}x${columns}`,
      },
    },
  );

const docker = Bun.which("docker") ?? "docker";
const ourBar = /Downloading \[=*> *\] +[\d.]+[kM]?B\/3\.\d+MB [\d.]+[kM]?B\/s \d+s left/;
const ourLine = /\[1A\r\S+2K\w+: Pull complete/;
test.each([
  ["gantry", executable, 140, ourBar, ourLine],
  ["gantry", executable, 80, ourBar, ourLine],
  ["gantry", executable, 40, /Downloading \d+% \d+s left/, ourLine],
  [
    "docker",
    docker,
    140,
    /Downloading +\[=*>? *\] +[\d.]+[kM]?B\/3\.\d+MB/,
    /\[1A\S+2K\r+\w+: Pull complete/,
  ],
] as const)("%s's bars, %s %i columns wide", async (_, client, columns, bar, inPlace) => {
  proxy.delay = 40;
  const image = `${proxy.address}/bars:1`;
  const { stdout } = await onTerminal([columns], [], client, "pull", image);
  expect(stdout).toContain("ended with 0");
  expect(stdout).toMatch(bar);
  expect(stdout).toMatch(inPlace);
  // None is so long that the terminal breaks it.
  if (client === executable)
    for (const [, line = ""] of stdout.matchAll(/2K([^\r\n\x1b]*)\r/g))
      expect(line.length).toBeLessThan(columns);
  await daemon.ok(["rmi", image]);
});

test.each([
  ["gantry", executable],
  ["docker", docker],
])("%s: Ctrl-C ends a pull and leaves the terminal as it was", async (_, client) => {
  proxy.delay = 200;
  const { stdout } = await onTerminal(
    [100],
    [["Downloading", "\x03"]],
    client,
    "pull",
    `${proxy.address}/bars:1`,
  );
  expect(stdout).toContain("ended with 130");
  expect(stdout).toMatch(/[^-]icanon/);
  expect(stdout).toMatch(/[^-]echo /);
  // A cursor that was hidden is there again.
  expect(stdout.split("\x1b[?25l").length).toBe(stdout.split("\x1b[?25h").length);
});

test("on a terminal of fewer lines than layers, those above are seen in its uppermost line", async () => {
  proxy.delay = 0;
  const tars = [1000, 1001, 1002, 1003, 1004, 1005].map(tarOf);
  await publish("short", tars);
  const image = `${proxy.address}/short:1`;
  const { stdout } = await onTerminal([80, 4], [], executable, "pull", image);
  expect(stdout).toContain("ended with 0");
  for (const tar of tars) expect(stdout).toContain(`${digestOf(tar).slice(7, 19)}: Pull complete`);
  await daemon.ok(["rmi", image]);
});

interface Message {
  id?: string;
  status?: string;
  stream?: string;
  progress?: string;
  progressDetail?: { current?: number; total?: number };
}

const messages = async (path: string, init: RequestInit = {}) =>
  (await (await daemon.request(path, { method: "POST", ...init })).text())
    .trim()
    .split("\r\n")
    .map((line) => JSON.parse(line) as Message);

test("the messages of pull, push and load are dockerd's", async () => {
  proxy.delay = 20;
  const tars = [5 << 20, 1000, 1001, 1002, 1003].map(tarOf);
  await publish("five", tars);
  const ids = tars.map((tar) => digestOf(tar).slice(7, 19));
  const pulled = await messages(`/v1.51/images/create?fromImage=${proxy.address}/five&tag=1`);
  expect(pulled[0]).toEqual({ status: "Pulling from five", id: "1" });
  expect(pulled.slice(1, 8)).toEqual([
    ...ids.map((id) => ({ status: "Pulling fs layer", progressDetail: {}, id })),
    ...ids.slice(3).map((id) => ({ status: "Waiting", progressDetail: {}, id })),
  ]);
  const shown = pulled.find(({ id, progressDetail }) => id === ids[0] && progressDetail?.current)!;
  expect(shown).toMatchObject({
    status: "Downloading",
    id: ids[0],
    progressDetail: { total: tars[0]!.length },
  });
  expect(shown.progress).toMatch(/^\[=*> *\] +[\d.]+[kM]?B\/5\.2\d+MB$/);
  // The brackets, fifty columns and the head.
  expect(shown.progress!.indexOf("]")).toBe(52);
  for (const id of ids)
    expect(pulled.filter((message) => message.id === id).map(({ status }) => status)).toEqual(
      expect.arrayContaining(["Pulling fs layer", "Download complete", "Extracting", "Pull complete"]),
    );

  const extracting = pulled.filter(({ id, status }) => id === ids[0] && status === "Extracting");
  const whole = { current: tars[0]!.length, total: tars[0]!.length };
  expect(extracting.at(-1)!.progressDetail).toEqual(whole);

  await daemon.ok(["tag", `${proxy.address}/five:1`, `${proxy.address}/six:1`]);
  const pushed = await messages(`/v1.51/images/${proxy.address}/six/push?tag=1`, {
    headers: { "X-Registry-Auth": Buffer.from("{}").toString("base64") },
  });
  expect(
    pushed
      .filter(({ status }) => status === "Mounted from five")
      .map(({ id }) => id!)
      .sort(),
  ).toEqual([...ids].sort());

  const archive = join(daemon.root, "five.tar");
  await daemon.ok(["save", "-o", archive, `${proxy.address}/five:1`]);
  await daemon.ok(["rmi", `${proxy.address}/five:1`, `${proxy.address}/six:1`]);
  const loaded = `Loaded image: ${proxy.address}/five:1\n`;
  const said = await messages("/v1.51/images/load", { body: Bun.file(archive) });
  expect(said.at(-1)).toEqual({ stream: loaded });
  const total = tars[0]!.length;
  expect(said.at(-2)).toEqual({
    status: "Loading layer",
    progressDetail: { current: total, total },
    progress: `[${"=".repeat(50)}>] ${" 5.253MB/5.253MB"}`,
    id: ids[0]!,
  });
  expect(await messages("/v1.51/images/load?quiet=1", { body: Bun.file(archive) })).toEqual([
    { stream: loaded },
  ]);
  // Of what is no terminal our client and Docker's ask for quiet.
  expect(await daemon.ok(["load", "-i", archive])).toBe(loaded.trim());
  const bars = await onTerminal([140], [], docker, "load", "-i", archive);
  expect(bars.stdout).toContain("ended with 0");
  await daemon.ok(["rmi", `${proxy.address}/five:1`]);
});
