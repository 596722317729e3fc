/** mount(2) and umount2(2). */
import { readFileSync } from "node:fs";
import { constants, release } from "node:os";
import { check, cstring, Errno, errno, libc } from "./libc.ts";

const symbols = libc({
  mount: { args: ["ptr", "ptr", "ptr", "u64", "ptr"], returns: "i32" },
  umount2: { args: ["ptr", "i32"], returns: "i32" },
});

export const MS_RDONLY = 0x1;
export const MS_NOSUID = 0x2;
export const MS_NODEV = 0x4;
export const MS_NOEXEC = 0x8;
export const MS_REMOUNT = 0x20;
export const MS_NOATIME = 0x400;
export const MS_BIND = 0x1000;
export const MS_MOVE = 0x2000;
export const MS_REC = 0x4000;
export const MS_UNBINDABLE = 0x2_0000;
export const MS_PRIVATE = 0x4_0000;
export const MS_SLAVE = 0x8_0000;
export const MS_SHARED = 0x10_0000;
export const MS_RELATIME = 0x20_0000;

export const MNT_FORCE = 1;
export const MNT_DETACH = 2;
export const UMOUNT_NOFOLLOW = 8;

/** mount_setattr(2) came with Linux 5.12; by it OCI runtimes make a whole tree of mounts read-only. */
export const canMountReadOnlyRecursively = isAtLeast(release(), 5, 12);

function isAtLeast(kernel: string, major: number, minor: number): boolean {
  const [ownMajor = 0, ownMinor = 0] = kernel.split(/[.-]/, 2).map(Number);
  return ownMajor > major || (ownMajor === major && ownMinor >= minor);
}

/** Bytes that the kernel takes as `data`, the closing NUL included: one page. */
export const mountDataLimit = 4096;

/**
 * @param type filesystem; empty for binds and changes of propagation
 * @param flags `MS_*`
 * @param data the filesystem's own options, comma separated; under `mountDataLimit` bytes
 * @throws Errno
 */
export function mount(source: string, target: string, type: string, flags: number, data: string): void {
  check(
    symbols.mount(cstring(source), cstring(target), cstring(type), flags, cstring(data)),
    "mount",
    target,
  );
}

/** @param flags `MNT_*`, `UMOUNT_NOFOLLOW` @throws Errno */
export function umount(target: string, flags = 0): void {
  check(symbols.umount2(cstring(target), flags), "umount", target);
}

/** Unmounts if something is mounted at `target`; false when nothing is. @throws Errno */
export function umountIfMounted(target: string, flags = 0): boolean {
  if (symbols.umount2(cstring(target), flags) === 0) return true;
  const failed = errno();
  if (failed === constants.errno.EINVAL || failed === constants.errno.ENOENT) return false;
  throw new Errno(failed, "umount", target);
}

/** Where something is mounted below a directory, the innermost first. */
export function mountsBelow(root: string): string[] {
  return readFileSync("/proc/self/mounts", "utf8")
    .split("\n")
    .map((line) => line.split(" ")[1] ?? "")
    .filter((target) => target.startsWith(`${root}/`))
    .reverse();
}
