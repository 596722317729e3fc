/** `image mount`: a look inside, that stays through the daemon's end and holds the image. */
import { afterAll, beforeAll, expect, test } from "bun:test";
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
