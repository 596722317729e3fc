/** Volumes that are mounts of their own, by both clients. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { leftMounts, type Result, TestDaemon, until } from "./support/daemon.ts";
import { disposeAll } from "./support/dispose.ts";

let daemon: TestDaemon;
let host: string;
beforeAll(async () => {
  daemon = await TestDaemon.start();
  host = mkdtempSync(join(tmpdir(), "gt-host-"));
});
afterAll(() => disposeAll(daemon, host));

const clients: [string, (args: string[]) => Promise<Result>][] = [
  ["gantry", (args) => daemon.gantry(args)],
  ["docker", (args) => daemon.docker(args)],
];
const volumeMounts = () => leftMounts(join(daemon.dataRoot, "volumes")).map(({ target }) => target);

describe.each(clients)("%s", (name, client) => {
  const ok = async (...args: string[]) => {
    const { code, stdout, stderr } = await client(args);
    if (code !== 0) throw new Error(`${args.join(" ")}: ${stderr}`);
    return stdout.trimEnd();
  };
  const create = (volume: string, type: string, o: string, device: string) =>
    ok("volume", "create", "-o", `type=${type}`, "-o", `o=${o}`, "-o", `device=${device}`, volume);

  test("a tmpfs with a size and an owner, there as long as somebody uses it", async () => {
    const volume = `${name}-tmpfs`;
    await create(volume, "tmpfs", "size=1m,uid=1000", "tmpfs");
    expect(JSON.parse(await ok("volume", "inspect", "-f", "{{json .Options}}", volume))).toEqual({
      type: "tmpfs",
      o: "size=1m,uid=1000",
      device: "tmpfs",
    });
    const user = `${name}-user`;
    await ok("run", "-d", "--name", user, "-v", `${volume}:/v`, "busybox", "sleep", "1000");
    expect(volumeMounts()).toHaveLength(1);
    await ok("exec", user, "sh", "-c", "echo shared > /v/file");
    expect(await ok("run", "--rm", "-v", `${volume}:/v`, "busybox", "stat", "-c", "%u", "/v")).toBe("1000");
    expect(await ok("run", "--rm", "-v", `${volume}:/v`, "busybox", "cat", "/v/file")).toBe("shared");
    const full = await client(["exec", user, "dd", "if=/dev/zero", "of=/v/big", "bs=1M", "count=2"]);
    expect(full.stderr).toContain("No space left on device");
    await ok("rm", "-f", user);
    await until(() => volumeMounts().length === 0, "the end of the mount");
    expect(await ok("run", "--rm", "-v", `${volume}:/v`, "busybox", "ls", "/v")).toBe("");
    await ok("volume", "rm", volume);
  });

  test("a directory of the host, whose files outlive the volume", async () => {
    const volume = `${name}-bind`;
    writeFileSync(join(host, "precious"), "kept");
    await create(volume, "none", "bind", host);
    expect(await ok("run", "--rm", "-v", `${volume}:/v`, "busybox", "cat", "/v/precious")).toBe("kept");
    await ok("run", "--rm", "-v", `${volume}:/v`, "busybox", "sh", "-c", `echo new > /v/${name}`);
    expect(readFileSync(join(host, name), "utf8")).toBe("new\n");
    await until(() => volumeMounts().length === 0, "the end of the mount");
    await ok("volume", "rm", volume);
    expect(readFileSync(join(host, "precious"), "utf8")).toBe("kept");
  });

  test("a part of a volume, which can't be led out of it", async () => {
    const volume = `${name}-parts`;
    const fill = "mkdir -p /v/a/b; echo inside > /v/a/b/file; ln -s /etc /v/out; ln -s a /v/link";
    await ok("run", "--rm", "-v", `${volume}:/v`, "busybox", "sh", "-c", fill);
    const mount = (part: string) => ["--mount", `type=volume,src=${volume},dst=/part,volume-subpath=${part}`];
    const list = (part: string) => ok("run", "--rm", ...mount(part), "busybox", "ls", "/part");
    expect(await list("a/b")).toBe("file");
    expect(await list("link")).toBe("b");
    for (const part of ["out", "missing", "../..", "/a"]) {
      const refused = await client(["run", "--rm", ...mount(part), "busybox", "true"]);
      expect(refused.code).not.toBe(0);
      expect(refused.stderr).toContain(
        part.includes("..") || part.startsWith("/") ? "subpath" : "cannot access path",
      );
    }
    await ok("volume", "rm", volume);
  });

  test("what can't be is said", async () => {
    const refused = async (...args: string[]) => {
      const { code, stderr } = await client(args);
      expect(code).not.toBe(0);
      return stderr;
    };
    expect(await refused("volume", "create", "-o", "color=red", "bad")).toContain('invalid option: "color"');
    expect(await refused("volume", "create", "-o", "type=tmpfs", "bad")).toContain(
      'missing required option: "device"',
    );
    expect(await refused("volume", "create", "-d", "other", "bad")).toContain('plugin "other" not found');
    const volume = `${name}-nowhere`;
    await create(volume, "none", "bind", "/no/such/directory");
    const why = await refused(
      "run",
      "--rm",
      "--name",
      `${name}-never`,
      "-v",
      `${volume}:/v`,
      "busybox",
      "true",
    );
    expect(why).toContain("failed to mount local volume");
    expect(why).toContain("/no/such/directory");
    expect(await ok("ps", "-aq", "--filter", `name=${name}-never`)).toBe("");
    await ok("volume", "rm", volume);
  });
});

test("a mounted volume survives the daemon's crash with its user, and is unmounted when nobody is left", async () => {
  await daemon.ok(["volume", "create", "-o", "type=none", "-o", "o=bind", "-o", `device=${host}`, "kept"]);
  await daemon.ok(["run", "-d", "--name", "stays", "-v", "kept:/v", "busybox", "sleep", "1000"]);
  await daemon.ok(["volume", "create", "-o", "type=tmpfs", "-o", "device=tmpfs", "gone"]);
  await daemon.ok(["run", "-d", "--name", "ends", "-v", "gone:/v", "busybox", "sleep", "1000"]);
  const ends = Number(await daemon.ok(["inspect", "-f", "{{.State.Pid}}", "ends"]));
  await daemon.crash();
  process.kill(ends, "SIGKILL");
  await until(() => !existsSync(`/proc/${ends}`), "the end of the container");
  await daemon.boot();
  await until(() => volumeMounts().length === 1, "the end of one mount");
  expect(volumeMounts()).toEqual([join(daemon.dataRoot, "volumes", "kept", "_data")]);
  expect(await daemon.ok(["exec", "stays", "cat", "/v/precious"])).toBe("kept");
  await daemon.ok(["rm", "-f", "stays", "ends"]);
  await until(() => volumeMounts().length === 0, "the end of the mount");
  await daemon.ok(["volume", "rm", "kept", "gone"]);
  expect(readdirSync(join(daemon.dataRoot, "volumes"))).toEqual([]);
  expect(existsSync(join(host, "precious"))).toBe(true);
});
