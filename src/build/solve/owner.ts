import { InvalidParameter, messageOf } from "../../lib/errors.ts";
import { resolveUser } from "../../runtime/index.ts";
import type { SourceRange } from "../dockerfile/instructions.ts";
import { stepError } from "../errors.ts";
import type { Owner } from "../files/inside.ts";

/** A user without a group brings its own: from /etc/passwd by name, the same number by number. */
export async function idsOf(root: string, user: string): Promise<Owner> {
  const { uid, gid } = await resolveUser(root, /^\d+$/.test(user) ? `${user}:${user}` : user);
  return { uid, gid };
}

/** Who `--chown` means in a tree. @throws DockerfileError a name that the tree does not know */
export async function ownerOf(root: string, user: string, range: SourceRange): Promise<Owner> {
  try {
    return await idsOf(root, user);
  } catch (error) {
    throw stepError(range, `unable to convert uid/gid chown string to host mapping: ${messageOf(error)}`);
  }
}

/** Who a directory that WORKDIR makes belongs to; USER may name one that only a later image has: root, then. */
export async function workdirOwner(root: string, user: string): Promise<Owner> {
  try {
    return await idsOf(root, user);
  } catch (error) {
    if (error instanceof InvalidParameter) return { uid: 0, gid: 0 };
    throw error;
  }
}
