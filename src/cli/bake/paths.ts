import { homedir } from "node:os";
import { posix } from "node:path";

/** `~/file` lies in the home of the user. */
export function expandHome(path: string): string {
  return path === "~" || path.startsWith("~/") ? posix.join(homedir(), path.slice(1)) : path;
}

/** What isn't a directory of this machine: a URL, a repository, or another kind of context. */
export function isRemote(context: string): boolean {
  return /^(?:(?!cwd:)[a-z][a-z0-9+.-]*:\/\/|git@|github\.com\/|target:)/.test(context);
}
