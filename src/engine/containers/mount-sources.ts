/** What the runtime mounts where a path alone does not say it. */
import { mkdirSync, rmdirSync, statSync, unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { InvalidParameter } from "../../lib/errors.ts";
import { Descriptor, O_PATH, openInRoot } from "../../linux/fs.ts";
import { mount as bind, MNT_DETACH, MS_BIND, MS_REC, umount } from "../../linux/mount.ts";
import type { Snapshots } from "../../store/types.ts";
import type { MountPoint } from "../types.ts";

/**
 * Gives images, parts of volumes and images, and directories without what is mounted in them, a path of their own while
 * a container starts; an image stays mounted in the container's mount namespace alone. Crun binds recursively whatever it is told; from such a path there is nothing to recurse into. Whoever writes to the
 * volume could turn a part into a link to elsewhere at any moment: what was opened below the volume's root and
 * mounted by its descriptor can't be led away.
 */
export class MountSources implements Disposable {
  #places = new Map<string, { path: string; directory: boolean }>();

  /**
   * @param scratch a directory of the daemon's own
   * @param images where the trees of images are, and how they show the container's ids
   * @throws InvalidParameter when a part isn't there
   */
  constructor(
    private readonly scratch: string,
    mounts: readonly MountPoint[],
    images: { snapshots: Pick<Snapshots, "mountAt">; view: string | undefined },
  ) {
    try {
      for (const mount of mounts) {
        if (mount.image) this.#mountImage(mount, mount.image.chain, images);
        else if (mount.subpath !== undefined) this.#openPart(mount, mount.subpath);
        else if (mount.recursion === "none") this.#place(mount, mount.source, MS_BIND);
      }
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  /** The path that the runtime mounts. */
  sourceOf({ destination, source }: MountPoint): string {
    return this.#places.get(destination)?.path ?? source;
  }

  [Symbol.dispose](): void {
    for (const { path, directory } of this.#places.values()) {
      umount(path, MNT_DETACH);
      // Never recursively: what is mounted there is somebody's data.
      if (directory) rmdirSync(path);
      else unlinkSync(path);
    }
    this.#places.clear();
  }

  #mountImage(
    mount: MountPoint,
    chain: string,
    { snapshots, view }: { snapshots: Pick<Snapshots, "mountAt">; view: string | undefined },
  ): void {
    const path = join(this.scratch, crypto.randomUUID());
    snapshots.mountAt(chain, path, view);
    if (mount.subpath === undefined) {
      this.#places.set(mount.destination, { path, directory: true });
      return;
    }
    try {
      this.#openPart(mount, mount.subpath, path);
    } finally {
      umount(path, MNT_DETACH);
      rmdirSync(path);
    }
  }

  #openPart(mount: MountPoint, subpath: string, tree = mount.source): void {
    using root = Descriptor.directory(tree);
    using part = this.#part(root, mount, subpath);
    this.#place(mount, `/proc/self/fd/${part.fd}`, MS_BIND | MS_REC);
  }

  #place(mount: MountPoint, source: string, flags: number): void {
    const directory = statSync(source).isDirectory();
    const path = join(this.scratch, crypto.randomUUID());
    if (directory) mkdirSync(path, { mode: 0o700 });
    else writeFileSync(path, "", { mode: 0o600 });
    bind(source, path, "", flags, "");
    this.#places.set(mount.destination, { path, directory });
  }

  #part(root: Descriptor, { type, name, image }: MountPoint, subpath: string): Descriptor {
    try {
      return new Descriptor(openInRoot(root.fd, subpath, O_PATH));
    } catch (error) {
      const message = `cannot access path ${subpath} in ${type} ${image?.name ?? name}: no such file or directory`;
      throw new InvalidParameter(message, { cause: error });
    }
  }
}
