/** Where a build's files come from: a directory, stdin, a URL or a Git repository. */
import { randomBytes } from "node:crypto";
import { existsSync, readdirSync, realpathSync, statSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { basename, dirname, join, relative, resolve } from "node:path";
import { packContext } from "../../api/client/build-context.ts";
import { InvalidParameter, Unavailable } from "../../lib/errors.ts";
import { textIfAny } from "../../lib/lazy-fs.ts";
import { nearest } from "../args/nearest.ts";
import { isArchive, peek, singleFileArchive } from "./archive.ts";

export interface BuildSource {
  /** The context as the engine gets it. */
  tar: AsyncIterable<Uint8Array>;
  /** Path of the Dockerfile in it. */
  dockerfile: string;
}

export interface SourceOptions {
  /** `PATH | URL | -`. */
  context: string;
  /** `-f`: a path as the user sees it, `-` for stdin; false: only files are wanted, and no Dockerfile. */
  file: string | undefined | false;
  /** What is built instead of what the Dockerfile says; of directories and repositories. */
  edit?: (dockerfile: string) => string;
  cwd: string;
  stdin: () => AsyncIterable<Uint8Array>;
  /** What is to be done when the context has been sent. */
  onDispose: (dispose: () => Promise<void>) => void;
}

const defaultDockerfile = "Dockerfile";

/** @throws InvalidParameter when there is no such context or Dockerfile */
export async function openSource(options: SourceOptions): Promise<BuildSource> {
  const { context, file, cwd, stdin } = options;
  if (context === "-") {
    if (file === "-")
      throw new InvalidParameter("invalid argument: can't use stdin for both build context and dockerfile");
    return streamSource(stdin(), file);
  }
  const directory = resolve(cwd, context);
  const stat = statSync(directory, { throwIfNoEntry: false });
  if (stat?.isDirectory()) return directorySource(directory, file, options);
  if (stat) throw notPrepared(`context must be a directory: ${directory}`);
  if (isGitUrl(context)) {
    const { cloneRepository } = await import("./git.ts");
    const clone = await cloneRepository(context);
    options.onDispose(() => clone.remove());
    // The Dockerfile of a repository lies in the repository.
    const inside = !file || file === "-" ? file : join(clone.directory, file);
    return directorySource(clone.directory, inside, options);
  }
  if (/^https?:\/\//.test(context)) {
    if (file === "-") throw new InvalidParameter("a Dockerfile from stdin needs a directory as context");
    const response = await fetch(context);
    if (!response.ok || !response.body)
      throw new Unavailable(
        `unable to prepare context: ${context}: ${response.status} ${response.statusText}`,
      );
    return streamSource(response.body as unknown as AsyncIterable<Uint8Array>, file);
  }
  throw notPrepared(`path ${JSON.stringify(context)} not found`);
}

const notPrepared = (reason: string) => new InvalidParameter(`unable to prepare context: ${reason}`);

/** Docker's marks of a repository. */
export function isGitUrl(text: string): boolean {
  return /^(?:git:\/\/|git@|github\.com\/)/.test(text) || /^https?:\/\/.+\.git(?:#.+)?$/.test(text);
}

/** A stream is an archive of the context, or a Dockerfile that needs none. */
async function streamSource(
  stream: AsyncIterable<Uint8Array>,
  file: SourceOptions["file"],
): Promise<BuildSource> {
  const { head, all } = await peek(stream, 512);
  if (isArchive(head)) return { tar: all, dockerfile: file || defaultDockerfile };
  if (file === false) throw notPrepared("an archive is wanted where no Dockerfile is");
  const chunks: Uint8Array[] = [];
  for await (const chunk of all) chunks.push(chunk);
  async function* archive() {
    yield singleFileArchive(defaultDockerfile, Buffer.concat(chunks));
  }
  return { tar: archive(), dockerfile: defaultDockerfile };
}

async function directorySource(
  directory: string,
  file: SourceOptions["file"],
  { cwd, stdin, edit }: SourceOptions,
): Promise<BuildSource> {
  if (file === false) return { tar: packContext(directory), dockerfile: "" };
  if (file === "-") return withExtra(directory, await textOf(stdin()));
  const named = file === undefined ? join(directory, defaultDockerfile) : resolve(cwd, file);
  const lower = join(directory, defaultDockerfile.toLowerCase());
  const path = file === undefined && !existsSync(named) && existsSync(lower) ? lower : named;
  if (!existsSync(path))
    throw notPrepared(
      `unable to evaluate symlinks in Dockerfile path: lstat ${path}: no such file or directory${meantFile(path)}`,
    );
  // Links are followed: the engine is told where the file itself is.
  const inside = relative(realpathSync(directory), realpathSync(path));
  if (edit || inside === ".." || inside.startsWith("../")) {
    const text = await readFile(path, "utf8");
    return withExtra(directory, edit?.(text) ?? text, textIfAny(`${path}.dockerignore`));
  }
  return { tar: packContext(directory, { dockerfile: inside }), dockerfile: inside };
}

/** A Dockerfile from elsewhere joins the context under a name that nothing else has. */
function withExtra(directory: string, text: string, ignore?: string): BuildSource {
  const dockerfile = `.dockerfile.${randomBytes(10).toString("hex")}`;
  const extraFiles: Record<string, string> = { [dockerfile]: text };
  if (ignore !== undefined) extraFiles[`${dockerfile}.dockerignore`] = ignore;
  return { tar: packContext(directory, { dockerfile, ignore, extraFiles }), dockerfile };
}

async function textOf(stream: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

/** A file beside the one that isn't there whose name is nearly the same. */
function meantFile(path: string): string {
  const beside = existsSync(dirname(path)) ? readdirSync(dirname(path)) : [];
  const meant = nearest(basename(path), beside);
  return meant === undefined ? "" : ` (did you mean ${meant}?)`;
}
