/** `USER`, `--user` and `--group-add` to numbers, by the passwd and group files inside the container's root. */
import { constants, fstatSync, readFileSync } from "node:fs";
import { InvalidParameter } from "../lib/errors.ts";
import { Descriptor, openInRoot } from "../linux/fs.ts";
import { Errno } from "../linux/libc.ts";
import type { ProcessSpec } from "./types.ts";

interface PasswdEntry {
  name: string;
  uid: number;
  gid: number;
  home: string;
}

interface GroupEntry {
  name: string;
  gid: number;
  members: string[];
}

const maxId = 2 ** 31 - 1;
/** Larger files than this are an attack or an accident. */
const maxFileSize = 8 * 1024 * 1024;

/**
 * @param rootfs the mounted root of the container; symlinks in it are followed within it only
 * @param user `name|uid[:group|gid]`; empty: root
 * @param extraGroups names or gids that are added
 * @throws InvalidParameter with Docker's message when a name has no entry or a number is out of range
 */
export async function resolveUser(
  rootfs: string,
  user: string,
  extraGroups: string[] = [],
): Promise<ProcessSpec["user"]> {
  const passwd = parsePasswd(readInRoot(rootfs, "/etc/passwd"));
  const groups = parseGroup(readInRoot(rootfs, "/etc/group"));
  const [userPart = "", groupPart = ""] = user.split(/:(.*)/s);

  const number = asId(userPart);
  const entry =
    userPart === ""
      ? passwd.find(({ uid }) => uid === 0)
      : (passwd.find(({ name }) => name === userPart) ?? passwd.find(({ uid }) => uid === number));
  if (!entry && userPart !== "" && number === undefined)
    throw new InvalidParameter(`unable to find user ${userPart}: no matching entries in passwd file`);
  const uid = entry?.uid ?? number ?? 0;
  const name = entry?.name ?? "";

  let gid = entry?.gid ?? 0;
  const additional = new Set<number>();
  if (groupPart !== "") {
    gid = groupId(groups, groupPart);
  } else if (name !== "") {
    // The user's own supplementary groups count only when no group was asked for.
    for (const group of groups) if (group.members.includes(name)) additional.add(group.gid);
  }
  for (const group of extraGroups) additional.add(groupId(groups, group));
  checkRange(uid);
  checkRange(gid);
  // A group that is not listed here too could be shed, and with it what its members are denied (CVE-2022-36109).
  const additionalGids = [...new Set([gid, ...additional])];
  return { uid, gid, additionalGids, home: entry?.home || "/" };
}

function groupId(groups: GroupEntry[], text: string): number {
  const number = asId(text);
  const found = groups.find(({ name }) => name === text) ?? groups.find(({ gid }) => gid === number);
  if (found) return found.gid;
  if (number === undefined)
    throw new InvalidParameter(`unable to find group ${text}: no matching entries in group file`);
  checkRange(number);
  return number;
}

function checkRange(id: number): void {
  if (id < 0 || id > maxId) throw new InvalidParameter(`uids and gids must be in range 0-${maxId}`);
}

function asId(text: string): number | undefined {
  return /^-?\d+$/.test(text) ? Number(text) : undefined;
}

/** passwd(5): name:password:uid:gid:gecos:home:shell. Lines that make no sense are left out. */
export function parsePasswd(text: string): PasswdEntry[] {
  return text.split("\n").flatMap((line) => {
    const [name, , uid, gid, , home = ""] = line.split(":");
    return name && !name.startsWith("#") && isNumber(uid) && isNumber(gid)
      ? [{ name, uid: Number(uid), gid: Number(gid), home }]
      : [];
  });
}

/** group(5): name:password:gid:member,member. */
export function parseGroup(text: string): GroupEntry[] {
  return text.split("\n").flatMap((line) => {
    const [name, , gid, members] = line.split(":");
    return name && !name.startsWith("#") && isNumber(gid)
      ? [{ name, gid: Number(gid), members: members?.trim().split(",").filter(Boolean) ?? [] }]
      : [];
  });
}

function isNumber(text: string | undefined): text is string {
  return text !== undefined && /^\d+$/.test(text);
}

/** Text of a regular file inside `root`, where links are followed as if it were `/`; empty when there is none. */
function readInRoot(root: string, path: string): string {
  using top = Descriptor.directory(root);
  try {
    // A FIFO would block.
    using file = new Descriptor(openInRoot(top.fd, path, constants.O_RDONLY | constants.O_NONBLOCK));
    const stat = fstatSync(file.fd);
    return stat.isFile() && stat.size <= maxFileSize ? readFileSync(file.fd, "utf8") : "";
  } catch (error) {
    if (error instanceof Errno) return "";
    throw error;
  }
}
