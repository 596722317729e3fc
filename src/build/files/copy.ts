/** Writes selected files into a root file system, as COPY does. */
import {
  chmodSync,
  constants,
  copyFileSync,
  lchownSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  rmSync,
  type Stats,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { copyFile } from "node:fs/promises";
import { join, posix } from "node:path";
import { makeNode } from "../../linux/fs.ts";
import { Breather } from "./breather.ts";
import type { Chmod } from "./chmod.ts";
import { makeDirectory, type Owner, resolveInside } from "./inside.ts";
import type { Entry, Selection } from "./tree.ts";

/** A destination that can't take the files; the caller adds the place. */
export class CopyError extends Error {}

export interface CopyOptions {
  /** Absolute path below the root; a slash at the end makes it a directory. */
  destination: string;
  /** `keep`: as the sources have it. */
  owner: Owner | "keep";
  chmod?: Chmod;
  /** Instead of the sources' times of modification. */
  time?: Date;
  /** What is in the way and of another kind goes. */
  replace?: boolean;
  signal?: AbortSignal;
}

/** A file whose content comes from the Dockerfile. */
export interface InlineFile {
  name: string;
  content: string;
}

/** Bigger files are copied off the thread. */
const largeFile = 1024 * 1024;

/** @throws CopyError a file where a directory is needed, or the reverse */
export async function copySelections(
  sourceRoot: string,
  selections: Selection[],
  inline: InlineFile[],
  root: string,
  options: CopyOptions,
): Promise<void> {
  const copier = new Copier(sourceRoot, root, options);
  const many = selections.length + inline.length > 1;
  const existing = isDirectory(root, options.destination);
  const intoDirectory = many || existing || /\/\.?$/.test(options.destination);
  // A link that is named as the destination is followed; one that a copied directory meets is replaced.
  const file = posix.join("/", resolveInside(root, options.destination) ?? options.destination);
  for (const selection of selections) {
    if (selection.directory) await copier.directory(selection, options.destination);
    else {
      const target = intoDirectory ? posix.join(options.destination, selection.name) : file;
      await copier.topFile(selection.entries[0]!, target);
    }
  }
  for (const { name, content } of inline) {
    // A name with `..` leads no further up than the destination.
    const below = posix.join("/", name);
    copier.inline(content, intoDirectory ? posix.join(options.destination, below) : file);
  }
}

function isDirectory(root: string, path: string): boolean {
  const real = resolveInside(root, path);
  if (real === undefined) return false;
  return lstatSync(join(root, real), { throwIfNoEntry: false })?.isDirectory() ?? false;
}

class Copier {
  readonly #breather: Breather;
  readonly #directoryOwner: Owner;

  constructor(
    private readonly sourceRoot: string,
    private readonly root: string,
    private readonly options: CopyOptions,
  ) {
    this.#breather = new Breather(options.signal);
    this.#directoryOwner = options.owner === "keep" ? { uid: 0, gid: 0 } : options.owner;
  }

  /** The directory's content; the directory itself is only made when it is missing. */
  async directory({ entries }: Selection, destination: string): Promise<void> {
    const top = this.#makeDirectory(destination);
    const target = join(this.root, top.path);
    const created = new Set<string>(top.created ? [""] : []);
    const directories: { path: string; stat: Stats }[] = [];
    for (const entry of entries) {
      if (entry.target === "") continue;
      await this.#breather.breathe();
      const path = join(target, entry.target);
      const parent = posix.dirname(entry.target);
      const fresh = created.has(parent === "." ? "" : parent);
      if (entry.stat.isDirectory()) {
        if (this.#subdirectory(path, entry, fresh)) created.add(entry.target);
        directories.push({ path, stat: entry.stat });
      } else await this.#file(entry, path, fresh);
    }
    // Their times change with every file written, so they are set last and from the bottom.
    for (const { path, stat } of directories.reverse()) this.#times(path, stat);
  }

  async topFile(entry: Entry, destination: string): Promise<void> {
    await this.#breather.breathe();
    await this.#file(entry, this.#place(destination), false);
  }

  inline(content: string, destination: string): void {
    const path = this.#place(destination);
    this.#clear(path);
    writeFileSync(path, content, { flag: "wx" });
    lchownSync(path, this.#directoryOwner.uid, this.#directoryOwner.gid);
    chmodSync(path, this.options.chmod?.change(0o644, false) ?? 0o644);
  }

  /** Where a file goes: its parent resolved and made, its own name not followed. */
  #place(destination: string): string {
    const parent = this.#makeDirectory(posix.dirname(destination));
    return join(this.root, parent.path, posix.basename(destination));
  }

  #makeDirectory(path: string): { path: string; created: boolean } {
    const made = makeDirectory(this.root, path, {
      owner: this.#directoryOwner,
      mode: this.options.chmod?.made,
    });
    if (!made) throw new CopyError(`cannot copy to non-directory: ${path}`);
    return made;
  }

  #subdirectory(path: string, { stat, target }: Entry, fresh: boolean): boolean {
    let existing = fresh ? undefined : lstatSync(path, { throwIfNoEntry: false });
    if (existing && !existing.isDirectory() && this.options.replace) {
      rmSync(path);
      existing = undefined;
    }
    if (existing && !existing.isDirectory()) throw new CopyError(`cannot copy to non-directory: ${target}`);
    if (!existing) mkdirSync(path, { mode: 0o700 });
    this.#attributes(path, stat);
    return !existing;
  }

  async #file({ path: source, stat, link }: Entry, path: string, fresh: boolean): Promise<void> {
    if (!fresh) this.#clear(path);
    const from = join(this.sourceRoot, source);
    if (link !== undefined) {
      symlinkSync(link, path);
      this.#own(path, stat);
    } else if (stat.isFile()) {
      const mode = constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE;
      if (stat.size > largeFile) await copyFile(from, path, mode);
      else copyFileSync(from, path, mode);
      this.#attributes(path, stat);
    } else {
      makeNode(path, stat.mode, stat.rdev);
      this.#attributes(path, stat);
    }
    this.#times(path, stat);
  }

  #times(path: string, { atime, mtime }: Stats): void {
    const { time } = this.options;
    lutimesSync(path, time ?? atime, time ?? mtime);
  }

  /** Makes way for a file. */
  #clear(path: string): void {
    const existing = lstatSync(path, { throwIfNoEntry: false });
    if (!existing) return;
    if (existing.isDirectory() && !this.options.replace) {
      const shown = path.slice(this.root.length);
      throw new CopyError(`cannot copy to ${shown}: a directory is there and the source is none`);
    }
    rmSync(path, { recursive: true });
  }

  /** Owner first: chown clears the set-id bits. */
  #attributes(path: string, stat: Stats): void {
    this.#own(path, stat);
    const mode = stat.mode & 0o7777;
    chmodSync(path, this.options.chmod?.change(mode, stat.isDirectory()) ?? mode);
  }

  #own(path: string, stat: Stats): void {
    const { owner } = this.options;
    const { uid, gid } = owner === "keep" ? stat : owner;
    lchownSync(path, uid, gid);
  }
}
