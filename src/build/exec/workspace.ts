/** The tree that a step works in: a writable snapshot, mounted while the step runs. */
import { mkdirSync, readdirSync, rmdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { newId, shortId } from "../../lib/ids.ts";
import type { Snapshots } from "../../store/types.ts";

/** Names of the builder's snapshots: what a crash leaves behind is told by them. */
export const activePrefix = "build-step/";
export const committedPrefix = "build/";

export class Workspace implements Disposable {
  readonly id = newId();
  /** For the step's own files: state of its container, hosts, secrets. */
  readonly directory: string;
  /** The mounted tree. */
  readonly root: string;
  readonly #key: string;
  #mounted = false;
  #committed = false;

  private constructor(
    private readonly snapshots: Snapshots,
    execDir: string,
    readonly parent: string | undefined,
  ) {
    this.#key = activePrefix + this.id;
    this.directory = join(execDir, shortId(this.id));
    this.root = join(this.directory, "rootfs");
  }

  /** @param parent - committed snapshot; undefined: an empty tree */
  static open(snapshots: Snapshots, execDir: string, parent: string | undefined): Workspace {
    const workspace = new Workspace(snapshots, execDir, parent);
    try {
      mkdirSync(workspace.root, { recursive: true, mode: 0o700 });
      snapshots.prepare(workspace.#key, parent);
      snapshots.mountAt(workspace.#key, workspace.root);
      workspace.#mounted = true;
      return workspace;
    } catch (error) {
      workspace[Symbol.dispose]();
      throw error;
    }
  }

  /** Mounts it anew with owners as in `view`, for processes with other ids than the host's: see StepUser. */
  remount(view: string): void {
    this.unmount();
    this.snapshots.mountAt(this.#key, this.root, view);
    this.#mounted = true;
  }

  /** The step's own layer; only to be touched while nothing is mounted. */
  get upper(): string {
    return this.snapshots.upperDir(this.#key);
  }

  /** The name of the snapshot that `commit` makes. */
  get resultKey(): string {
    return committedPrefix + this.id;
  }

  /**
   * Lets `work` write to the step's own layer where it lies on the disk; meanwhile nothing is mounted. For what the
   * tree has nothing of yet, in directories that the layer has.
   */
  async whileUnmounted(work: (upper: string) => Promise<void>): Promise<void> {
    this.unmount();
    await work(this.upper);
    this.snapshots.mountAt(this.#key, this.root);
    this.#mounted = true;
  }

  unmount(): void {
    if (!this.#mounted) return;
    this.snapshots.unmount(this.root);
    this.#mounted = false;
  }

  /** Keeps the step's result; undefined when it changed nothing. */
  async commit(): Promise<{ snapshot: string; size: number } | undefined> {
    this.unmount();
    if (readdirSync(this.upper).length === 0) return undefined;
    const { size } = await this.snapshots.commit(this.resultKey, this.#key);
    this.#committed = true;
    return { snapshot: this.resultKey, size: size ?? 0 };
  }

  [Symbol.dispose](): void {
    this.unmount();
    if (!this.#committed && this.snapshots.stat(this.#key)) this.snapshots.remove(this.#key);
    removeTree(this.directory);
  }
}

/** Removes a step's directory; never through a mount that is still there: rmdir refuses a busy mount point. */
function removeTree(directory: string): void {
  const root = join(directory, "rootfs");
  try {
    rmdirSync(root);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
  rmSync(directory, { recursive: true, force: true });
}

/** Committed snapshots mounted read-only for a build's COPY --from, each once. */
export class Views implements Disposable {
  readonly #mounted = new Map<string, string>();
  readonly #id = newId();

  constructor(
    private readonly snapshots: Snapshots,
    private readonly execDir: string,
  ) {}

  /** The directory where `snapshot` is mounted; an empty one for undefined. */
  open(snapshot: string | undefined): string {
    const known = this.#mounted.get(snapshot ?? "");
    if (known !== undefined) return known;
    const target = join(this.execDir, `${shortId(this.#id)}-${this.#mounted.size}`, "rootfs");
    mkdirSync(target, { recursive: true, mode: 0o700 });
    if (snapshot !== undefined) this.snapshots.mountAt(snapshot, target);
    this.#mounted.set(snapshot ?? "", target);
    return target;
  }

  [Symbol.dispose](): void {
    for (const [snapshot, target] of this.#mounted) {
      if (snapshot !== "") this.snapshots.unmount(target);
      rmdirSync(target);
      rmdirSync(join(target, ".."));
    }
    this.#mounted.clear();
  }
}
