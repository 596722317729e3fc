/** Programs in sealed memory: the bytes that run are these, whatever becomes of the file or who opens it. */
import { closeSync, readFileSync, writeSync } from "node:fs";
import { check, cstring, libc } from "./libc.ts";

const { memfd_create, fcntl } = libc({
  memfd_create: { args: ["ptr", "u32"], returns: "i32" },
  fcntl: { args: ["i32", "i32", "i64"], returns: "i32" },
});

const MFD_CLOEXEC = 1;
const MFD_ALLOW_SEALING = 2;
const F_ADD_SEALS = 1033;
/** F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_GROW and F_SEAL_WRITE: nothing can be changed any more. */
const allSeals = 0xf;

/**
 * Copies a program into sealed memory (memfd_create(2)).
 * @returns a path that executes the copy, good for root while this process lives
 * @throws Errno, and node's errors of reading the file
 */
export function sealedCopy(file: string): string {
  const bytes = readFileSync(file);
  const fd = check(memfd_create(cstring(file), MFD_CLOEXEC | MFD_ALLOW_SEALING), "memfd_create", file);
  try {
    for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done);
    check(fcntl(fd, F_ADD_SEALS, allSeals), "fcntl(F_ADD_SEALS)", file);
  } catch (error) {
    closeSync(fd);
    throw error;
  }
  return `/proc/${process.pid}/fd/${fd}`;
}
