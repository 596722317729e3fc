/**
 * Takes a directory from a client (fsutil's protocol): the client tells every entry, parents first; contents are
 * asked for only where what is there already differs in size, time or mode. In the end the directory has what was
 * told and nothing else.
 */

import {
  chmodSync,
  closeSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { InvalidParameter, TooLarge } from "../../../lib/errors.ts";
import { setMtime, setMtimeAt } from "../../../linux/fs.ts";
import { goMode } from "./go-mode.ts";
import { type Packet, PacketSchema, type Stat, Packet_PacketType as Type } from "./proto/fsutil_pb.ts";

/** More than any sender has open at once. */
const openLimit = 512;
const entryLimit = 4_000_000;
/** Bytes: the kernel's NAME_MAX, and PATH_MAX less what leads to the context. */
const nameLimit = 255;
const pathLimit = 3_800;
const atFdCwd = -100;

interface Pending {
  stat: Stat;
  temporary: string;
  fd?: number;
}

export class TreeReceiver {
  /** What was told, by path. */
  readonly #told = new Map<string, "directory" | "file" | "other">();
  readonly #names = new Map<string, Set<string>>([["", new Set()]]);
  readonly #pending = new Map<number, Pending>();
  readonly #hardLinks: { path: string; target: string }[] = [];
  readonly #directoryTimes: { path: string; time: bigint }[] = [];
  #next = 0;
  #open = 0;
  #allTold = false;
  #done = false;

  /**
   * @param root directory to bring up to date; nobody else writes in it
   * @param staging directory on the same file system for files on their way
   * @param send how to answer the client
   */
  constructor(
    private readonly root: string,
    private readonly staging: string,
    private readonly send: (packet: Packet) => void,
  ) {
    rmSync(staging, { recursive: true, force: true });
    mkdirSync(staging, { recursive: true, mode: 0o700 });
    mkdirSync(root, { recursive: true, mode: 0o755 });
  }

  /** Files asked for, and bytes received, so far. */
  readonly transferred = { files: 0, bytes: 0 };

  get done(): boolean {
    return this.#done;
  }

  /** @throws InvalidParameter for what no honest client sends */
  receive(packet: Packet): void {
    switch (packet.type) {
      case Type.PACKET_STAT:
        if (packet.stat) this.#tell(packet.stat);
        else this.#allTold = true;
        break;
      case Type.PACKET_DATA:
        this.#data(packet.id, packet.data);
        break;
      case Type.PACKET_ERR:
        throw new InvalidParameter(`error from sender: ${Buffer.from(packet.data).toString("utf8")}`);
      case Type.PACKET_FIN:
        return;
      default:
        throw new InvalidParameter(`unexpected packet ${packet.type} in a transfer of files`);
    }
    if (this.#allTold && this.#pending.size === 0 && !this.#done) this.#finish();
  }

  /** Closes what is open; what was received whole stays for the next time. */
  [Symbol.dispose](): void {
    for (const { fd } of this.#pending.values()) if (fd !== undefined) closeSync(fd);
    this.#pending.clear();
    rmSync(this.staging, { recursive: true, force: true });
  }

  #tell(stat: Stat): void {
    if (this.#allTold) throw new InvalidParameter("an entry after the last one");
    const id = this.#next++;
    if (id >= entryLimit) throw new TooLarge(`more than ${entryLimit} files in the build context`);
    const { path, mode } = stat;
    this.#enter(path);
    const full = join(this.root, path);
    if (mode & goMode.directory) {
      this.#told.set(path, "directory");
      this.#names.set(path, new Set());
      this.#directory(full, goMode.permissions(mode));
      this.#directoryTimes.push({ path: full, time: stat.modTime });
    } else if (mode & goMode.link) {
      this.#told.set(path, "other");
      this.#link(full, stat);
    } else if (mode & goMode.socket) {
      // Sockets mean nothing elsewhere.
      this.#names.get(parentOf(path))!.delete(basename(path));
    } else if (mode & (goMode.device | goMode.pipe)) {
      throw new InvalidParameter(`${path}: devices and named pipes can't be sent in a build context`);
    } else if (stat.linkname !== "") {
      if (this.#told.get(stat.linkname) !== "file")
        throw new InvalidParameter(
          `${path}: a hard link to ${JSON.stringify(stat.linkname)}, which is no file before it`,
        );
      this.#told.set(path, "other");
      this.#hardLinks.push({ path: full, target: join(this.root, stat.linkname) });
    } else {
      this.#told.set(path, "file");
      this.#file(id, full, stat);
    }
  }

  /** Checks that a path stays inside, and that its parent is a directory told before it. */
  #enter(path: string): void {
    const parts = path.split("/");
    const wrong = (part: string) => ["", ".", ".."].includes(part) || Buffer.byteLength(part) > nameLimit;
    if (parts.some(wrong) || path.includes("\0") || Buffer.byteLength(path) > pathLimit)
      throw new InvalidParameter(`invalid path ${JSON.stringify(path)} in the build context`);
    if (this.#told.has(path))
      throw new InvalidParameter(`${JSON.stringify(path)} is there twice in the build context`);
    const siblings = this.#names.get(parentOf(path));
    if (!siblings) throw new InvalidParameter(`${JSON.stringify(path)} came before its directory`);
    siblings.add(parts.at(-1)!);
  }

  #directory(full: string, mode: number): void {
    const stat = lstatSync(full, { throwIfNoEntry: false });
    if (stat && !stat.isDirectory()) rmSync(full);
    if (!stat?.isDirectory()) mkdirSync(full);
    if (!stat || (stat.mode & 0o7777) !== mode) chmodSync(full, mode);
  }

  #link(full: string, { linkname, modTime }: Stat): void {
    if (linkname === "" || linkname.includes("\0") || Buffer.byteLength(linkname) > pathLimit)
      throw new InvalidParameter(
        `${full.slice(this.root.length + 1)}: a link to nowhere in the build context`,
      );
    const stat = lstatSync(full, { throwIfNoEntry: false });
    if (stat?.isSymbolicLink() && readlinkSync(full) === linkname) return;
    if (stat) rmSync(full, { recursive: true });
    symlinkSync(linkname, full);
    setMtimeAt(atFdCwd, full, modTime);
  }

  #file(id: number, full: string, stat: Stat): void {
    const known = lstatSync(full, { bigint: true, throwIfNoEntry: false });
    if (
      known?.isFile() &&
      known.size === stat.size &&
      known.mtimeNs === stat.modTime &&
      Number(known.mode & 0o7777n) === goMode.permissions(stat.mode)
    )
      return;
    if (known && !known.isFile()) rmSync(full, { recursive: true });
    this.transferred.files++;
    this.#pending.set(id, { stat, temporary: join(this.staging, String(id)) });
    this.send(create(PacketSchema, { type: Type.PACKET_REQ, id }));
  }

  #data(id: number, data: Uint8Array): void {
    const pending = this.#pending.get(id);
    if (!pending) throw new InvalidParameter("contents of a file that was not asked for");
    if (pending.fd === undefined) {
      if (++this.#open > openLimit) throw new InvalidParameter("too many files sent at once");
      pending.fd = openSync(pending.temporary, "wx", 0o600);
    }
    this.transferred.bytes += data.length;
    for (let at = 0; at < data.length; ) at += writeSync(pending.fd, data, at);
    if (data.length > 0) return;
    const full = join(this.root, pending.stat.path);
    chmodSync(pending.temporary, goMode.permissions(pending.stat.mode));
    setMtime(pending.fd, pending.stat.modTime);
    closeSync(pending.fd);
    this.#pending.delete(id);
    this.#open--;
    renameSync(pending.temporary, full);
  }

  #finish(): void {
    for (const { path, target } of this.#hardLinks) {
      rmSync(path, { recursive: true, force: true });
      linkSync(target, path);
    }
    for (const [directory, names] of this.#names) {
      const full = join(this.root, directory);
      for (const name of readdirSync(full)) {
        if (!names.has(name)) rmSync(join(full, name), { recursive: true, force: true });
      }
    }
    // Last, for every change in a directory changes its time; the deepest are told last.
    for (const { path, time } of this.#directoryTimes.reverse()) setMtimeAt(atFdCwd, path, time);
    this.#done = true;
    this.send(create(PacketSchema, { type: Type.PACKET_FIN }));
  }
}

function parentOf(path: string): string {
  const parent = dirname(path);
  return parent === "." ? "" : parent;
}
