import { lstatSync, mkdirSync, rmdirSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Store } from "../../store/types.ts";

const directories = ["dev", "dev/pts", "dev/shm", "etc", "proc", "sys"];
const files = [".dockerenv", "dev/console", "etc/hosts", "etc/hostname", "etc/resolv.conf"];

/** Key of an image's init layer, given its top chain id. */
export const initLayerKey = (parent: string | undefined) => `init/${parent ?? "scratch"}`;

/**
 * The snapshot between an image and its containers: the mount points that every container needs, so that they
 * show up in no container's own layer (`diff`, `commit`). Made once for each image.
 * @returns the key of the committed snapshot
 */
export async function initLayer(store: Store, parent: string | undefined): Promise<string> {
  const { snapshots } = store;
  const name = initLayerKey(parent);
  if (snapshots.stat(name)) return name;
  const key = `${name}/${crypto.randomUUID()}`;
  snapshots.prepare(key, parent);
  const target = join(store.root, "tmp", crypto.randomUUID());
  try {
    snapshots.mountAt(key, target);
    try {
      for (const directory of directories)
        if (!taken(target, directory)) mkdirSync(join(target, directory), { mode: 0o755 });
      for (const file of files) {
        // A link could lead out of the tree: then crun, which resolves inside the root, makes what is missing.
        if (!taken(target, file) && lstatSync(join(target, dirname(file))).isDirectory())
          writeFileSync(join(target, file), "", { mode: 0o755 });
      }
      if (!taken(target, "etc/mtab") && lstatSync(join(target, "etc")).isDirectory())
        symlinkSync("/proc/mounts", join(target, "etc/mtab"));
    } finally {
      snapshots.unmount(target);
      rmdirSync(target);
    }
    // Empty files have no size to measure; and without a wait nobody else can come first.
    await snapshots.commit(name, key, 0);
  } finally {
    if (snapshots.stat(key)) snapshots.remove(key);
  }
  return name;
}

const taken = (root: string, path: string) =>
  lstatSync(join(root, path), { throwIfNoEntry: false }) !== undefined;
