/** `cp` and the archive endpoints against a container that wants out: nothing outside of it is read or written. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { run, TestDaemon } from "./support/daemon.ts";
import { disposeAll } from "./support/dispose.ts";

const secret = "the host's own";

let daemon: TestDaemon;
/** On the host, with a file that nobody may read and no place to write. */
let canary: string;
let scratch: string;
beforeAll(async () => {
  daemon = await TestDaemon.start();
  canary = mkdtempSync(join(tmpdir(), "gt-canary-"));
  scratch = mkdtempSync(join(tmpdir(), "gt-scratch-"));
  writeFileSync(join(canary, "secret"), secret);
});
afterAll(() => disposeAll(daemon, canary, scratch));

function expectCanaryWhole(): void {
  expect(readdirSync(canary)).toEqual(["secret"]);
  expect(readFileSync(join(canary, "secret"), "utf8")).toBe(secret);
}

/** A tar, made by the real tar, of what `make` puts into an empty directory. */
async function tarOf(make: (directory: string) => void, ...flags: string[]): Promise<Uint8Array> {
  const directory = mkdtempSync(join(scratch, "tar-"));
  make(directory);
  const file = `${directory}.tar`;
  const { code, stderr } = await run(["tar", "-cPf", file, "-C", directory, ...flags, "."]);
  if (code !== 0) throw new Error(stderr);
  return readFileSync(file);
}

async function put(container: string, path: string, tar: Uint8Array, query = ""): Promise<Response> {
  const url = `/containers/${container}/archive?path=${encodeURIComponent(path)}${query}`;
  return daemon.request(url, { method: "PUT", body: tar, headers: { "Content-Type": "application/x-tar" } });
}

const get = (container: string, path: string, method = "GET") =>
  daemon.request(`/containers/${container}/archive?path=${encodeURIComponent(path)}`, { method });

/** Returns when the script has run, whose end its first line of output tells. */
const start = async (name: string, script: string, ...flags: string[]) => {
  const command = ["sh", "-c", `${script}\necho ready; exec sleep 100000`];
  await daemon.ok(["run", "-d", "--name", name, ...flags, "busybox", ...command]);
  while ((await daemon.ok(["logs", name])) === "") await Bun.sleep(10);
};

test("links to places of the host lead to places of the container", async () => {
  await start(
    "links",
    `ln -s ${canary} /abs; ln -s ../../../../../..${canary} /rel; ln -s /proc/1/root /magic`,
  );
  const payload = await tarOf((directory) => writeFileSync(join(directory, "planted"), "x"));
  for (const way of ["/abs", "/rel", "/abs/.", `/magic${canary}`, `/../../..${canary}`]) {
    expect((await put("links", way, payload)).ok).toBe(false);
    expect((await get("links", `${way}/secret`)).status).toBe(404);
    expect((await get("links", `${way}/secret`, "HEAD")).status).toBe(404);
  }
  // The link itself can be read, as a link.
  const tar = Buffer.from(await (await get("links", "/abs")).arrayBuffer()).toString("latin1");
  expect(tar).toContain(canary);
  expect(tar).not.toContain(secret);
  expectCanaryWhole();
});

test("links in what is uploaded lead nowhere either", async () => {
  await start("upload", "mkdir /in");
  const throughLink = await tarOf((directory) => symlinkSync(canary, join(directory, "out")));
  expect((await put("upload", "/in", throughLink)).status).toBe(200);
  const below = await tarOf((directory) => {
    mkdirSync(join(directory, "out"));
    writeFileSync(join(directory, "out", "planted"), "x");
  });
  await put("upload", "/in", below);
  expectCanaryWhole();
  for (const name of ["../../planted", `${canary}/planted`, "a/../../../planted"]) {
    const archive = await tarOf(
      (directory) => writeFileSync(join(directory, "file"), "x"),
      `--transform=s,^\\./file$,${name},`,
    );
    await put("upload", "/in", archive);
    expectCanaryWhole();
    expect(existsSync(join(daemon.execRoot, "planted"))).toBe(false);
    expect(existsSync("/planted")).toBe(false);
  }
  const hardLink = await tarOf((directory) => {
    writeFileSync(join(directory, "a"), "x");
    Bun.spawnSync(["ln", join(directory, "a"), join(directory, "b")]);
  }, `--transform=flags=h;s,.*a$,${canary}/secret,`);
  await put("upload", "/in", hardLink);
  const inside = await daemon.gantry(["exec", "upload", "sh", "-c", "cat /in/* /in/out/* 2>/dev/null"]);
  expect(inside.stdout).not.toContain(secret);
  expectCanaryWhole();
});

test("a directory that turns into a link while it is copied", async () => {
  const flip = `mkdir -p /flip/real; ln -s ${canary} /flip/link; cp -a /flip/real /flip/now
    while :; do mv -T /flip/now /flip/other; mv -T /flip/link /flip/now; mv -T /flip/now /flip/link; mv -T /flip/other /flip/now; done &`;
  await start("race", flip);
  const payload = await tarOf((directory) => writeFileSync(join(directory, "secret"), "overwritten"));
  let written = 0;
  let refused = 0;
  // Some rounds meet the directory and some don't, or the test has raced with nobody: on a busy machine all of
  // the first ones may run between two steps of the container.
  const met = () => written > 0 && refused > 0;
  const end = performance.now() + 60_000;
  for (let round = 0; round < 150 || (!met() && performance.now() < end); round++) {
    const [putting, getting] = await Promise.all([
      put("race", "/flip/now", payload),
      get("race", "/flip/now/secret"),
    ]);
    if (putting.ok) written++;
    else refused++;
    expect(await getting.text()).not.toContain(secret);
  }
  expect(met()).toBe(true);
  expectCanaryWhole();
});

test("device nodes, read-only places, and what stands in the way", async () => {
  const volume = ["-v", "kept:/ro:ro", "--tmpfs", "/tmp"];
  await start("rules", "mkdir /dir /dir/file; echo x > /file", ...volume);
  const payload = await tarOf((directory) => writeFileSync(join(directory, "file"), "new"));
  expect((await put("rules", "/ro", payload)).status).toBe(403);
  expect((await put("rules", "/missing", payload)).status).toBe(404);
  expect((await put("rules", "/file", payload)).status).toBe(400);
  const overDirectory = await put("rules", "/dir", payload, "&noOverwriteDirNonDir=1");
  expect(overDirectory.status).toBe(400);
  expect(((await overDirectory.json()) as { message: string }).message).toContain(
    "cannot overwrite directory",
  );
  const cut = payload.subarray(0, 700);
  expect((await put("rules", "/dir", cut)).ok).toBe(false);
  expect((await put("rules", "/dir", Buffer.from("no tar at all, but long enough to be looked at"))).ok).toBe(
    false,
  );
  const readOnly = await daemon.ok(["create", "--read-only", "busybox", "true"]);
  expect((await put(readOnly, "/", payload)).status).toBe(403);
});

test("owners come along, or become the container's own when that is asked, for stopped and running containers, and through volumes", async () => {
  const file = join(scratch, "owned");
  writeFileSync(file, "mine");
  Bun.spawnSync(["chown", "1234:4321", file]);
  await start("owner", "true", "-v", "box:/box");
  await daemon.ok([
    "create",
    "--name",
    "stopped",
    "-v",
    "box:/box",
    "busybox",
    "stat",
    "-c",
    "%u:%g",
    "/a/owned",
  ]);
  await daemon.ok(["cp", "-a", file, "owner:/box/owned"]);
  expect(await daemon.ok(["exec", "owner", "stat", "-c", "%u:%g", "/box/owned"])).toBe("1234:4321");
  await daemon.ok(["cp", file, "owner:/plain"]);
  expect(await daemon.ok(["exec", "owner", "stat", "-c", "%u:%g", "/plain"])).toBe("1234:4321");
  await start("user", "true", "-u", "77:88");
  await daemon.ok(["cp", "-a", file, "user:/tmp/owned"]);
  expect(await daemon.ok(["exec", "user", "stat", "-c", "%u:%g", "/tmp/owned"])).toBe("77:88");
  // A stopped container's volume is the same volume.
  await daemon.ok(["cp", "stopped:/box/owned", join(scratch, "back")]);
  expect(readFileSync(join(scratch, "back"), "utf8")).toBe("mine");
});
