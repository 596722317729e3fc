import { closeSync } from "node:fs";
import * as fs from "../../linux/fs.ts";

/** Between two breaths for others. */
const batch = 500;

/**
 * Content bytes of regular files and number of inodes below `directory`, which isn't counted itself; hard links
 * count once. What vanishes meanwhile is left out.
 */
export async function measureTree(
  directory: string,
  signal?: AbortSignal,
): Promise<{ bytes: number; inodes: number }> {
  using root = fs.Descriptor.directory(directory);
  const seen = new Set<string>();
  let bytes = 0;
  let inodes = 0;
  let met = 0;
  const pending: { fd: number; names: Buffer[] }[] = [{ fd: root.fd, names: fs.readNames(root.fd) }];
  try {
    for (let top = pending.at(-1); top; top = pending.at(-1)) {
      const name = top.names.pop();
      if (name === undefined) {
        if (pending.length > 1) closeSync(top.fd);
        pending.pop();
        continue;
      }
      if (++met % batch === 0) {
        await new Promise((resolve) => setImmediate(resolve));
        signal?.throwIfAborted();
      }
      const stat = fs.tryStatAt(top.fd, name);
      if (!stat) continue;
      const type = stat.mode & fs.S_IFMT;
      if (stat.nlink > 1 && type !== fs.S_IFDIR) {
        if (seen.has(stat.id)) continue;
        seen.add(stat.id);
      }
      inodes++;
      if (type === fs.S_IFREG) bytes += stat.size;
      if (type !== fs.S_IFDIR) continue;
      const fd = fs.unlessMissing(() =>
        fs.openAt(top.fd, name, fs.O_RDONLY | fs.O_DIRECTORY | fs.O_NOFOLLOW),
      );
      if (fd === undefined) continue;
      pending.push({ fd, names: [] });
      pending.at(-1)!.names = fs.readNames(fd);
    }
  } finally {
    for (const { fd } of pending.slice(1)) closeSync(fd);
  }
  return { bytes, inodes };
}
