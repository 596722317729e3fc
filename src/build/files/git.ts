/**
 * Git repositories as sources of ADD. The engine host's `git` fetches; a repository is hostile input, so it gets no
 * hooks, no configuration of the host's, no protocol that runs programs or reads the host's files, and a time limit.
 */

import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { proxyVariables } from "../../lib/outgoing.ts";
import { SourceTree } from "./tree.ts";

export interface GitSource {
  url: string;
  /** Branch, tag, full reference or commit; `HEAD` when none is named. */
  ref: string;
  subdirectory: string;
  /** Full commit or the beginning of one. */
  checksum?: string;
  keepGitDir?: boolean;
  submodules: boolean;
}

export interface GitOptions {
  /** For temporary files; made when missing. */
  directory: string;
  /**
   * A token for the repository's own host, by the names BuildKit has for it: `GIT_AUTH_TOKEN`, `GIT_AUTH_HEADER`, or
   * these with the host behind a dot.
   */
  secret?: (id: string) => Promise<Uint8Array | undefined>;
  /** Socket of the client's SSH agent. */
  sshSocket?: string;
  signal: AbortSignal;
  /** Makes the error: it knows who wanted the repository. */
  fail: (why: string) => Error;
}

const timeout = 10 * 60_000;
const commitPattern = /^[0-9a-f]{40}(?:[0-9a-f]{24})?$/;

export function isGitSource(source: string): boolean {
  return /^(?:git:\/\/|git@|ssh:\/\/)/.test(source) || /^https?:\/\/[^#?]+\.git(?:[#?].*)?$/.test(source);
}

/**
 * `URL[#REF[:DIRECTORY]]`, or with `?ref=`, `branch=`, `tag=`, `subdir=`, `checksum=`, `keep-git-dir=`,
 * `submodules=`. @throws what `fail` makes
 */
export function parseGitSource(text: string, fail: (why: string) => Error): GitSource {
  const [beforeFragment = "", fragment = ""] = text.split("#", 2);
  const [url = "", query = ""] = beforeFragment.split("?", 2);
  const parameters = new URLSearchParams(query);
  const known = ["ref", "branch", "tag", "subdir", "checksum", "commit", "keep-git-dir", "submodules"];
  for (const name of parameters.keys()) {
    if (!known.includes(name)) throw fail(`unexpected query ${JSON.stringify(name)} in ${text}`);
  }
  const branch = parameters.get("branch");
  const tag = parameters.get("tag");
  const [fragmentRef = "", fragmentDirectory = ""] = fragment.split(":", 2);
  const ref =
    fragmentRef ||
    parameters.get("ref") ||
    (branch && `refs/heads/${branch}`) ||
    (tag && `refs/tags/${tag}`) ||
    "HEAD";
  if (!/^[A-Za-z0-9._][\w./@+-]*$/.test(ref) || ref.includes("..")) {
    throw fail(`invalid Git reference ${JSON.stringify(ref)}`);
  }
  const flag = (name: string) => {
    const value = parameters.get(name);
    return value === null ? undefined : !["0", "false"].includes(value);
  };
  return {
    url,
    ref,
    subdirectory: fragmentDirectory || parameters.get("subdir") || "",
    checksum: parameters.get("checksum") ?? parameters.get("commit") ?? undefined,
    keepGitDir: flag("keep-git-dir"),
    submodules: flag("submodules") ?? true,
  };
}

/** The commit that a source means now: what its files are known by. @throws what `fail` makes */
export async function resolveCommit(source: GitSource, options: GitOptions): Promise<string> {
  const { ref, url } = source;
  let commit = commitPattern.test(ref) ? ref : undefined;
  if (commit === undefined) {
    const listing = await git(["ls-remote", "--", url, ref, `${ref}^{}`], url, options);
    const found = new Map(
      listing.split("\n").flatMap((line) => {
        const [hash, name] = line.split("\t");
        return hash && name ? [[name, hash] as const] : [];
      }),
    );
    // A branch goes before a tag of its name; an annotated tag stands for its commit.
    const names = [`${ref}^{}`, ref, `refs/heads/${ref}`, `refs/tags/${ref}^{}`, `refs/tags/${ref}`];
    commit = names.map((name) => found.get(name)).find((hash) => hash !== undefined);
  }
  if (commit === undefined || !commitPattern.test(commit)) {
    throw options.fail(`repository ${url} does not contain ref ${ref}`);
  }
  const { checksum } = source;
  if (checksum !== undefined && (!/^[0-9a-f]{4,64}$/.test(checksum) || !commit.startsWith(checksum))) {
    throw options.fail(`expected checksum to match ${checksum}, got ${commit}`);
  }
  return commit;
}

/** Checks a commit out to a tree of its own. @throws what `fail` makes */
export async function fetchCommit(
  source: GitSource,
  commit: string,
  options: GitOptions,
): Promise<SourceTree> {
  mkdirSync(options.directory, { recursive: true, mode: 0o700 });
  const root = mkdtempSync(join(options.directory, "git-"));
  const run = (...args: string[]) => git(["-C", root, ...args], source.url, options);
  await run("init", "--quiet", "--template=");
  await run("remote", "add", "--", "origin", source.url);
  const shallow = ["fetch", "--quiet", "--depth=1", "--no-tags", "origin", source.ref];
  try {
    await run(...shallow);
    await run("checkout", "--quiet", "--detach", commit);
  } catch {
    // The reference moved on, or the server gives no single commits: everything, then.
    options.signal.throwIfAborted();
    await run("fetch", "--quiet", "--tags", "origin", "+refs/heads/*:refs/remotes/origin/*");
    await run("checkout", "--quiet", "--detach", commit);
  }
  if (source.submodules) {
    const update = ["submodule", "--quiet", "update", "--init", "--recursive"];
    try {
      await run(...update, "--depth=1");
    } catch {
      // As above: plain files by http are no server that could cut a history off.
      options.signal.throwIfAborted();
      await run(...update);
    }
  }
  if (!source.keepGitDir) rmSync(join(root, ".git"), { recursive: true, force: true });
  return new SourceTree(root);
}

/** Runs git with nothing of the host's but the program. @throws what `fail` makes with what it said */
async function git(args: string[], url: string, options: GitOptions): Promise<string> {
  const { signal, fail } = options;
  if (!Bun.which("git")) throw fail("git is needed for repositories and not installed");
  signal.throwIfAborted();
  // Its own process group: transports are processes of their own, and end with it. The mask is git's for files.
  const child = spawn("/bin/sh", ["-c", 'umask 022; exec git "$@"', "git", ...args], {
    detached: true,
    env: await environment(url, options),
    stdio: ["ignore", "pipe", "pipe"],
  });
  const stop = () => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
    } catch {
      // It has ended by itself.
    }
  };
  const limit = AbortSignal.any([signal, AbortSignal.timeout(timeout)]);
  limit.addEventListener("abort", stop, { once: true });
  try {
    const exited = new Promise<number | null>((resolve, reject) => {
      child.once("error", reject);
      child.once("close", resolve);
    });
    const [out, said, code] = await Promise.all([textOf(child.stdout), textOf(child.stderr), exited]);
    signal.throwIfAborted();
    if (code !== 0) {
      const why = limit.aborted ? `no answer in ${timeout / 1000} s` : said.trim();
      throw fail(`git ${args.find((arg) => /^[a-z]/.test(arg))}: ${why}`);
    }
    return out;
  } finally {
    limit.removeEventListener("abort", stop);
    stop();
  }
}

const maxText = 1024 * 1024;

async function textOf(stream: AsyncIterable<Buffer>): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of stream) {
    if (length < maxText) chunks.push(chunk);
    length += chunk.length;
  }
  return Buffer.concat(chunks).toString();
}

/** Settings go by the environment: the process list shows arguments to everyone. */
async function environment(url: string, { secret, sshSocket }: GitOptions): Promise<Record<string, string>> {
  const settings: [string, string][] = [
    ["core.hooksPath", "/dev/null"],
    ["core.fsmonitor", "false"],
    ["credential.helper", ""],
    ["gc.auto", "0"],
    ["advice.detachedHead", "false"],
    ["http.followRedirects", "initial"],
  ];
  // Whoever else is asked on the way, such as for submodules, is not told.
  const { origin, host } = /^https?:/.test(url) ? new URL(url) : { origin: "", host: "" };
  const text = async (id: string) => {
    const bytes = (await secret?.(`${id}.${host}`)) ?? (await secret?.(id));
    return bytes && new TextDecoder().decode(bytes).trim();
  };
  const header = origin ? await text("GIT_AUTH_HEADER") : undefined;
  const token = origin && header === undefined ? await text("GIT_AUTH_TOKEN") : undefined;
  const authorization =
    header ?? (token && `basic ${Buffer.from(`x-access-token:${token}`).toString("base64")}`);
  if (authorization) settings.push([`http.${origin}/.extraHeader`, `Authorization: ${authorization}`]);
  const variables: Record<string, string> = {
    PATH: process.env.PATH ?? "/usr/bin:/bin",
    HOME: "/nonexistent",
    LC_ALL: "C",
    ...proxyVariables(),
    GIT_CONFIG_NOSYSTEM: "1",
    GIT_CONFIG_GLOBAL: "/dev/null",
    GIT_TERMINAL_PROMPT: "0",
    GIT_ALLOW_PROTOCOL: "http:https:git:ssh",
    GIT_SSH_COMMAND:
      "ssh -F /dev/null -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null",
    GIT_CONFIG_COUNT: String(settings.length),
    ...(sshSocket === undefined ? {} : { SSH_AUTH_SOCK: sshSocket }),
  };
  for (const [i, [key, value]] of settings.entries()) {
    variables[`GIT_CONFIG_KEY_${i}`] = key;
    variables[`GIT_CONFIG_VALUE_${i}`] = value;
  }
  return variables;
}
