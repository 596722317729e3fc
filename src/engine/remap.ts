/** `--userns-remap`: containers in user namespaces of their own, whose root is nobody in particular on the host. */
import { chmodSync, chownSync, mkdirSync, readFileSync, rmdirSync } from "node:fs";
import { InvalidParameter, messageOf, Unavailable } from "../lib/errors.ts";
import { type IdMap, type IdRange, toOutside } from "../lib/id-map.ts";
import { MNT_DETACH, umountIfMounted } from "../linux/mount.ts";
import { holdUserNamespace, mountIdMapped } from "../linux/user-namespaces.ts";
import type { ContainerRecord } from "./types.ts";

/** The account whose subordinate ids `default` means; it is made when it's missing. */
const defaultUser = "dockremap";
/** What an account gets that has no subordinate ids yet, and where the first begin (useradd's own defaults). */
const rangeSize = 65_536;
const firstRange = 100_000;
/**
 * On disk, what the daemon itself makes in a mapped tree while it mounts and copies up. No file of an image has it:
 * uids end at 2^31 there (runtime/users.ts).
 */
const daemonOnDisk: Omit<IdRange, "size" | "outside"> = { inside: 4_000_000_000 };

export class Remap implements Disposable {
  /** Host ids of the containers' root. */
  readonly root: { uid: number; gid: number };

  private constructor(
    /** `user:group`, as the subordinate ids are found by. */
    readonly name: string,
    readonly map: IdMap,
    /** The snapshots' directory with owners as containers see them. */
    readonly view: string,
  ) {
    this.root = { uid: toOutside(map.uids, 0)!, gid: toOutside(map.gids, 0)! };
  }

  /**
   * @param setting `default`, `user`, `user:group`, or numbers in their place
   * @param trees the directory of all snapshots
   * @param view where it is mounted anew with owners mapped; what an earlier daemon left there is replaced
   * @throws InvalidParameter, Unavailable when kernel or file system can't map owners
   */
  static async open(setting: string, trees: string, view: string): Promise<Remap> {
    const { user, group } = accountsOf(setting);
    const map: IdMap = {
      uids: subordinate("/etc/subuid", user, "user"),
      gids: subordinate("/etc/subgid", group, "group"),
    };
    mkdirSync(view, { recursive: true, mode: 0o711 });
    while (umountIfMounted(view, MNT_DETACH));
    const own = { ...daemonOnDisk, outside: 0, size: 1 };
    try {
      await using namespace = await holdUserNamespace({
        map: { uids: [...map.uids, own], gids: [...map.gids, own] },
      });
      mountIdMapped(trees, view, namespace);
    } catch (error) {
      throw new Unavailable(
        `--userns-remap: the kernel or the file system of ${trees} can't map the owners of files (Linux 5.19 and a file system with idmapped mounts are wanted): ${messageOf(error)}`,
        { cause: error },
      );
    }
    return new Remap(`${user.name}:${group.name}`, map, view);
  }

  [Symbol.dispose](): void {
    umountIfMounted(this.view, MNT_DETACH);
    rmdirSync(this.view);
  }
}

/** What a container is mapped by, now or at its next start; undefined: not at all. */
export function remapOf(remap: Remap | undefined, record: ContainerRecord): Remap | undefined {
  return record.hostConfig.UsernsMode === "host" ? undefined : remap;
}

/** Lets the containers' root, and nobody else but the host's, pass a directory to what it knows in there. */
export function admit(root: { gid: number } | undefined, directory: string): void {
  if (!root) return;
  chownSync(directory, 0, root.gid);
  chmodSync(directory, 0o710);
}

interface Account {
  name: string;
  id: number;
}

function accountsOf(setting: string): { user: Account; group: Account } {
  const [userPart = "", groupPart, ...rest] = setting.split(":");
  if (userPart === "" || groupPart === "" || rest.length > 0)
    throw new InvalidParameter(`invalid --userns-remap ${setting}: default, USER or USER:GROUP is wanted`);
  const isDefault = setting === "default";
  if (isDefault) makeDefaultAccount();
  const user = account("/etc/passwd", isDefault ? defaultUser : userPart, "user");
  return { user, group: account("/etc/group", isDefault ? defaultUser : (groupPart ?? user.name), "group") };
}

/** By name or number. @throws InvalidParameter */
function account(file: string, wanted: string, what: string): Account {
  const found = lines(file)
    .map(([name = "", , id]) => ({ name, id: Number(id) }))
    .find(({ name, id }) => name === wanted || String(id) === wanted);
  if (!found) throw new InvalidParameter(`--userns-remap: there is no ${what} ${wanted} in ${file}`);
  return found;
}

/** The ranges of an account one after the other, from 0 on (subuid(5)). @throws InvalidParameter */
function subordinate(file: string, { name, id }: Account, what: string): IdRange[] {
  const ranges: IdRange[] = [];
  let inside = 0;
  for (const [owner, outside, size] of lines(file)) {
    if (owner !== name && owner !== String(id)) continue;
    const range = { inside, outside: Number(outside), size: Number(size) };
    if (!Number.isSafeInteger(range.outside) || !(range.size > 0))
      throw new InvalidParameter(`${file}: no range of ids: ${owner}:${outside}:${size}`);
    ranges.push(range);
    inside += range.size;
  }
  if (ranges.length === 0)
    throw new InvalidParameter(`--userns-remap: the ${what} ${name} has no subordinate ids in ${file}`);
  return ranges;
}

/** As dockerd does it: a system account without a login, with the next free range. */
function makeDefaultAccount(): void {
  const has = (file: string) => lines(file).some(([name]) => name === defaultUser);
  if (!has("/etc/passwd"))
    run("useradd", "--system", "--user-group", "--no-create-home", "--shell", "/bin/false", defaultUser);
  for (const [file, flag] of [
    ["/etc/subuid", "--add-subuids"],
    ["/etc/subgid", "--add-subgids"],
  ] as const) {
    if (has(file)) continue;
    const first = Math.max(firstRange, ...lines(file).map(([, start, size]) => Number(start) + Number(size)));
    run("usermod", flag, `${first}-${first + rangeSize - 1}`, defaultUser);
  }
}

function run(...command: string[]): void {
  const { success, stderr } = Bun.spawnSync(command);
  if (!success)
    throw new Unavailable(
      `--userns-remap default: cannot make the account ${defaultUser}: ${stderr.toString().trim()}`,
    );
}

/** Fields of a file of accounts; none when it's not there. */
function lines(file: string): string[][] {
  try {
    return readFileSync(file, "utf8")
      .split("\n")
      .filter((line) => line.includes(":"))
      .map((line) => line.split(":"));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}
