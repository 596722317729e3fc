/** Writes selected files into a root file system, as COPY does. */
import {
  chmodSync,
  constants,
  copyFileSync,
  lchownSync,
  linkSync,
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
import type { Workspace } from "../exec/workspace.ts";
import { Breather } from "./breather.ts";
import type { Chmod } from "./chmod.ts";
import { makeDirectory, type Owner, resolveInside } from "./inside.ts";
import type { ReceivedContext } from "./received.ts";
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
  /** Files that stay as they are may be taken over, by links. */
  takeOver?: {
    from: ReceivedContext;
    /** What the root is mounted from: a mount takes no links from outside. */
    layer: Pick<Workspace, "whileUnmounted">;
  };
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

const isThere = (path: string) => lstatSync(path, { throwIfNoEntry: false }) !== undefined;

class Copier {
  readonly #breather: Breather;
  readonly #directoryOwner: Owner;
  readonly #copiedUp = new Set<string>();

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
    const directories: Entry[] = [];
    /** What is new in the tree. */
    const unmounted: Entry[] = [];
    const { takeOver } = this.options;
    for (const entry of entries) {
      if (entry.target === "") continue;
      await this.#breather.breathe();
      const parent = posix.dirname(entry.target);
      const fresh = created.has(parent === "." ? "" : parent);
      const isDirectory = entry.stat.isDirectory();
      if (isDirectory) directories.push(entry);
      const path = join(target, entry.target);
      if (takeOver && (fresh || !isThere(path))) {
        unmounted.push(entry);
        if (isDirectory) created.add(entry.target);
        if (!fresh) this.#copyUp(posix.dirname(path));
        continue;
      }
      if (!isDirectory) await this.#file(entry, path, fresh);
      else if (this.#subdirectory(path, entry, fresh)) created.add(entry.target);
    }
    if (unmounted.length > 0)
      await takeOver?.layer.whileUnmounted((upper) => this.#fill(join(upper, top.path), unmounted));
    // Their times change with every file written, so they are set last and from the bottom.
    for (const { target: name, stat } of directories.reverse()) this.#times(join(target, name), stat);
  }

  /** Makes sure that the layer itself has the directory. */
  #copyUp(directory: string): void {
    if (this.#copiedUp.has(directory)) return;
    this.#copiedUp.add(directory);
    // overlayfs copies what is about to change.
    chmodSync(directory, lstatSync(directory).mode & 0o7777);
  }

  /** Writes what is new into the layer itself. */
  async #fill(target: string, entries: Entry[]): Promise<void> {
    for (const entry of entries) {
      await this.#breather.breathe();
      const path = join(target, entry.target);
      if (entry.stat.isDirectory()) this.#subdirectory(path, entry, true);
      else if (!this.#takeOver(entry, path)) await this.#file(entry, path, true);
    }
  }

  /** Makes the source's file the layer's when nothing about it has to change. @returns whether it did */
  #takeOver({ path: source, stat, link }: Entry, path: string): boolean {
    const { owner, chmod, time, takeOver } = this.options;
    if (link !== undefined || !stat.isFile() || time !== undefined) return false;
    if (owner !== "keep" && (stat.uid !== owner.uid || stat.gid !== owner.gid)) return false;
    const mode = stat.mode & 0o7777;
    if (chmod && chmod.change(mode, false) !== mode) return false;
    // A copy has its time as exactly as Date goes; which file is copied and which taken over must not show.
    if (stat.mtimeMs % 1000 !== 0) return false;
    if (!takeOver?.from.take(stat.ino)) return false;
    try {
      linkSync(join(this.sourceRoot, source), path);
      return true;
    } catch (error) {
      // Another file system, or one without links.
      const { code = "" } = error as NodeJS.ErrnoException;
      if (!["EXDEV", "EPERM", "EMLINK", "EOPNOTSUPP"].includes(code)) throw error;
      return false;
    }
  }

  async topFile(entry: Entry, destination: string): Promise<void> {
    await this.#breather.breathe();
    const path = this.#place(destination);
    const { takeOver } = this.options;
    // Smaller ones are copied sooner than a mount is changed.
    if (!takeOver || entry.stat.size <= largeFile || isThere(path)) return this.#file(entry, path, false);
    this.#copyUp(posix.dirname(path));
    const inside = path.slice(this.root.length);
    await takeOver.layer.whileUnmounted((upper) => this.#fill(upper, [{ ...entry, target: inside }]));
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
