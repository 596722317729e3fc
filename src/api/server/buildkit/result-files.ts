/** What clients read of a result: its files, as they would be seen inside (frontend/gateway/client: Reference). */
import { lstatSync, readdirSync, readlinkSync, type Stats } from "node:fs";
import { open } from "node:fs/promises";
import { join, posix } from "node:path";
import { create } from "@bufbuild/protobuf";
import { resolveInside } from "../../../build/index.ts";
import { InvalidParameter, NotFound, TooLarge } from "../../../lib/errors.ts";
import { goMode } from "./go-mode.ts";
import { type Stat, StatSchema } from "./proto/fsutil_pb.ts";

/** What gRPC clients take in one message by default (bytes). */
const maxFile = 16 << 20;

/** @throws NotFound, InvalidParameter no regular file, TooLarge */
export async function readFile(
  root: string,
  path: string,
  range?: { offset: bigint; length: bigint },
): Promise<Uint8Array> {
  const { file, stat } = located(root, path);
  if (!stat.isFile()) throw new InvalidParameter(`read ${path}: no regular file`);
  const offset = Number(range?.offset ?? 0n);
  const rest = Math.max(0, stat.size - offset);
  const length = range && range.length > 0n ? Math.min(rest, Number(range.length)) : rest;
  if (length > maxFile) throw new TooLarge(`read ${path}: ${length} bytes are too many: ask for a part`);
  await using handle = await open(file);
  const data = new Uint8Array(length);
  const { bytesRead } = await handle.read(data, 0, length, offset);
  return data.subarray(0, bytesRead);
}

/** @param pattern names with `*`, `?` and `[...]`; `""`: all @throws NotFound, InvalidParameter no directory */
export function readDirectory(root: string, path: string, pattern: string): Stat[] {
  const { file, stat } = located(root, path);
  if (!stat.isDirectory()) throw new InvalidParameter(`readdir ${path}: not a directory`);
  const wanted = pattern === "" ? undefined : new Bun.Glob(pattern);
  return readdirSync(file)
    .sort()
    .filter((name) => wanted?.match(name) ?? true)
    .map((name) => statOf(join(file, name), name));
}

/** @throws NotFound */
export function statFile(root: string, path: string): Stat {
  const { file } = located(root, path);
  return statOf(file, posix.basename(posix.join("/", path)));
}

function located(root: string, path: string): { file: string; stat: Stats } {
  const inside = resolveInside(root, path);
  const file = inside === undefined ? undefined : join(root, inside);
  const stat = file && lstatSync(file, { throwIfNoEntry: false });
  if (!file || !stat) throw new NotFound(`${path}: no such file or directory`);
  return { file, stat };
}

function statOf(file: string, path: string): Stat {
  const stat = lstatSync(file);
  return create(StatSchema, {
    path,
    mode: (goMode.of(stat.mode & 0o7777) | kindOf(stat)) >>> 0,
    uid: stat.uid,
    gid: stat.gid,
    size: BigInt(stat.isFile() ? stat.size : 0),
    modTime: BigInt(Math.trunc(stat.mtimeMs)) * 1_000_000n,
    linkname: stat.isSymbolicLink() ? readlinkSync(file) : "",
  });
}

function kindOf(stat: Stats): number {
  if (stat.isDirectory()) return goMode.directory;
  if (stat.isSymbolicLink()) return goMode.link;
  if (stat.isFIFO()) return goMode.pipe;
  if (stat.isSocket()) return goMode.socket;
  return stat.isFile() ? 0 : goMode.device;
}
