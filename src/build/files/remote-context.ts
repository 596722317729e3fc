/** Contexts that the builder fetches itself: a Git repository, a tar archive or a Dockerfile by URL. */
import { createReadStream, lstatSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { InvalidParameter } from "../../lib/errors.ts";
import type { Layers } from "../../store/types.ts";
import type { BuildRequest } from "../types.ts";
import { isArchive } from "./archive.ts";
import { fetchCommit, isGitSource, parseGitSource, resolveCommit } from "./git.ts";
import { resolveInside } from "./inside.ts";
import { fetchRemote } from "./remote.ts";

export interface RemoteContextOptions {
  layers: Layers;
  signal: AbortSignal;
  /** Keep `.git` of a repository. */
  keepGitDir: boolean;
  secret?: BuildRequest["secret"];
  ssh?: BuildRequest["ssh"];
  progress: (name: string, current: number, total?: number) => void;
}

/** A Dockerfile alone is no longer than this. */
const maxDockerfile = 16 * 1024 * 1024;

/**
 * @param remote `URL[#REF[:DIRECTORY]]` of a repository, or an http(s) URL
 * @param directory empty, for this context alone
 * @throws InvalidParameter what can't be fetched or is none of these; TooLarge an archive over the store's limits
 */
export async function fetchContext(
  remote: string,
  directory: string,
  options: RemoteContextOptions,
): Promise<Pick<BuildRequest, "contextDir"> & Partial<Pick<BuildRequest, "dockerfile">>> {
  const fail = (why: string) => new InvalidParameter(`unable to prepare context: ${why}`);
  const { signal, layers, progress } = options;
  const url = remote.startsWith("github.com/")
    ? `https://${remote.replace(/(?:\.git)?(?=#|$)/, ".git")}`
    : remote;
  if (isGitSource(url)) {
    const source = parseGitSource(url, fail);
    const secret = options.secret && ((id: string) => options.secret!(id, signal));
    await using agent = await options.ssh?.("default", signal);
    const git = { directory, signal, fail, secret, sshSocket: agent?.socket };
    const keepGitDir = source.keepGitDir ?? options.keepGitDir;
    const { root } = await fetchCommit({ ...source, keepGitDir }, await resolveCommit(source, git), git);
    const inside = resolveInside(root, source.subdirectory || ".");
    const contextDir = inside === undefined ? undefined : join(root, inside);
    if (contextDir === undefined || !lstatSync(contextDir, { throwIfNoEntry: false })?.isDirectory())
      throw fail(`no directory ${source.subdirectory} in ${source.url}`);
    return { contextDir };
  }
  if (!/^https?:\/\//.test(url)) throw fail(`${remote} is neither a repository nor an http(s) URL`);
  const downloads = join(directory, "download");
  const tree = await fetchRemote(url, downloads, { name: "context", progress, signal, fail });
  const contextDir = join(directory, "context");
  mkdirSync(contextDir, { mode: 0o755 });
  const file = join(tree.root, "context");
  if (await isArchive(tree.root, "context")) {
    await layers.extract(createReadStream(file), contextDir, {}, signal);
    return { contextDir };
  }
  if (lstatSync(file).size > maxDockerfile)
    throw fail(`${remote} is no archive and too long for a Dockerfile`);
  return { contextDir, dockerfile: { text: readFileSync(file, "utf8") } };
}
