/** Files that commands write for their users. What is no plain file is neither replaced nor removed: it may be a device. */
import { lstatSync, rmSync, type Stats } from "node:fs";
import { InvalidParameter } from "../lib/errors.ts";

const kinds: [(stat: Stats) => boolean, string][] = [
  [(stat) => stat.isDirectory(), "a directory"],
  [(stat) => stat.isSymbolicLink(), "a symbolic link directly"],
  [(stat) => stat.isFIFO(), "a named pipe (FIFO)"],
  [(stat) => stat.isSocket(), "a socket"],
  [(stat) => stat.isBlockDevice(), "a block device file"],
  [(stat) => stat.isCharacterDevice(), "a character device file"],
];

/** @throws InvalidParameter in Docker's words when something else than a plain file is at the path */
export function checkReplaceable(path: string): void {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  const kind = stat && kinds.find(([is]) => is(stat));
  if (kind) throw new InvalidParameter(`cannot write to ${kind[1]}`);
}

/** A plain file goes; whatever else is there stays. */
export function removePlainFile(path: string): void {
  if (lstatSync(path, { throwIfNoEntry: false })?.isFile()) rmSync(path, { force: true });
}
