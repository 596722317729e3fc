/** Flags of inodes: ioctl_iflags(2). */
import { closeSync, openSync } from "node:fs";
import { libc } from "./libc.ts";

const symbols = libc({ ioctl: { args: ["i32", "u64", "ptr"], returns: "i32" } });

const FS_IOC_GETFLAGS = 0x8008_6601;
const FS_IOC_SETFLAGS = 0x4008_6602;
const FS_TOPDIR_FL = 0x0002_0000;

/**
 * Says that the directories in `directory` have nothing to do with one another (`chattr +T`), so that ext4 puts each
 * in a part of the disk of its own. Otherwise what is new stands beside what was just removed, and for some minutes
 * ext4 looks at each inode that was removed there whenever it makes a file: several times the work of unpacking.
 * A file system without this flag does as it likes.
 */
export function spreadDirectories(directory: string): void {
  const fd = openSync(directory, "r");
  try {
    const flags = new Uint32Array(2);
    if (symbols.ioctl(fd, FS_IOC_GETFLAGS, flags) !== 0 || flags[0]! & FS_TOPDIR_FL) return;
    flags[0]! |= FS_TOPDIR_FL;
    symbols.ioctl(fd, FS_IOC_SETFLAGS, flags);
  } finally {
    closeSync(fd);
  }
}
