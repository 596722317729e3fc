/** `--build-context name=…`: contexts besides the main one. */
import { statSync } from "node:fs";
import { resolve } from "node:path";
import type { ApiClient } from "../../api/client/index.ts";
import { InvalidParameter, NotImplemented } from "../../lib/errors.ts";
import { isGitUrl, openSource } from "./source.ts";

const image = "docker-image://";

export interface NamedContexts {
  /** For the query of `POST /build`. */
  query: Record<string, { image: string } | { upload: string }>;
  /** Sends those that are files; each waits until the build takes it. Failures are the build's to tell. */
  send(client: ApiClient, signal: AbortSignal): void;
}

/** @throws InvalidParameter, NotImplemented, Unavailable */
export async function namedContexts(
  values: readonly string[],
  cwd: string,
  onDispose: (dispose: () => Promise<void>) => void,
): Promise<NamedContexts> {
  const query: NamedContexts["query"] = {};
  const uploads: { id: string; tar: AsyncIterable<Uint8Array> }[] = [];
  for (const text of values) {
    const [, name = "", value = ""] = /^([^=]*)=(.*)$/s.exec(text) ?? [];
    if (!name || !value) throw new InvalidParameter(`invalid context value: ${text}, expected key=value`);
    if (value.startsWith(image)) {
      query[name] = { image: value.slice(image.length) };
      continue;
    }
    if (/^(oci-layout|target):\/?\/?/.test(value))
      throw new NotImplemented(`the build context ${text} is not supported: load or push the image first`);
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

const noStdin = () => {
  throw new InvalidParameter("a named context can't come from stdin");
};
