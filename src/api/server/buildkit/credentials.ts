/** How a build logs in at registries: the client's session is asked, so that its configuration stays with it. */
import type { BuildOptions } from "../../../engine/types.ts";
import { Auth } from "./proto/filesync_pb.ts";
import type { Session } from "./session.ts";

/** Under this name clients keep what Docker Hub wants. */
const hub = "registry-1.docker.io";

export function sessionCredentials(session: Session): BuildOptions["credentials"] {
  if (!session.offers(Auth, "Credentials")) return undefined;
  return async (domain, signal) => {
    const host = domain === "docker.io" ? hub : domain;
    const { username, secret } = await session.client(Auth).credentials({ host }, { signal });
    if (secret === "") return undefined;
    // A secret without a name is a refresh token (docker login with an identity token).
    return username === "" ? { identityToken: secret } : { username, password: secret };
  };
}
