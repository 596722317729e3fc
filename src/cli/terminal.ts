/**
 * Standard streams by file descriptor. `process.stdout` costs 7 ms to touch and `node:tty` 3 ms, so that ordinary
 * commands write with `writeSync` and only interactive ones load these.
 */
import { fs } from "../lib/lazy-fs.ts";

export const stdinFd = 0;
export const stdoutFd = 1;
export const stderrFd = 2;

const terminals = new Map<number, boolean>();

/** Whether a descriptor is a terminal. */
export function isTerminal(fd: number): boolean {
  let known = terminals.get(fd);
  if (known === undefined) {
    known = probe(fd);
    terminals.set(fd, known);
  }
  return known;
}

function probe(fd: number): boolean {
  try {
    const stat = fs().fstatSync(fd);
    if (!stat.isCharacterDevice()) return false;
    const major = stat.rdev >> 8;
    // Majors of the kernel's devices.txt: 1 is /dev/null and its kin, 136-143 are pseudo-terminals.
    if (major === 1) return false;
    if (major >= 136 && major <= 143) return true;
    const { isatty } = require("node:tty") as typeof import("node:tty");
    return isatty(fd);
  } catch {
    return false;
  }
}

/** Writes all of it; waits when the reader of a non-blocking pipe is slow. */
export function writeAll(fd: number, data: string | Uint8Array): void {
  let rest = typeof data === "string" ? Buffer.from(data) : data;
  while (rest.length > 0) {
    try {
      rest = rest.subarray(fs().writeSync(fd, rest));
    } catch (error) {
      if ((error as { code?: string }).code !== "EAGAIN") throw error;
      Bun.sleepSync(1);
    }
  }
}

export interface TerminalSize {
  columns: number;
  rows: number;
}

/** Of the terminal behind a stream; of a classic one where there is none, or one that says it has no size. */
export function sizeOf({ columns, rows }: Partial<TerminalSize>): TerminalSize {
  return { columns: columns || 80, rows: rows || 24 };
}

/** Of the terminal behind stdout. */
export const terminalSize = (): TerminalSize => sizeOf(process.stdout);
