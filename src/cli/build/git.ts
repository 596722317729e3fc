/** A Git repository as a build context: `URL[#REF[:DIRECTORY]]`. */
import { existsSync, realpathSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { InvalidParameter, Unavailable } from "../../lib/errors.ts";

/** What `URL#REF:DIRECTORY` asks for. */
export function parseGitUrl(text: string): { url: string; ref: string; directory: string } {
  const [base = "", fragment = ""] = text.split("#", 2);
  const [ref = "", directory = ""] = fragment.split(":", 2);
  const url = base.startsWith("github.com/") ? `https://${base}` : base;
  if (ref.startsWith("-") || url.startsWith("-"))
    throw new InvalidParameter(`invalid Git reference: ${text}`);
  return { url, ref: ref || "HEAD", directory };
}

/** Fetches one commit. @throws InvalidParameter, Unavailable with what git said */
export async function cloneRepository(
  text: string,
): Promise<{ directory: string; remove: () => Promise<void> }> {
  const { url, ref, directory } = parseGitUrl(text);
  const root = realpathSync(await mkdtemp(join(tmpdir(), "gantry-git-")));
  const remove = () => rm(root, { recursive: true, force: true });
  try {
    await git(root, "init", "--quiet");
    await git(root, "remote", "add", "origin", url);
    await fetch(root, ref);
    await git(root, "checkout", "--quiet", "FETCH_HEAD");
    await submodules(root);
    const place = join(root, directory);
    // A link in the repository must not lead out of it.
    if (!existsSync(place) || !`${realpathSync(place)}/`.startsWith(`${root}/`))
      throw new InvalidParameter(`unable to prepare context: no directory ${directory} in ${url}`);
    return { directory: realpathSync(place), remove };
  } catch (error) {
    await remove();
    throw error;
  }
}

/** Alone, unless the server hands out whole histories only, as one of plain files by http does. */
async function fetch(root: string, ref: string): Promise<void> {
  try {
    await git(root, "fetch", "--quiet", "--depth", "1", "origin", ref);
  } catch (error) {
    try {
      await git(root, "fetch", "--quiet", "origin", ref);
    } catch {
      throw error;
    }
  }
}

async function submodules(root: string): Promise<void> {
  const update = ["submodule", "update", "--quiet", "--init", "--recursive"];
  try {
    await git(root, ...update, "--depth=1");
  } catch {
    await git(root, ...update);
  }
}

async function git(cwd: string, ...args: string[]): Promise<void> {
  if (!Bun.which("git")) throw new Unavailable("unable to prepare context: unable to find 'git'");
  const child = Bun.spawn(["git", ...args], {
    cwd,
    env: { ...process.env, GIT_TERMINAL_PROMPT: "0", GIT_PROTOCOL_FROM_USER: "0" },
    stdin: "ignore",
    stdout: "ignore",
    stderr: "pipe",
  });
  const said = await new Response(child.stderr).text();
  if ((await child.exited) !== 0)
    throw new Unavailable(`unable to prepare context: unable to 'git ${args[0]}': ${said.trim()}`);
}
