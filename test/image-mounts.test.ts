/** Trees of images: `image mount`, a look inside that stays through the daemon's end, and mounts of containers. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, readFileSync, readlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { leftMounts, TestDaemon } from "./support/daemon.ts";

let daemon: TestDaemon;
beforeAll(async () => {
  daemon = await TestDaemon.start();
});
afterAll(() => daemon?.[Symbol.asyncDispose]());

const mountsOf = () => leftMounts(daemon.root).filter(({ target }) => target.includes("/x/i/"));

test("an image's tree can be read, not written, and nothing is left of it", async () => {
  const path = await daemon.ok(["image", "mount", "busybox"]);
  expect(readFileSync(join(path, "etc/nsswitch.conf"), "utf8")).toBe("hosts: files dns\n");
  expect(readlinkSync(join(path, "bin/ls"))).toBe("busybox");
  expect(() => writeFileSync(join(path, "new"), "")).toThrow("EROFS");
  expect(await daemon.ok(["image", "mount", "busybox"])).toBe(path);
  expect(mountsOf()).toHaveLength(1);
  expect(await daemon.ok(["image", "mount"])).toContain(path);
  expect(await daemon.ok(["image", "unmount", "busybox"])).toBe("busybox");
  expect(mountsOf()).toEqual([]);
  expect(existsSync(path)).toBe(false);
  const again = await daemon.gantry(["image", "unmount", "busybox"]);
  expect(again).toMatchObject({ code: 1 });
  expect(again.stderr).toContain("is not mounted");
});

test("it stays through a kill of the daemon, and holds the image until then", async () => {
  await daemon.ok(["tag", "busybox", "looked-at"]);
  const path = await daemon.ok(["image", "mount", "looked-at"]);
  await daemon.crash();
  await daemon.boot();
  expect(existsSync(join(path, "bin/busybox"))).toBe(true);
  await daemon.ok(["rmi", "busybox"]);
  for (const force of [[], ["-f"]]) {
    const id = await daemon.ok(["images", "-q", "looked-at"]);
    const refused = await daemon.gantry(["rmi", ...force, id]);
    expect(refused.stderr).toContain(`image is mounted at ${path}`);
  }
  await daemon.ok(["image", "prune", "-af"]);
  expect(existsSync(join(path, "bin/busybox"))).toBe(true);
  await daemon.ok(["image", "unmount", "looked-at"]);
  expect(await daemon.ok(["rmi", "looked-at"])).toContain("Deleted: sha256:");
  expect(await daemon.ok(["images", "-aq"])).toBe("");
});

test("a mount that somebody else has taken away is forgotten at the next start", async () => {
  await daemon.ok(["load", "-q", "-i", (await import("./support/busybox.ts")).busyboxArchive()]);
  const path = await daemon.ok(["image", "mount", "busybox"]);
  await daemon.crash();
  Bun.spawnSync(["umount", path]);
  await daemon.boot();
  expect(existsSync(path)).toBe(false);
  expect(await daemon.ok(["image", "mount"])).not.toContain(path);
});

describe("a container's mount of an image", () => {
  const scratchMounts = () => leftMounts(daemon.root).filter(({ target }) => target.includes("/x/f/"));
  const runWith = (mount: string, ...command: string[]) =>
    daemon.gantry([
      "run",
      "--rm",
      "--mount",
      `type=image,source=tools,target=/tools${mount}`,
      "busybox",
      ...command,
    ]);

  beforeAll(async () => {
    const { busyboxArchive } = await import("./support/busybox.ts");
    await daemon.ok(["load", "-q", "-i", busyboxArchive()]);
    await daemon.ok([
      "run",
      "--name",
      "made",
      "busybox",
      "sh",
      "-c",
      "mkdir -p /opt/a && echo one > /opt/a/f && ln -s /etc /opt/out",
    ]);
    await daemon.ok(["commit", "made", "tools"]);
    await daemon.ok(["rm", "made"]);
  });

  test("shows the tree or a part of it, which can't be written or left", async () => {
    expect(await runWith("", "cat", "/tools/opt/a/f")).toMatchObject({ code: 0, stdout: "one\n" });
    expect(await runWith(",image-subpath=opt/a", "ls", "/tools")).toMatchObject({ code: 0, stdout: "f\n" });
    expect(await runWith(",image-subpath=opt/a/f", "cat", "/tools")).toMatchObject({
      code: 0,
      stdout: "one\n",
    });
    expect((await runWith("", "touch", "/tools/new")).stderr).toContain("Read-only file system");
    // A link is resolved inside the image: its own /etc.
    expect(await runWith(",image-subpath=opt/out", "cat", "/tools/nsswitch.conf")).toMatchObject({ code: 0 });
    const missing = await runWith(",image-subpath=nowhere", "true");
    expect(missing.stderr).toContain("cannot access path nowhere in image tools: no such file or directory");
    expect((await runWith(",image-subpath=../x", "true")).stderr).toContain(
      "must be a relative path within the image",
    );
    const unknown = await daemon.gantry(["create", "--mount", "type=image,source=none,target=/x", "busybox"]);
    expect(unknown.stderr).toContain("No such image: none:latest");
    expect(scratchMounts()).toEqual([]);
  });

  test("holds the image through a kill of the daemon, and lets it go with the container", async () => {
    const mount = "type=image,source=tools,target=/tools";
    await daemon.ok(["run", "-d", "--name", "user", "--mount", mount, "busybox", "sleep", "1000"]);
    const [{ Mounts, HostConfig }] = JSON.parse(await daemon.ok(["inspect", "user"]));
    const id = await daemon.ok(["images", "-q", "--no-trunc", "tools"]);
    expect(Mounts).toEqual([
      {
        Type: "image",
        Name: "tools",
        Source: id,
        Destination: "/tools",
        Mode: "",
        RW: false,
        Propagation: "",
      },
    ]);
    expect(HostConfig.Mounts[0]).toMatchObject({ Type: "image", Source: "tools", Target: "/tools" });
    await daemon.crash();
    await daemon.boot();
    expect(await daemon.ok(["exec", "user", "cat", "/tools/opt/a/f"])).toBe("one");
    for (const target of ["tools", id])
      expect((await daemon.gantry(["rmi", target])).stderr).toMatch(/conflict: unable to (remove|delete)/);
    expect(await daemon.ok(["rmi", "-f", "tools"])).toBe("Untagged: tools:latest");
    await daemon.ok(["image", "prune", "-f"]);
    expect(await daemon.ok(["exec", "user", "cat", "/tools/opt/a/f"])).toBe("one");
    await daemon.ok(["restart", "-t", "0", "user"]);
    expect(await daemon.ok(["exec", "user", "cat", "/tools/opt/a/f"])).toBe("one");
    await daemon.ok(["cp", "user:/tools/opt/a/f", join(daemon.root, "copy")]);
    expect(readFileSync(join(daemon.root, "copy"), "utf8")).toBe("one\n");
    expect(scratchMounts()).toEqual([]);
    await daemon.ok(["rm", "-f", "user"]);
    expect(await daemon.ok(["image", "prune", "-f"])).toContain(`deleted: ${id}`);
  });
});
