/**
 * The one door to libc: every wrapper in this folder declares its symbols through `libc()` and reports failure
 * as an `Errno` that carries the call and the path.
 */

import { dlopen, type FFIFunction, read } from "bun:ffi";
import { constants } from "node:os";

const codes = new Map<number, string>(Object.entries(constants.errno).map(([name, n]) => [n, name]));

/** A failed system call. `code` is the symbolic errno (`ENOENT`), as on node's own errors. */
export class Errno extends Error {
  readonly code: string;
  constructor(
    readonly errno: number,
    readonly syscall: string,
    readonly path?: string,
  ) {
    const code = codes.get(errno) ?? `errno ${errno}`;
    super(`${syscall}${path ? ` ${path}` : ""}: ${code}`);
    this.name = "Errno";
    this.code = code;
  }
}

/** Opens libc with the given symbols. */
export function libc<T extends Record<string, FFIFunction>>(symbols: T) {
  return dlopen("libc.so.6", symbols).symbols;
}

const { __errno_location } = libc({ __errno_location: { args: [], returns: "ptr" } });
const errnoAddress = __errno_location();

/** errno of the calling thread's last failed call; valid only straight after the call. */
export function errno(): number {
  return errnoAddress === null ? 0 : read.i32(errnoAddress, 0);
}

/** Returns `result` when it is not negative. @throws Errno otherwise. */
export function check(result: number, syscall: string, path?: string | Uint8Array): number {
  if (result < 0) throw failed(errno(), syscall, path);
  return result;
}

function failed(code: number, syscall: string, path?: string | Uint8Array): Errno {
  return new Errno(code, syscall, path && (typeof path === "string" ? path : Buffer.from(path).toString()));
}

/** A NUL-terminated copy of a path or name. Bytes pass as they are, so names in any encoding survive. */
export function cstring(text: string | Uint8Array): Buffer {
  const length = typeof text === "string" ? Buffer.byteLength(text) : text.length;
  const bytes = Buffer.allocUnsafe(length + 1);
  if (typeof text === "string") bytes.write(text);
  else bytes.set(text);
  bytes[length] = 0;
  if (bytes.indexOf(0) !== length) throw new Errno(constants.errno.EINVAL, "path with a NUL byte");
  return bytes;
}
