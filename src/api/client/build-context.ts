/** The build context: a directory as a tar stream, without what `.dockerignore` leaves out. */
import {
  closeSync,
  existsSync,
  lstatSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
  type Stats,
} from "node:fs";
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
/** Files up to this are read into the piece (bytes). */
const smallFile = 64 << 10;

/**
 * The tar of `directory`, sorted by name, made as it is read. Owners are dropped (root), as Docker's client does.
 * @throws InvalidParameter when the directory is missing or its `.dockerignore` is malformed
 */
export async function* packContext(directory: string, options: PackOptions = {}): AsyncGenerator<Uint8Array> {
  if (!existsSync(directory))
    throw new InvalidParameter(`unable to prepare context: path ${JSON.stringify(directory)} not found`);
  const rules = ignoreRules(directory, options);
  const piece = new Piece();
  for (const { path, stat } of walk(directory, "", rules.root())) {
    const full = join(directory, path);
    if (stat.isDirectory()) piece.add(header(`${path}/`, "directory", stat));
    else if (stat.isSymbolicLink())
      piece.add(header(path, "symlink", stat, { linkPath: fromText(readlinkSync(full)) }));
    else if (stat.isFIFO()) piece.add(header(path, "fifo", stat));
    else if (stat.isFile()) {
      piece.add(header(path, "file", stat, { size: stat.size }));
      if (stat.size <= smallFile) piece.addFile(full, stat.size);
      else {
        yield piece.take();
        yield* contentOf(full, stat.size);
      }
    }
    if (piece.length >= pieceSize) yield piece.take();
  }
  for (const [path, text] of Object.entries(options.extraFiles ?? {})) {
    const bytes = Buffer.from(text);
    piece.add(header(path, "file", { mode: 0o644, mtimeMs: 0 }, { size: bytes.length }));
    yield piece.take();
    yield bytes;
    piece.add(new Uint8Array(paddingOf(bytes.length)));
  }
  piece.add(endOfArchive);
  yield piece.take();
}

/** Gathers what is small. */
class Piece {
  /** Room for a file and headers, extended ones with the longest names too, beyond a full piece. */
  #buffer = Buffer.allocUnsafe(pieceSize + 2 * smallFile);
  length = 0;

  add(bytes: Uint8Array): void {
    this.#buffer.set(bytes, this.length);
    this.length += bytes.length;
  }

  /** Exactly as many bytes as are said: a file that grows meanwhile is cut, one that shrinks filled with zeros. */
  addFile(path: string, size: number): void {
    const end = this.length + size;
    const file = openSync(path, "r");
    try {
      for (let read = -1; read !== 0 && this.length < end; this.length += read)
        read = readSync(file, this.#buffer, this.length, end - this.length, null);
    } finally {
      closeSync(file);
    }
    const padded = end + paddingOf(size);
    this.#buffer.fill(0, this.length, padded);
    this.length = padded;
  }

  /** What was gathered; it begins anew. */
  take(): Uint8Array {
    const taken = this.#buffer.subarray(0, this.length);
    this.#buffer = Buffer.allocUnsafe(this.#buffer.length);
    this.length = 0;
    return taken;
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

/** A large file with its padding, exactly as many bytes as the header says. */
async function* contentOf(path: string, size: number): AsyncGenerator<Uint8Array> {
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
