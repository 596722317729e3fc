import { closeSync } from "node:fs";
import * as fs from "../../linux/fs.ts";

/** Removes `name` in `directory` with all that is in it; links are removed, never followed. @throws Errno */
export function removeTree(directory: number, name: Uint8Array, isDirectory: boolean): void {
  if (!isDirectory) {
    fs.unlinkAt(directory, name);
    return;
  }
  const fd = fs.openAt(directory, name, fs.O_RDONLY | fs.O_DIRECTORY | fs.O_NOFOLLOW);
  try {
    for (const child of fs.readNames(fd)) {
      const there = fs.tryStatAt(fd, child);
      if (there) removeTree(fd, child, (there.mode & fs.S_IFMT) === fs.S_IFDIR);
    }
  } finally {
    closeSync(fd);
  }
  fs.unlinkAt(directory, name, fs.AT_REMOVEDIR);
}
