/**
 * A tree that COPY and ADD read from: the build context, or the files of a stage or image. Everything is found
 * inside its root: links are resolved against it and never lead out.
 */
import {
  closeSync,
  constants,
  lstatSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  type Stats,
} from "node:fs";
import { open } from "node:fs/promises";
import { join, posix } from "node:path";
import { pieceSize, wholeLimit } from "../../lib/content-hash.ts";
import { IgnoreRules, type IgnoreState } from "../../lib/ignore.ts";
import { Breather } from "./breather.ts";
import { resolveInside } from "./inside.ts";
import type { ReceivedContext } from "./received.ts";

export interface Entry {
  /** Below the tree's root. */
  path: string;
  /** Below the selection: `""` is the selected file or directory itself. */
  target: string;
  stat: Stats;
  /** Where a symbolic link points. */
  link?: string;
}

/** One file or one directory with what is below it, parents first. */
export interface Selection {
  /** As named by the instruction, for the name at the destination. */
  name: string;
  directory: boolean;
  entries: Entry[];
}

/** Files of one selection that are listed by name. */
const maxFingerprints = 2000;

export class SourceTree {
  readonly #hashes = new Map<string, Promise<string> | string>();

  constructor(
    readonly root: string,
    readonly ignore: IgnoreRules = IgnoreRules.none,
    /** Set when the files are the build's own. */
    readonly received?: ReceivedContext,
  ) {}

  /**
   * The files under one clean path; undefined when there is none or it is ignored. A link that is named itself is
   * followed, inside the root.
   * @param excluded patterns of the instruction; they match targets
   * @param prefix where the targets begin: `COPY --parents` keeps directories above
   */
  async select(
    path: string,
    excluded: IgnoreRules = IgnoreRules.none,
    signal?: AbortSignal,
    prefix = "",
  ): Promise<Selection | undefined> {
    const real = resolveInside(this.root, path);
    if (real === undefined) return undefined;
    const stat = lstatSync(join(this.root, real), { throwIfNoEntry: false });
    if (!stat) return undefined;
    const name = posix.basename(path);
    const state = this.ignore.at(real);
    const self: Entry = { path: real, target: prefix, stat };
    if (!stat.isDirectory()) {
      const out = state.excluded || excluded.excludes(prefix || name);
      return out ? undefined : { name, directory: false, entries: [self] };
    }
    if (state.excluded && !state.mayIncludeBelow(real)) return undefined;
    const entries: Entry[] = [self];
    const rules = { state, excluded: excluded.at(prefix) };
    await this.#walk(self, rules, entries, new Breather(signal));
    if (state.excluded && entries.length === 1) return undefined;
    return { name, directory: true, entries };
  }

  /** Adds what is below `directory`, in the order of names. */
  async #walk(
    directory: Entry,
    rules: { state: IgnoreState; excluded: IgnoreState },
    entries: Entry[],
    breather: Breather,
  ): Promise<void> {
    for (const name of readdirSync(join(this.root, directory.path)).sort()) {
      await breather.breathe();
      const path = posix.join(directory.path, name);
      const target = posix.join(directory.target, name);
      const state = rules.state.enter(path);
      const excluded = rules.excluded.enter(target);
      const out = state.excluded || excluded.excluded;
      const stat = lstatSync(join(this.root, path));
      const entry: Entry = { path, target, stat };
      if (stat.isDirectory()) {
        if (out && !state.mayIncludeBelow(path) && !excluded.mayIncludeBelow(target)) continue;
        const before = entries.length;
        entries.push(entry);
        await this.#walk(entry, { state, excluded }, entries, breather);
        // An ignored directory is there only for what was taken back in below it.
        if (out && entries.length === before + 1) entries.pop();
      } else if (!out) {
        if (stat.isSymbolicLink()) entry.link = readlinkSync(join(this.root, path));
        entries.push(entry);
      }
    }
  }

  /** Names in a directory, for matching and for hints; empty when it is none. */
  names(directory: string): string[] {
    const real = resolveInside(this.root, directory);
    if (real === undefined) return [];
    try {
      return readdirSync(join(this.root, real)).sort();
    } catch {
      return [];
    }
  }

  /** Directories in a directory, links to such not among them; empty when it is none. */
  directories(directory: string): string[] {
    const real = resolveInside(this.root, directory);
    if (real === undefined) return [];
    try {
      const found = readdirSync(join(this.root, real), { withFileTypes: true });
      return found.flatMap((entry) => (entry.isDirectory() ? entry.name : [])).sort();
    } catch {
      return [];
    }
  }

  /** What stands under a path itself, links not followed at its end; undefined: nothing. */
  entry(path: string, target: string): Entry | undefined {
    const directory = resolveInside(this.root, posix.dirname(path));
    if (
      directory === undefined ||
      !lstatSync(join(this.root, directory), { throwIfNoEntry: false })?.isDirectory()
    )
      return undefined;
    const real = posix.join(directory, posix.basename(path));
    const stat = lstatSync(join(this.root, real), { throwIfNoEntry: false });
    if (!stat) return undefined;
    const link = stat.isSymbolicLink() ? readlinkSync(join(this.root, real)) : undefined;
    return { path: real, target, stat, link };
  }

  /**
   * A digest of what would be copied: names, types, modes, link targets, content and, with `owners`, ids; not
   * times.
   */
  async digest(selections: Selection[], options: { owners: boolean; signal?: AbortSignal }): Promise<string> {
    const hash = new Bun.CryptoHasher("sha256");
    const breather = new Breather(options.signal);
    const files = selections.flatMap((selection) => selection.entries.filter((e) => e.stat.isFile()));
    await this.#hashLarge(files, options.signal);
    for (const selection of selections) {
      hash.update(`${JSON.stringify([selection.name, selection.directory])}\n`);
      for (const entry of selection.entries) {
        await breather.breathe();
        const content = entry.stat.isFile() ? await this.#hashFile(entry.path, entry.stat) : undefined;
        hash.update(`${fieldsOf(entry, content, options.owners)}\n`);
      }
    }
    return hash.digest("hex");
  }

  /**
   * A digest for each path that `digest` has read before; undefined when it has not read all. What is too much to
   * list is summed up by directory.
   */
  async fingerprints(
    selections: Selection[],
    options: { owners: boolean; digest: (text: string) => string },
  ): Promise<Record<string, string> | undefined> {
    const texts = new Map<string, string>();
    for (const entry of selections.flatMap(({ entries }) => entries)) {
      const content = entry.stat.isFile() ? await this.#hashes.get(entry.path) : undefined;
      if (entry.stat.isFile() && content === undefined) return undefined;
      texts.set(entry.path || ".", fieldsOf(entry, content, options.owners));
    }
    const grouped = byDirectory(texts, maxFingerprints);
    return Object.fromEntries([...grouped].map(([path, text]) => [path, options.digest(text)]));
  }

  /** Begins hashing the big files, two at a time, so that reading one overlaps with hashing another. */
  async #hashLarge(files: Entry[], signal?: AbortSignal): Promise<void> {
    const large = files.filter(({ stat, path }) => stat.size > wholeLimit && !this.#hashes.has(path));
    let next = 0;
    const worker = async () => {
      while (next < large.length) {
        const { path, stat } = large[next++]!;
        signal?.throwIfAborted();
        await this.#hashFile(path, stat);
      }
    };
    await Promise.all([worker(), worker()]);
  }

  #hashFile(path: string, stat: Stats): Promise<string> | string {
    let found = this.#hashes.get(path);
    if (found === undefined) {
      const full = join(this.root, path);
      found = this.received?.hashes.get(stat.ino);
      found ??= stat.size <= wholeLimit ? hashSmall(full) : hashPieces(full);
      this.#hashes.set(path, found);
    }
    return found;
  }
}

/** What of an entry counts, as text. */
function fieldsOf({ target, stat, link }: Entry, content: string | undefined, owners: boolean): string {
  const fields: unknown[] = [target, stat.mode, stat.isFile() ? stat.size : 0, link ?? null];
  if (owners) fields.push(stat.uid, stat.gid);
  if (content !== undefined) fields.push(content);
  if (stat.isCharacterDevice() || stat.isBlockDevice()) fields.push(stat.rdev);
  return JSON.stringify(fields);
}

/** At most `limit` paths, if need be by joining what is in the deepest directories. */
function byDirectory(texts: Map<string, string>, limit: number): Map<string, string> {
  let depth = Math.max(0, ...[...texts.keys()].map((path) => path.split("/").length - 1));
  for (; texts.size > limit && depth >= 0; depth--) {
    const joined = new Map<string, string>();
    for (const [path, text] of texts) {
      const parts = path.split("/");
      const name = parts.length > depth ? `${parts.slice(0, depth).join("/") || "."}/` : path;
      joined.set(name, (joined.get(name) ?? "") + text);
    }
    texts = joined;
  }
  return texts;
}

function hashSmall(path: string): string {
  const fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    return new Bun.CryptoHasher("sha256").update(readFileSync(fd)).digest("hex");
  } finally {
    closeSync(fd);
  }
}

/** As ContentHasher does it, off the thread: WebCrypto makes each on a thread of its own. */
async function hashPieces(path: string): Promise<string> {
  await using file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  const all = new Bun.CryptoHasher("sha256");
  let previous: Promise<ArrayBuffer> | undefined;
  // Of two buffers one is read into while the other is hashed: a new one for each piece would be garbage in gigabytes.
  let buffer = new Uint8Array(pieceSize);
  let other = new Uint8Array(pieceSize);
  for (;;) {
    const { bytesRead } = await file.read(buffer, 0, pieceSize);
    if (previous) all.update(new Uint8Array(await previous));
    if (bytesRead === 0) return all.digest("hex");
    previous = crypto.subtle.digest("SHA-256", buffer.subarray(0, bytesRead));
    [buffer, other] = [other, buffer];
  }
}
