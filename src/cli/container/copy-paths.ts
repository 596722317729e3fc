/** Where a copy lands: `cp`'s rules about directories, trailing slashes and `/.`. Pure. */
import { InvalidParameter, NotFound } from "../../lib/errors.ts";

/** What is to be copied. */
export interface CopySource {
  path: string;
  isDirectory: boolean;
}

/** What is at the destination. */
export interface PathInfo {
  isDirectory: boolean;
}

/** The directory that the copy goes into, and the name it gets there; without one its contents go there. */
export interface CopyPlace {
  directory: string;
  name: string | undefined;
}

/** `web:/path` or a local path; a colon behind a slash or a dot belongs to the path. */
export function splitCopyPath(text: string): { container?: string; path: string } {
  if (text.startsWith("/") || text.startsWith(".")) return { path: text };
  const colon = text.indexOf(":");
  if (colon < 0 || text.slice(0, colon).startsWith(".")) return { path: text };
  return { container: text.slice(0, colon), path: text.slice(colon + 1) };
}

const saysDirectory = (path: string) => /(?:^|\/)\.?$/.test(path);
const saysContents = (path: string) => /(?:^|\/)\.$/.test(path);

/**
 * Docker's rules: into a directory that exists under the source's own name (`DIR/.`: its contents only), over a
 * file, or under the new name that the destination gives.
 * @throws InvalidParameter, NotFound
 */
export function placeCopy(source: CopySource, destination: string, info: PathInfo | undefined): CopyPlace {
  if (!source.isDirectory && saysDirectory(source.path))
    throw new InvalidParameter(`${source.path}: not a directory`);
  if (info?.isDirectory)
    return { directory: destination, name: saysContents(source.path) ? undefined : baseName(source.path) };
  if (info && saysDirectory(destination)) throw new InvalidParameter(`${destination}: not a directory`);
  if (info && source.isDirectory) throw new InvalidParameter("cannot copy directory");
  if (!info && !source.isDirectory && saysDirectory(destination))
    throw new NotFound(`${destination}: no such directory`);
  return { directory: dirName(destination), name: baseName(destination) };
}

const trimmed = (path: string) => path.replace(/(?:\/+\.?)+$/, "");

function baseName(path: string): string | undefined {
  const name = trimmed(path).split("/").at(-1);
  // The root has no name: its contents are copied.
  return name === "" || name === "." || name === ".." ? undefined : name;
}

function dirName(path: string): string {
  const clean = trimmed(path);
  const slash = clean.lastIndexOf("/");
  return slash < 0 ? "." : clean.slice(0, slash) || "/";
}
