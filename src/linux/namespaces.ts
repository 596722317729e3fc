/**
 * Network namespaces. Switching concerns the calling thread only, but a thread that the JavaScript engine starts
 * meanwhile (a helper of the garbage collector, a JIT compiler) inherits the namespace and keeps it alive for as
 * long as it lives. So between going in and coming back there is nothing but system calls with arguments made
 * beforehand: no allocation, no call into JavaScript, no loop. All that is done inside is opening descriptors;
 * sockets and sysctl files stay bound to the namespace they were opened in and are used outside.
 */
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  statfsSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { constants } from "node:os";
import { dirname } from "node:path";
import { cstring, Errno, errno, libc } from "./libc.ts";
import type { SocketKind } from "./sockets.ts";

const { setns, unshare, socket, open, mount, umount2 } = libc({
  setns: { args: ["i32", "i32"], returns: "i32" },
  unshare: { args: ["i32"], returns: "i32" },
  socket: { args: ["i32", "i32", "i32"], returns: "i32" },
  open: { args: ["ptr", "i32"], returns: "i32" },
  mount: { args: ["ptr", "ptr", "ptr", "u64", "ptr"], returns: "i32" },
  umount2: { args: ["ptr", "i32"], returns: "i32" },
});

const CLONE_NEWNET = 0x40000000;
const MS_BIND = 4096;
const MNT_DETACH = 2;
const O_RDWR = 2;
const O_CLOEXEC = 0o2000000;
const NSFS_MAGIC = 0x6e736673;
const own = "/proc/thread-self/ns/net";
const ownPath = cstring(own);

/** The thread's home namespace and the way back to it. */
export class NetworkNamespaces implements Disposable {
  readonly #home = openSync(own, "r");

  [Symbol.dispose](): void {
    closeSync(this.#home);
  }

  /** Opens a socket of the namespace of `namespace`. @throws Errno */
  openSocket(namespace: number, { family, type, protocol }: SocketKind): number {
    const home = this.#home;
    const entered = setns(namespace, CLONE_NEWNET);
    const fd = entered === 0 ? socket(family, type, protocol) : -1;
    const code = fd < 0 ? errno() : 0;
    const back = setns(home, CLONE_NEWNET);
    if (back !== 0) dieAbroad();
    if (fd < 0) throw new Errno(code, entered === 0 ? "socket" : "setns");
    return fd;
  }

  /** Opens a file for reading and writing as it looks in a namespace: one of /proc/sys/net. @throws Errno */
  openFile(namespace: number, path: string): number {
    const home = this.#home;
    const name = cstring(path);
    const entered = setns(namespace, CLONE_NEWNET);
    const fd = entered === 0 ? open(name, O_RDWR | O_CLOEXEC) : -1;
    const code = fd < 0 ? errno() : 0;
    const back = setns(home, CLONE_NEWNET);
    if (back !== 0) dieAbroad();
    if (fd < 0) throw new Errno(code, entered === 0 ? "open" : "setns", path);
    return fd;
  }

  /** Makes a namespace that a bind mount at `path` keeps alive. @throws Errno; nothing is left behind then */
  create(path: string): void {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, "");
    const home = this.#home;
    const target = cstring(path);
    const flags = BigInt(MS_BIND);
    const unshared = unshare(CLONE_NEWNET);
    const mounted = unshared === 0 ? mount(ownPath, target, null, flags, null) : -1;
    const code = mounted < 0 ? errno() : 0;
    const back = setns(home, CLONE_NEWNET);
    if (back !== 0) dieAbroad();
    if (mounted === 0) return;
    unlinkSync(path);
    throw new Errno(code, unshared === 0 ? "mount" : "unshare(CLONE_NEWNET)", path);
  }
}

/** Keeps the network namespace `source` (/proc/<pid>/ns/net) alive by a bind mount at `path`. @throws Errno */
export function keepNamespace(source: string, path: string): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, "");
  if (mount(cstring(source), cstring(path), null, BigInt(MS_BIND), null) === 0) return;
  const code = errno();
  unlinkSync(path);
  throw new Errno(code, "mount", path);
}

/** A daemon in the wrong namespace would do harm with every later call, so it rather dies. */
function dieAbroad(): never {
  console.error(new Errno(errno(), "setns back to the host's network namespace"));
  process.abort();
}

/** Lets go of the mount at `path` and removes the file; the kernel frees the namespace with its last user. */
export function removeNamespaceMount(path: string): void {
  if (!existsSync(path)) return;
  const target = cstring(path);
  // A crash between making the file and mounting leaves a plain file: EINVAL.
  while (umount2(target, MNT_DETACH) === 0);
  const code = errno();
  if (code !== constants.errno.EINVAL) throw new Errno(code, "umount", path);
  unlinkSync(path);
}

/** Whether `path` is a live namespace, rather than nothing or the empty file a crash or a reboot left. */
export function isNamespaceMount(path: string): boolean {
  return existsSync(path) && statfsSync(path).type === NSFS_MAGIC;
}

/** Names in a directory of namespace mounts. */
export function listNamespaceMounts(directory: string): string[] {
  return existsSync(directory) ? readdirSync(directory) : [];
}
