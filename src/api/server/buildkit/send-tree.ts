/** Gives a client the files of a directory (fsutil's protocol): all entries are told, contents on demand. */

import { createReadStream, lstatSync, readdirSync, readlinkSync, type Stats } from "node:fs";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { InvalidParameter } from "../../../lib/errors.ts";
import { goMode } from "./go-mode.ts";
import { type Packet, PacketSchema, Packet_PacketType as Type } from "./proto/fsutil_pb.ts";

/** Bytes of a file in one packet. */
const pieceSize = 32 * 1024;

/** Files of one directory or two, told as those of `path` (`""`: as those of the top). */
export interface SentTree {
  path: string;
  root: string;
  beside?: string;
}

/** What the client asks for, from its packets. */
export class TreeSender {
  readonly #files = new Map<number, string>();
  #asked: number[] = [];
  #allWanted = false;
  #wake = () => {};
  #failure: Error | undefined;

  /** @param trees their paths are names of directories, or `""`; those of one path are told as one */
  constructor(private readonly trees: readonly SentTree[]) {}

  /** All packets for the client, until it has what it wants. @throws InvalidParameter what the client complains of */
  async *packets(): AsyncGenerator<Packet> {
    let id = 0;
    for (const { path, file, stat } of entriesOf(this.trees)) {
      const packet = statPacket(path, file, stat);
      if (!packet) continue;
      if (stat.isFile()) this.#files.set(id, file);
      id++;
      yield packet;
    }
    yield create(PacketSchema, { type: Type.PACKET_STAT });
    for (;;) {
      if (this.#failure) throw this.#failure;
      const wanted = this.#asked.shift();
      if (wanted !== undefined) yield* this.#contents(wanted);
      else if (this.#allWanted) break;
      else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    }
    yield create(PacketSchema, { type: Type.PACKET_FIN });
  }

  receive(packet: Packet): void {
    if (packet.type === Type.PACKET_REQ) this.#asked.push(packet.id);
    else if (packet.type === Type.PACKET_FIN) this.#allWanted = true;
    else if (packet.type === Type.PACKET_ERR)
      this.#failure = new InvalidParameter(
        `error from receiver: ${Buffer.from(packet.data).toString("utf8")}`,
      );
    this.#wake();
  }

  /** The client has gone: there is nobody to send to. */
  stop(error: Error): void {
    this.#failure ??= error;
    this.#wake();
  }

  async *#contents(id: number): AsyncGenerator<Packet> {
    const path = this.#files.get(id);
    if (path === undefined) throw new InvalidParameter(`there is no file ${id} to send`);
    for await (const piece of createReadStream(path, { highWaterMark: pieceSize }))
      yield create(PacketSchema, { type: Type.PACKET_DATA, id, data: Uint8Array.from(piece as Buffer) });
    yield create(PacketSchema, { type: Type.PACKET_DATA, id });
  }
}

interface Entry {
  /** As the client is told it. */
  path: string;
  /** Where it is. */
  file: string;
  stat: Stats;
}

const inBytes = (a: string, b: string) => Buffer.compare(Buffer.from(a), Buffer.from(b));

function* entriesOf(trees: readonly SentTree[]): Generator<Entry> {
  const byPath = Map.groupBy(trees, ({ path }) => path);
  for (const path of [...byPath.keys()].sort(inBytes)) {
    const roots = byPath
      .get(path)!
      .flatMap(({ root, beside }) => (beside === undefined ? [root] : [root, beside]));
    if (path !== "") yield { path, file: roots[0]!, stat: lstatSync(roots[0]!) };
    yield* walk(roots, path);
  }
}

/**
 * Entries below directories that are told as one, parents first, names in the order of their bytes, as the protocol
 * wants it. Of files of one name the last directory's counts.
 */
function* walk(directories: readonly string[], prefix: string): Generator<Entry> {
  const names = new Set(directories.flatMap((directory) => readdirSync(directory)));
  for (const name of [...names].sort(inBytes)) {
    const path = prefix === "" ? name : `${prefix}/${name}`;
    const found = directories.flatMap((directory) => {
      const file = join(directory, name);
      const stat = lstatSync(file, { throwIfNoEntry: false });
      return stat ? [{ path, file, stat }] : [];
    });
    const last = found.at(-1)!;
    yield last;
    if (last.stat.isDirectory())
      yield* walk(
        found.filter(({ stat }) => stat.isDirectory()).map(({ file }) => file),
        path,
      );
  }
}

/** Undefined for what means nothing on the client's side. */
function statPacket(path: string, file: string, stat: Stats): Packet | undefined {
  if (stat.isSocket() || stat.isFIFO() || stat.isCharacterDevice() || stat.isBlockDevice()) return undefined;
  const type = stat.isDirectory() ? goMode.directory : stat.isSymbolicLink() ? goMode.link : 0;
  return create(PacketSchema, {
    type: Type.PACKET_STAT,
    stat: {
      path,
      mode: (type | goMode.of(stat.mode)) >>> 0,
      uid: stat.uid,
      gid: stat.gid,
      size: stat.isFile() ? BigInt(stat.size) : 0n,
      modTime: BigInt(Math.floor(stat.mtimeMs)) * 1_000_000n,
      linkname: stat.isSymbolicLink() ? readlinkSync(file) : "",
    },
  });
}
