import { messageOf } from "../../lib/errors.ts";
import { resolveUser } from "../../runtime/index.ts";
import type { SourceRange } from "../dockerfile/instructions.ts";
import { stepError } from "../errors.ts";
import type { Owner } from "../files/inside.ts";

/**
 * Who `--chown` and USER mean in a tree (`""`: root). A user without a group brings its own: from /etc/passwd by
 * name, the same number by number. @throws DockerfileError a name that the tree does not know
 */
export async function ownerOf(root: string, user: string, range: SourceRange): Promise<Owner> {
  try {
    const { uid, gid } = await resolveUser(root, /^\d+$/.test(user) ? `${user}:${user}` : user);
    return { uid, gid };
  } catch (error) {
    throw stepError(range, `unable to convert uid/gid chown string to host mapping: ${messageOf(error)}`);
  }
}
