/**
 * What a classic build (`POST /build`) takes from its client besides the context: `session=ID` names an open session
 * that has secrets and agents, `contexts={"name": …}` says where the named contexts are.
 */
import * as v from "valibot";
import type { BuildOptions } from "../../../engine/types.ts";
import { type Digest, isDigest } from "../../../lib/digest.ts";
import { InvalidParameter } from "../../../lib/errors.ts";
import { type Exchange, parseJson, validate } from "../exchange.ts";
import type { Uploads } from "./build-v2.ts";
import { blobDirectory } from "./content.ts";
import { sessionSecret, sessionSsh } from "./secrets.ts";
import type { Sessions } from "./session.ts";

const contextsSchema = v.record(
  v.string(),
  v.union(
    [
      v.strictObject({ image: v.string() }),
      v.strictObject({ upload: v.string() }),
      v.strictObject({ store: v.string(), digest: v.custom<Digest>((text) => isDigest(String(text))) }),
    ],
    '{"image": …}, {"upload": …} or {"store": …, "digest": …} is wanted',
  ),
);

/** @throws InvalidParameter; NotFound when the session is not opened in time */
export async function partsOf(
  x: Exchange,
  { sessions, uploads }: { sessions: Sessions; uploads: Uploads },
): Promise<Partial<BuildOptions>> {
  const parts: Partial<BuildOptions> = {};
  const id = x.text("session");
  if (id !== "") {
    const session = await sessions.wait(id, x.signal);
    parts.secret = sessionSecret(session);
    parts.ssh = sessionSsh(session, x.engine.builds.runDirectory);
    parts.blobDirectory = (name) => blobDirectory(session, name);
  }
  const text = x.text("contexts");
  if (text === "") return parts;
  parts.contexts = {};
  parts.archives = {};
  for (const [name, source] of Object.entries(
    validate(contextsSchema, parseJson(text, "invalid contexts")),
  )) {
    if ("image" in source) parts.contexts[name] = source;
    else if ("store" in source) {
      const { store, digest } = source;
      const directory = parts.blobDirectory?.(`oci:${store}`);
      if (!directory)
        throw new InvalidParameter(`the context ${name} needs a session that offers its directory`);
      parts.contexts[name] = { image: `oci-layout://${name}@${digest}`, layout: { directory, digest } };
    } else
      parts.archives[name] = async (take, signal) => {
        const upload = await uploads.wait(source.upload, signal);
        try {
          await take(upload.archive);
        } finally {
          upload.taken();
        }
      };
  }
  return parts;
}
