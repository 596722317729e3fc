/** What of an archive's entries is wrong, and whose fault it is. */
import { InvalidParameter } from "../../lib/errors.ts";
import { type ByteString, readable, type TarEntry } from "../../lib/tar/index.ts";

/** Relative, without `.`, `..` and empty parts. @throws InvalidParameter when it leads above the root */
export function cleanPath(path: ByteString): ByteString {
  if (!/(^|\/)(\.{0,2})(\/|$)/.test(path)) return path;
  const parts: ByteString[] = [];
  for (const part of path.split("/")) {
    if (part === "" || part === ".") continue;
    if (part !== "..") parts.push(part);
    else if (parts.pop() === undefined)
      throw new InvalidParameter(`${readable(path)} leads outside of the archive's root`);
  }
  return parts.join("/");
}

/** What the archive is to blame for, rather than the disk. */
const archiveFaults = new Set([
  "ENAMETOOLONG",
  "ENOTDIR",
  "EISDIR",
  "ELOOP",
  "EINVAL",
  "ENOENT",
  "EEXIST",
  "EMLINK",
  "EXDEV",
  // A sparse file may claim more than the file system counts to.
  "EFBIG",
]);

export function explain(error: unknown, entry: TarEntry): unknown {
  const what = `${readable(entry.path)}${entry.linkPath ? ` -> ${readable(entry.linkPath)}` : ""}`;
  const code = (error as NodeJS.ErrnoException).code;
  if (error instanceof InvalidParameter)
    return new InvalidParameter(`${what}: ${error.message}`, { cause: error });
  if (code !== undefined && archiveFaults.has(code))
    return new InvalidParameter(`${what}: ${(error as Error).message}`, { cause: error });
  return error;
}
