/**
 * User namespaces. A process with threads can't enter one or make one of its own (setns(2), unshare(2): EINVAL), so a
 * helper does, and holds it until it's used.
 */
import { closeSync, openSync, writeFileSync } from "node:fs";
import { type IdMap, mapLines } from "../lib/id-map.ts";
import { check, cstring, Errno, libc } from "./libc.ts";

const symbols = libc({
  syscall: { args: ["i64", "i64", "ptr", "i64", "ptr", "i64"], returns: "i64" },
});

// Numbers since 424 are the same on every architecture.
const openTreeNumber = 428;
const moveMountNumber = 429;
const mountSetattrNumber = 442;
const AT_FDCWD = -100;
const AT_EMPTY_PATH = 0x1000;
const OPEN_TREE_CLONE = 1;
const O_CLOEXEC = 0o2000000;
const MOVE_MOUNT_F_EMPTY_PATH = 4;
const MOUNT_ATTR_IDMAP = 0x10_0000n;

/** A user namespace that is kept alive. */
export interface UserNamespace extends AsyncDisposable {
  /** What setns(2) takes. */
  readonly path: string;
  /** The new network namespace that it owns, if one was asked for. */
  readonly networkPath: string;
}

/**
 * @param of ids of a new namespace, or the path of one that is there
 * @param network whether to make a network namespace that belongs to it
 * @throws Errno
 */
export async function holdUserNamespace(
  of: { map: IdMap } | { path: string },
  { network = false }: { network?: boolean } = {},
): Promise<UserNamespace> {
  const enter = "path" in of ? ["nsenter", `--user=${of.path}`, "--"] : [];
  const make = ["unshare", ...("map" in of ? ["--user"] : []), ...(network ? ["--net"] : []), "--"];
  // It says when it's inside, and stays until its input ends: with the daemon at the latest.
  const helper = Bun.spawn([...enter, ...make, "sh", "-c", "echo; read -r _"], {
    stdin: "pipe",
    stdout: "pipe",
    stderr: "inherit",
  });
  const end = async () => {
    await helper.stdin.end();
    await helper.exited;
  };
  try {
    const said = await helper.stdout.getReader().read();
    if (said.done) throw new Errno(1, "unshare(CLONE_NEWUSER)");
    if ("map" in of) {
      writeFileSync(`/proc/${helper.pid}/uid_map`, mapLines(of.map.uids));
      writeFileSync(`/proc/${helper.pid}/gid_map`, mapLines(of.map.gids));
    }
  } catch (error) {
    await end();
    throw error;
  }
  return {
    path: `/proc/${helper.pid}/ns/user`,
    networkPath: `/proc/${helper.pid}/ns/net`,
    [Symbol.asyncDispose]: end,
  };
}

/**
 * Mounts a directory a second time, with the owners of its files mapped (mount_setattr(2), MOUNT_ATTR_IDMAP): what
 * belongs to an id on disk belongs to the outside of that id there.
 * @param target an empty directory
 * @throws Errno EINVAL when kernel or file system can't, ENOSYS before Linux 5.12
 */
export function mountIdMapped(source: string, target: string, namespace: UserNamespace): void {
  const userNamespace = openSync(namespace.path, "r");
  let tree: number | undefined;
  try {
    tree = call(openTreeNumber, [AT_FDCWD, source, OPEN_TREE_CLONE | O_CLOEXEC, null, 0], "open_tree");
    // struct mount_attr: attr_set, attr_clr, propagation, userns_fd.
    const attributes = new BigUint64Array([MOUNT_ATTR_IDMAP, 0n, 0n, BigInt(userNamespace)]);
    call(mountSetattrNumber, [tree, "", AT_EMPTY_PATH, attributes, attributes.byteLength], "mount_setattr");
    call(moveMountNumber, [tree, "", AT_FDCWD, cstring(target), MOVE_MOUNT_F_EMPTY_PATH], "move_mount");
  } finally {
    if (tree !== undefined) closeSync(tree);
    closeSync(userNamespace);
  }
}

type Arguments = [number, string, number, Buffer | BigUint64Array | null, number];

function call(number: number, [first, path, third, fourth, fifth]: Arguments, name: string): number {
  return check(Number(symbols.syscall(number, first, cstring(path), third, fourth, fifth)), name, path);
}
