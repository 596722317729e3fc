/** A build's files, brought from its client's session: Dockerfile, ignore file, contexts. */
import { posix } from "node:path";
import { ignorePatterns, readInside } from "../../../build/index.ts";
import type { BuildRequest } from "../../../build/types.ts";
import type { FillContext } from "../../../engine/types.ts";
import { InvalidParameter } from "../../../lib/errors.ts";
import { syncDirectory } from "./file-sync.ts";
import type { DockerfileBuild } from "./frontend.ts";
import type { Session } from "./session.ts";
import { shown } from "./shown.ts";

/**
 * @param onSource called with the Dockerfile when it is here: errors point into it
 */
export function fillFrom(
  session: Session,
  build: DockerfileBuild,
  onSource: (source: { filename: string; text: string }) => void,
): FillContext {
  return async (open, onEvent, signal) => {
    const { dockerfileDirectory, contextDirectory } = build;
    const filename = posix.join(".", build.filename);
    const sync = (
      id: string,
      title: string,
      name: string,
      patterns: { include?: string[]; exclude?: string[] },
    ) =>
      shown(onEvent, { id, name: title }, (progress) =>
        syncDirectory(
          session,
          // Single files are not worth keeping, and without a key nobody would find them again.
          open(
            patterns.include || !session.sharedKey
              ? undefined
              : JSON.stringify([session.sharedKey, name, id]),
          ),
          { name, ...patterns, onProgress: (...amounts) => progress(`transferring ${name}:`, ...amounts) },
          signal,
        ),
      );

    const wanted = [filename, `${filename}.dockerignore`];
    const files = await sync(
      "definition",
      `[internal] load build definition from ${filename}`,
      dockerfileDirectory,
      { include: wanted },
    );
    const text = readInside(files, filename);
    if (text === undefined)
      throw new InvalidParameter(`failed to read dockerfile: open ${filename}: no such file or directory`);
    if (text.trim() === "") throw new InvalidParameter(`the Dockerfile (${filename}) cannot be empty`);
    onSource({ filename, text });
    const ignore =
      readInside(files, `${filename}.dockerignore`) ??
      readInside(
        await sync("ignore", "[internal] load .dockerignore", contextDirectory, {
          include: [".dockerignore"],
        }),
        ".dockerignore",
      ) ??
      "";
    const patterns = { exclude: ignorePatterns(ignore) };
    const contextDir = await sync("context", "[internal] load build context", contextDirectory, patterns);
    const contexts: NonNullable<BuildRequest["contexts"]> = {};
    for (const [name, source] of Object.entries(build.contexts)) {
      contexts[name] =
        "image" in source
          ? source
          : { directory: await sync(`load-${name}`, `[context ${name}] load from client`, source.local, {}) };
    }
    return { contextDir, contexts, dockerfile: { text, name: filename, ignore } };
  };
}
