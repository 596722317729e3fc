/** `--build-context name=…`: contexts besides the main one. */
import { statSync } from "node:fs";
import { resolve } from "node:path";
import type { ApiClient } from "../../api/client/index.ts";
import { InvalidParameter } from "../../lib/errors.ts";
import { digestIn } from "./oci-index.ts";
import { isGitUrl, openSource } from "./source.ts";

const image = "docker-image://";
const layout = "oci-layout://";

export interface NamedContexts {
  /** For the query of `POST /build`. */
  query: Record<string, { image: string } | { upload: string } | { store: string; digest: string }>;
  /** Directories with images that the session offers, by the names that the engine has for them. */
  directories: Map<string, string>;
  /** Sends those that are files; each waits until the build takes it. Failures are the build's to tell. */
  send(client: ApiClient, signal: AbortSignal): void;
}

/** @throws InvalidParameter, Unavailable */
export async function namedContexts(
  values: readonly string[],
  cwd: string,
  onDispose: (dispose: () => Promise<void>) => void,
): Promise<NamedContexts> {
  const query: NamedContexts["query"] = {};
  const directories = new Map<string, string>();
  const uploads: { id: string; tar: AsyncIterable<Uint8Array> }[] = [];
  for (const text of values) {
    const [, name = "", value = ""] = /^([^=]*)=(.*)$/s.exec(text) ?? [];
    if (!name || !value) throw new InvalidParameter(`invalid context value: ${text}, expected key=value`);
    if (value.startsWith(image)) {
      query[name] = { image: value.slice(image.length) };
      continue;
    }
    if (value.startsWith(layout)) {
      const { directory, digest } = imageIn(value.slice(layout.length), cwd);
      const store = crypto.randomUUID();
      directories.set(`oci:${store}`, directory);
      query[name] = { store, digest };
      continue;
    }
    if (value.startsWith("target:"))
      throw new InvalidParameter(`the build context ${text} is a target: only bake has such`);
    const isUrl = isGitUrl(value) || /^https?:\/\//.test(value);
    if (!isUrl && !statSync(resolve(cwd, value), { throwIfNoEntry: false })?.isDirectory())
      throw new InvalidParameter(`failed to get build context ${name}: ${value} is not a directory`);
    const id = crypto.randomUUID();
    const { tar } = await openSource({ context: value, file: false, cwd, stdin: noStdin, onDispose });
    uploads.push({ id, tar });
    query[name] = { upload: id };
  }
  return {
    query,
    directories,
    send(client, signal) {
      for (const { id, tar } of uploads)
        client
          .send("POST", "/build", {
            query: { version: 2, buildid: `upload-request:${id}` },
            body: tar,
            signal,
          })
          .catch(() => {});
    },
  };
}

/** `DIRECTORY[:TAG][@DIGEST]` @throws InvalidParameter when there is no such image */
function imageIn(text: string, cwd: string): { directory: string; digest: string } {
  const [, path = "", tag = "latest", digest] =
    /^(.*?)(?::([\w][\w.-]*))?(?:@(sha256:[0-9a-f]{64}))?$/.exec(text) ?? [];
  const directory = resolve(cwd, path);
  const found = digest ?? digestIn(directory, tag);
  if (path === "" || found === undefined)
    throw new InvalidParameter(`no image ${tag} in the OCI layout ${path}`);
  return { directory, digest: found };
}

const noStdin = () => {
  throw new InvalidParameter("a named context can't come from stdin");
};
