/** The build context: a directory as a tar stream, without what `.dockerignore` leaves out. */
import { existsSync, lstatSync, readdirSync, readFileSync, readlinkSync, type Stats } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { InvalidParameter } from "../../lib/errors.ts";
import { IgnoreRules, type IgnoreState } from "../../lib/ignore.ts";
import {
  type EntryType,
  endOfArchive,
  formatHeader,
  fromText,
  paddingOf,
  plainEntry,
} from "../../lib/tar/index.ts";

export interface PackOptions {
  /** Path of the Dockerfile inside the context; it and `.dockerignore` are sent whatever the rules say. */
  dockerfile?: string;
  /** Rules that go before those in the directory, when the Dockerfile brings its own. */
  ignore?: string;
  /** Files that aren't in the directory, by their path in the context. */
  extraFiles?: Record<string, string>;
}

/** Small entries travel together, large files in pieces of this size (bytes). */
const pieceSize = 256 << 10;

/**
 * The tar of `directory`, sorted by name, made as it is read. Owners are dropped (root), as Docker's client does.
 * @throws InvalidParameter when the directory is missing or its `.dockerignore` is malformed
 */
export async function* packContext(directory: string, options: PackOptions = {}): AsyncGenerator<Uint8Array> {
  if (!existsSync(directory))
    throw new InvalidParameter(`unable to prepare context: path ${JSON.stringify(directory)} not found`);
  const rules = ignoreRules(directory, options);
  let waiting: Uint8Array[] = [];
  let size = 0;
  for await (const bytes of entries(directory, rules, options.extraFiles ?? {})) {
    waiting.push(bytes);
    size += bytes.length;
    if (size < pieceSize) continue;
    yield Buffer.concat(waiting);
    waiting = [];
    size = 0;
  }
  yield Buffer.concat([...waiting, endOfArchive]);
}

async function* entries(
  directory: string,
  rules: IgnoreRules,
  extraFiles: Record<string, string>,
): AsyncGenerator<Uint8Array> {
  for (const { path, stat } of walk(directory, "", rules.root())) {
    if (stat.isDirectory()) yield header(`${path}/`, "directory", stat);
    else if (stat.isSymbolicLink())
      yield header(path, "symlink", stat, { linkPath: fromText(readlinkSync(join(directory, path))) });
    else if (stat.isFIFO()) yield header(path, "fifo", stat);
    else if (stat.isFile()) {
      yield header(path, "file", stat, { size: stat.size });
      yield* contentOf(join(directory, path), stat.size);
    }
  }
  for (const [path, text] of Object.entries(extraFiles)) {
    const bytes = Buffer.from(text);
    yield header(path, "file", { mode: 0o644, mtimeMs: 0 }, { size: bytes.length });
    yield bytes;
    yield new Uint8Array(paddingOf(bytes.length));
  }
}

function* walk(
  directory: string,
  parent: string,
  above: IgnoreState,
): Generator<{ path: string; stat: Stats }> {
  for (const name of readdirSync(join(directory, parent)).sort()) {
    const path = parent === "" ? name : `${parent}/${name}`;
    const state = above.enter(path);
    const stat = lstatSync(join(directory, path));
    if (!state.excluded) yield { path, stat };
    if (stat.isDirectory() && (!state.excluded || state.mayIncludeBelow(path)))
      yield* walk(directory, path, state);
  }
}

function header(
  path: string,
  type: EntryType,
  { mode, mtimeMs }: Pick<Stats, "mode" | "mtimeMs">,
  more: { size?: number; linkPath?: string } = {},
): Buffer {
  return formatHeader(
    plainEntry({
      path: fromText(path),
      type,
      mode: mode & 0o7777,
      // Whole seconds: times are no part of what a build takes from its context.
      mtime: BigInt(Math.floor(mtimeMs / 1000)) * 1_000_000_000n,
      ...more,
    }),
  );
}

/** Exactly as many bytes as the header says: a file that grows meanwhile is cut, one that shrinks filled with zeros. */
async function* contentOf(path: string, size: number): AsyncGenerator<Uint8Array> {
  if (size <= pieceSize) {
    const bytes = readFileSync(path).subarray(0, size);
    yield bytes;
    yield new Uint8Array(size - bytes.length + paddingOf(size));
    return;
  }
  await using file = await open(path);
  let left = size;
  while (left > 0) {
    const piece = Buffer.allocUnsafe(Math.min(pieceSize, left));
    const { bytesRead } = await file.read(piece, 0, piece.length);
    if (bytesRead === 0) piece.fill(0);
    const taken = bytesRead || piece.length;
    left -= taken;
    yield piece.subarray(0, taken);
  }
  yield new Uint8Array(paddingOf(size));
}

/** `<Dockerfile>.dockerignore` comes before `.dockerignore`. */
function ignoreRules(directory: string, { dockerfile, ignore }: PackOptions): IgnoreRules {
  const keep = ["", "!.dockerignore", dockerfile ? `!${dockerfile}` : ""].join("\n");
  if (ignore !== undefined) return IgnoreRules.parse(ignore + keep);
  for (const name of [dockerfile && `${dockerfile}.dockerignore`, ".dockerignore"]) {
    if (!name || !existsSync(join(directory, name))) continue;
    return IgnoreRules.parse(readFileSync(join(directory, name), "utf8") + keep);
  }
  return IgnoreRules.none;
}
