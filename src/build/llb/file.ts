/** File operations of low-level definitions: what COPY, WORKDIR and their like come to. */
import {
  chmodSync,
  lchownSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join, posix } from "node:path";
import { digestOf } from "../../lib/digest.ts";
import { compileGlob } from "../../lib/glob.ts";
import { IgnoreRules } from "../../lib/ignore.ts";
import { addArchive, isArchive } from "../files/archive.ts";
import { parseChmod } from "../files/chmod.ts";
import { CopyError, copySelections } from "../files/copy.ts";
import { makeDirectory, type Owner, resolveInside } from "../files/inside.ts";
import { expandWildcards } from "../files/sources.ts";
import { type Selection, SourceTree } from "../files/tree.ts";
import { keyOf } from "../solve/key.ts";
import { idsOf } from "../solve/owner.ts";
import { titleOf } from "./names.ts";
import { nothing, type Output } from "./output.ts";
import type { OpRun } from "./solver.ts";
import type { FileAction, FileOp, Ownership } from "./types.ts";

type Act = FileAction["act"];
type Copy = Extract<Act, { type: "copy" }>;

/** @throws InvalidParameter a file that is not there, or in the way */
export async function fileOutputs(run: OpRun, { actions }: FileOp): Promise<Output[]> {
  const operation = new FileOperation(run, actions);
  const outputs: Output[] = [];
  for (const [i, { output }] of actions.entries())
    if (output !== undefined) outputs[output] = await operation.result(i);
  return outputs;
}

class FileOperation {
  readonly #results = new Map<number, Promise<Output>>();

  constructor(
    private readonly run: OpRun,
    private readonly actions: readonly FileAction[],
  ) {}

  /** An action's outcome: one layer for it and those before it that lead to it. */
  result(index: number): Promise<Output> {
    let result = this.#results.get(index);
    if (!result) {
      result = this.#make(index);
      this.#results.set(index, result);
    }
    return result;
  }

  async #make(index: number): Promise<Output> {
    const { run } = this;
    const chain: FileAction[] = [];
    let at: number | undefined = index + run.inputs.length;
    while (at !== undefined && at >= run.inputs.length) {
      const action: FileAction = this.actions[at - run.inputs.length]!;
      // What is an output of its own is a layer of its own.
      if (chain.length > 0 && action.output !== undefined) break;
      chain.unshift(action);
      at = action.input;
    }
    const below = at === undefined ? nothing : await (await this.#numbered(at)).layered();
    const work: { key: unknown; perform: Perform }[] = [];
    for (const { act } of chain) work.push(await this.#prepared(act));
    return run.step(below, ["file", ...work.map(({ key }) => key)], {
      createdBy: titleOf(run.op),
      work: async ({ root }, { signal }) => {
        for (const { perform } of work) await perform(root, signal);
      },
    });
  }

  async #numbered(index: number): Promise<Output> {
    const { inputs } = this.run;
    return index < inputs.length ? this.run.input(index) : this.result(index - inputs.length);
  }

  async #prepared(act: Act): Promise<{ key: unknown; perform: Perform }> {
    switch (act.type) {
      case "copy":
        return this.#copy(act);
      case "mkfile": {
        const { data, ...rest } = act;
        return {
          key: [rest, digestOf(data)],
          perform: async (root) => {
            const owner = await this.#owner(root, act.owner);
            const path = this.#place(root, act.path);
            if (lstatSync(path, { throwIfNoEntry: false })?.isDirectory())
              throw this.run.fail(`${act.path} is a directory`);
            rmSync(path, { force: true });
            writeFileSync(path, data, { flag: "wx" });
            finish(path, { owner, mode: act.mode, time: act.time });
          },
        };
      }
      case "mkdir":
        return {
          key: act,
          perform: async (root) => {
            const owner = await this.#owner(root, act.owner);
            if (act.makeParents)
              makeParents(root, act.path, { ...act, owner }, () =>
                this.run.fail(`${act.path} is no directory`),
              );
            else {
              const path = this.#place(root, act.path);
              const existing = lstatSync(path, { throwIfNoEntry: false });
              if (existing?.isDirectory()) return;
              if (existing) throw this.run.fail(`${act.path} is no directory`);
              mkdirSync(path);
              finish(path, { owner, mode: act.mode, time: act.time });
            }
          },
        };
      case "rm":
        return {
          key: act,
          perform: async (root) => {
            const path = posix.normalize(act.path).replace(/^\/+/, "");
            const found = act.wildcard ? expandWildcards(new SourceTree(root), path) : [path];
            for (const one of found) {
              if (one === "" || one === ".") throw this.run.fail("the root of a tree can't be removed");
              const place = this.#place(root, one, act.allowNone);
              const there = place !== "" && lstatSync(place, { throwIfNoEntry: false });
              if (!there && !act.allowNone) throw this.run.fail(`rm ${act.path}: no such file or directory`);
              if (there) rmSync(place, { recursive: true });
            }
          },
        };
      case "symlink":
        return {
          key: act,
          perform: async (root) => {
            const owner = await this.#owner(root, act.owner);
            const path = this.#place(root, act.path);
            if (lstatSync(path, { throwIfNoEntry: false })) throw this.run.fail(`${act.path}: file exists`);
            symlinkSync(act.target, path);
            finish(path, { owner, time: act.time });
          },
        };
    }
  }

  async #copy(copy: Copy): Promise<{ key: unknown; perform: Perform }> {
    const { run } = this;
    const { session } = run;
    const from = await this.#numbered(copy.from);
    const keep = from.owners === "keep";
    const select = async (signal: AbortSignal) => this.#selected(from.files(), copy, signal);
    let selected: Selection[] | undefined;
    const compute = async (signal: AbortSignal) => {
      selected = await select(signal);
      return from.files().digest(selected, { owners: keep, signal });
    };
    // A tree never changes under its name; what a client sends is known by its content anyway.
    const { source, wildcard, include, exclude, followLinks } = copy;
    const name = keyOf("llb copy", from.id, source, wildcard, include, exclude, followLinks);
    const digest = from.onDisk
      ? await compute(session.signal)
      : await session.digests.get(name, session.signal, compute);
    const { from: _, ...settings } = copy;
    return {
      key: [settings, digest, keep],
      perform: async (root, signal) => {
        const owner = await this.#owner(root, copy.owner);
        const selections = selected ?? (await select(signal));
        try {
          for (const one of selections)
            await this.#write(from, one, copy, owner ?? from.owners, root, signal);
        } catch (error) {
          if (error instanceof CopyError) throw run.fail(`copy ${source}: ${error.message}`);
          throw error;
        }
      },
    };
  }

  /** @throws InvalidParameter when nothing is there */
  async #selected(tree: SourceTree, copy: Copy, signal: AbortSignal): Promise<Selection[]> {
    const path = posix.normalize(copy.source.replace(/^\/+/, "") || ".").replace(/^(\.\.(\/|$))+/, "") || ".";
    const literal = !copy.wildcard || compileGlob(path, { globstar: false }).literal !== undefined;
    const paths = literal ? [path] : expandWildcards(tree, path);
    const only = copy.include.length > 0 ? ["**", ...copy.include.map((pattern) => `!${pattern}`)] : [];
    const rules = IgnoreRules.of([...only, ...copy.exclude]);
    const selections: Selection[] = [];
    for (const one of paths) {
      const itself = copy.followLinks ? undefined : tree.entry(one, "");
      const name = posix.basename(one);
      const selection =
        itself?.link === undefined
          ? await tree.select(one, rules, signal)
          : { name, directory: false, entries: [itself] };
      if (selection) selections.push(selection);
    }
    const filtered = copy.include.length + copy.exclude.length > 0;
    if (selections.length === 0 && !filtered && !(copy.wildcard && copy.allowNone))
      throw this.run.fail(`copy ${copy.source}: not found`);
    return selections;
  }

  async #write(
    from: Output,
    selection: Selection,
    copy: Copy,
    owner: Owner | "keep",
    root: string,
    signal: AbortSignal,
  ): Promise<void> {
    const { run } = this;
    const tree = from.files();
    let destination = posix.join("/", copy.destination);
    if (/\/\.?$/.test(copy.destination) && destination !== "/" && !destination.endsWith("/"))
      destination += "/";
    if (!copy.makeParents) this.#place(root, destination.replace(/\/$/, ""));
    const [first] = selection.entries;
    if (copy.unpack && !selection.directory && first && (await isArchive(tree.root, first.path))) {
      const { layers } = run.session.backend.store;
      const ids = owner === "keep" ? undefined : owner;
      await addArchive(layers, { root: tree.root, path: first.path }, root, {
        destination,
        owner: ids,
        signal,
      });
      return;
    }
    const existing = resolveInside(root, destination);
    const there = existing !== undefined && lstatSync(join(root, existing), { throwIfNoEntry: false });
    // A directory goes into one that is there, unless its content alone is wanted.
    if (selection.directory && !copy.contentsOnly && (there || destination.endsWith("/")))
      destination = posix.join(destination, selection.name);
    const chmod = copy.mode === undefined ? undefined : parseChmod(copy.mode);
    if (copy.mode !== undefined && !chmod) throw run.fail(`invalid mode ${JSON.stringify(copy.mode)}`);
    const { time, replace } = copy;
    await copySelections(tree.root, [selection], [], root, {
      destination,
      owner,
      chmod,
      time,
      replace,
      signal,
    });
  }

  /** Where a file goes: its directory, which must be there, resolved; its own name not followed. */
  #place(root: string, path: string, missing = false): string {
    const clean = posix.join("/", path);
    const parent = resolveInside(root, posix.dirname(clean));
    const stat = parent === undefined ? undefined : lstatSync(join(root, parent), { throwIfNoEntry: false });
    if (parent === undefined || !stat?.isDirectory()) {
      if (missing) return "";
      throw this.run.fail(`${posix.dirname(clean)}: no such directory`);
    }
    return join(root, parent, posix.basename(clean));
  }

  /** undefined: nobody is named. A user without a group brings its own. */
  async #owner(root: string, ownership: Ownership | undefined): Promise<Owner | undefined> {
    if (!ownership?.user && !ownership?.group) return undefined;
    const { user, group } = ownership;
    const found = { uid: 0, gid: 0 };
    if (user && "id" in user) Object.assign(found, { uid: user.id, gid: user.id });
    else if (user) Object.assign(found, await idsOf(this.#lookup(root, user.input), user.name));
    if (group && "id" in group) found.gid = group.id;
    else if (group) found.gid = (await idsOf(this.#lookup(root, group.input), `0:${group.name}`)).gid;
    return found;
  }

  #lookup(root: string, input: number | undefined): string {
    return input !== undefined && input < this.run.inputs.length ? this.run.input(input).files().root : root;
  }
}

type Perform = (root: string, signal: AbortSignal) => Promise<void>;

interface Attributes {
  owner?: Owner;
  mode?: number;
  time?: Date;
}

/** Owner first: chown clears the set-id bits. */
function finish(path: string, { owner, mode, time }: Attributes): void {
  lchownSync(path, owner?.uid ?? 0, owner?.gid ?? 0);
  if (mode !== undefined) chmodSync(path, mode & 0o7777);
  if (time) lutimesSync(path, time, time);
}

/** Makes what is missing of a path, all of it alike. */
function makeParents(root: string, path: string, attributes: Attributes, fail: () => Error): void {
  const parts = posix.join("/", path).split("/").filter(Boolean);
  for (const [i] of parts.entries()) {
    const part = `/${parts.slice(0, i + 1).join("/")}`;
    const before = resolveInside(root, part);
    const stat = before === undefined ? undefined : lstatSync(join(root, before), { throwIfNoEntry: false });
    if (stat) continue;
    const made = makeDirectory(root, part, { owner: attributes.owner ?? { uid: 0, gid: 0 } });
    if (!made) throw fail();
    finish(join(root, made.path), attributes);
  }
}
