/** Builds whose client goes away, whose daemon is killed, and which run beside each other. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { leftMounts, processesNaming, TestDaemon, until } from "./support/daemon.ts";
import { disposeAll } from "./support/dispose.ts";
import { TestRegistry } from "./support/registry.ts";

let daemon: TestDaemon;
const directory = mkdtempSync(join(tmpdir(), "gt-robust-"));
beforeAll(async () => {
  daemon = await TestDaemon.start();
});
afterAll(() => disposeAll(directory, daemon));

function archive(files: Record<string, string>): Uint8Array<ArrayBuffer> {
  const root = mkdtempSync(join(directory, "context-"));
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(root, name)), { recursive: true });
    writeFileSync(join(root, name), content);
  }
  return Bun.spawnSync(["tar", "-C", root, "-czf", "-", "."]).stdout as Uint8Array<ArrayBuffer>;
}

async function build(query: string, body: Uint8Array<ArrayBuffer>, init: RequestInit = {}): Promise<string> {
  return (await daemon.request(`/build?${query}`, { method: "POST", body, ...init })).text();
}

/** Distinctive, so that a process that was left would be found. */
const pause = "sleep 0.0973";

/** Every kind of step, two stages side by side, 2 MB to copy. */
const mixed = {
  Dockerfile: `FROM busybox AS one
RUN ${pause}; head -c 300000 /dev/zero > /one
FROM busybox AS two
WORKDIR /work
COPY data data/
RUN --mount=type=cache,target=/c --mount=type=tmpfs,target=/t ${pause}; cp data/0 /t/x; cp /t/x /work/two
FROM busybox
COPY --from=one /one /r/one
COPY --from=two /work /r/work
ADD data/inner.tar /r/inner/
RUN --mount=type=bind,from=two,target=/two --mount=type=bind,target=/ctx,rw ${pause}; cat /two/work/two > /r/last
RUN chmod 600 /r/one && rm -r /r/work/data/1`,
  ".dockerignore": "ignored",
  ignored: "",
  ...Object.fromEntries(Array.from({ length: 20 }, (_, n) => [`data/${n}`, `${n}`.repeat(100_000)])),
  "data/inner.tar": Buffer.from(Bun.spawnSync(["tar", "-C", "/etc", "-cf", "-", "hostname"]).stdout).toString(
    "latin1",
  ),
};

/** What running builds have, and finished ones must not leave. */
function leftovers() {
  const list = (path: string) => (existsSync(path) ? readdirSync(path) : []);
  return {
    mounts: leftMounts(daemon.root).length,
    processes: processesNaming(pause).length,
    steps: list(join(daemon.execRoot, "b")),
    temporary: list(join(daemon.dataRoot, "tmp")).filter((name) => name.startsWith("build-")),
  };
}

const nothing = { mounts: 0, processes: 0, steps: [], temporary: [] };

/** A build ends when its answer is there, or its client gone; its directories may take a moment more. */
async function nothingLeft(): Promise<void> {
  await until(
    () => Bun.deepEquals(leftovers(), nothing),
    () => `nothing left of builds: ${JSON.stringify(leftovers())}`,
  );
}

const tree = (image: string) =>
  daemon.ok([
    "run",
    "--rm",
    image,
    "sh",
    "-c",
    "find /r | sort; find /r -type f | sort | xargs sha256sum; ls -l /r/one | cut -c1-10",
  ]);

test("a client that goes away at whatever instant leaves nothing", async () => {
  const body = archive(mixed);
  const from = performance.now();
  expect(await build("t=whole&nocache=1", body)).toContain("Successfully built");
  const whole = performance.now() - from;
  for (let n = 0; n < 10; n++) {
    const controller = new AbortController();
    const building = build("nocache=1", body, { signal: controller.signal }).catch(() => "gone");
    await Bun.sleep(Math.random() * whole);
    controller.abort();
    await building;
    await nothingLeft();
  }
  for (const query of ["check=1", "lint=1"]) await build(query, body);
  await nothingLeft();
  expect(await build("t=after", body)).toContain("Successfully built");
  expect(await tree("after")).toBe(await tree("whole"));
}, 60_000);

test("a daemon that is killed at whatever instant leaves a cache that is right", async () => {
  const body = archive(mixed);
  const expected = await tree("whole");
  for (let n = 0; n < 5; n++) {
    await daemon.ok(["builder", "prune", "-af"]);
    const building = build("t=killed", body).catch(() => "gone");
    await Bun.sleep(Math.random() * 900);
    await daemon.crash();
    await building;
    await daemon.boot();
    expect(await build("t=again", body)).toContain("Successfully built");
    expect(await tree("again")).toBe(expected);
    await nothingLeft();
  }
}, 60_000);

test("builds side by side: one with credentials of its own, none disturbs the other", async () => {
  await using registry = await TestRegistry.start();
  await daemon.ok(["tag", "busybox", `${registry.address}/private:1`]);
  await daemon.ok(["push", "-q", `${registry.address}/private:1`]);
  const login = Buffer.from("someone:s3cret").toString("base64");
  using front = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch(request) {
      if (request.headers.get("authorization") !== `Basic ${login}`)
        return new Response("", { status: 401, headers: { "www-authenticate": 'Basic realm="test"' } });
      return fetch(`http://${registry.address}${new URL(request.url).pathname}`, {
        method: request.method,
        headers: { accept: request.headers.get("accept") ?? "*/*" },
      });
    },
  });
  const address = `127.0.0.1:${front.port}`;
  const own = archive({ Dockerfile: `FROM ${address}/private:1\nRUN echo private > /own` });
  const config = { [address]: { username: "someone", password: "s3cret" } };
  const headers = { "x-registry-config": Buffer.from(JSON.stringify(config)).toString("base64url") };
  const plain = build("nocache=1", archive({ Dockerfile: `FROM busybox\nRUN sleep 1; echo plain > /p` }));
  await Bun.sleep(300);
  const without = await build("", own);
  expect(without).toContain("no basic auth credentials");
  expect(await build("", own, { headers })).toContain("Successfully built");
  // The second must not have taken down what the first still ran in.
  expect(await plain).toContain("Successfully built");
  expect(daemon.log()).not.toContain("s3cret");
});

test("three clients that build the same at once have each step done once", async () => {
  const mount = "--mount=type=cache,id=count,target=/runs";
  const body = archive({
    Dockerfile: `FROM busybox\nRUN ${mount} mktemp /runs/XXXXXX; sleep 0.5; echo built > /out`,
  });
  const outputs = await Promise.all([0, 1, 2].map((n) => build(`t=same${n}`, body)));
  for (const output of outputs) expect(output).toContain("Successfully built");
  const counting = archive({ Dockerfile: `FROM busybox\nRUN ${mount} echo runs: $(ls /runs | wc -l)` });
  expect(await build("nocache=1", counting)).toContain("runs: 1\\n");
});
