/** Sources of low-level definitions (solver/pb/attr.go): images, a client's directories, repositories, downloads. */
import { chmodSync, lchownSync } from "node:fs";
import { join, posix } from "node:path";
import { isDigest } from "../../lib/digest.ts";
import { NotImplemented } from "../../lib/errors.ts";
import { fetchCommit, type GitOptions, parseGitSource, resolveCommit } from "../files/git.ts";
import { resolveInside } from "../files/inside.ts";
import { fetchRemote } from "../files/remote.ts";
import { SourceTree } from "../files/tree.ts";
import type { ImageLayout } from "../types.ts";
import type { Output } from "./output.ts";
import type { OpRun } from "./solver.ts";
import type { SourceOp } from "./types.ts";

/** @throws NotImplemented for other schemes, InvalidParameter, NotFound */
export async function sourceOutput(run: OpRun, { identifier, attrs }: SourceOp): Promise<Output> {
  const given = run.build.layouts[identifier];
  if (given) return image(run, identifier, given);
  const [, scheme = "", rest = ""] = /^([a-z-]+):\/\/(.*)$/s.exec(identifier) ?? [];
  switch (scheme) {
    case "docker-image":
      return image(run, rest, undefined, attrs["image.resolvemode"]);
    case "oci-layout":
      return image(run, identifier, layoutOf(run, rest, attrs));
    case "local": {
      const directory = run.build.directories[run.op.id];
      if (directory === undefined) throw run.fail(`the client has given no directory ${rest}`);
      return run.directory(new SourceTree(directory));
    }
    case "git":
      return repository(run, rest, attrs);
    case "http":
    case "https":
      return download(run, identifier, attrs);
    default:
      throw new NotImplemented(`the source ${identifier} of a low-level definition is not supported`);
  }
}

async function image(run: OpRun, reference: string, layout?: ImageLayout, mode?: string): Promise<Output> {
  const { session, op, vertex } = run;
  const pull = mode === "pull" || (mode !== "local" && session.request.pull);
  const { progress: onProgress } = vertex;
  const found = await session.findImage(reference, op.platform, { layout, pull, onProgress });
  return run.layers({
    tree: session.treeOf(found),
    layers: found.layers.map((layer) => ({ base: layer })),
    history: [],
    image: found,
  });
}

/** An image in a directory of the client's: `NAME@DIGEST`. */
function layoutOf(run: OpRun, rest: string, attrs: Record<string, string>): ImageLayout {
  const [name = "", digest = ""] = rest.split("@");
  const store = attrs["oci.store"] || name;
  if (!isDigest(digest)) throw run.fail(`invalid oci-layout source ${rest}: NAME@DIGEST is wanted`);
  const directory = run.session.request.blobDirectory?.(`oci:${store}`);
  if (!directory) throw run.fail(`the client offers no directory ${store}`);
  return { directory, digest };
}

async function repository(run: OpRun, rest: string, attrs: Record<string, string>): Promise<Output> {
  const { session } = run;
  const { request, signal } = session;
  const [place = "", fragment] = rest.split("#", 2);
  const url = attrs["git.fullurl"] || `https://${place}`;
  const fail = (why: string) => run.fail(why);
  const parsed = parseGitSource(fragment === undefined ? url : `${url}#${fragment}`, fail);
  const source = { ...parsed, keepGitDir: attrs["git.keepgitdir"] === "true" };
  await using agent = await request.ssh?.(attrs["git.mountsshsock"] || "default", signal);
  const names: Record<string, string | undefined> = {
    GIT_AUTH_TOKEN: attrs["git.authtokensecret"],
    GIT_AUTH_HEADER: attrs["git.authheadersecret"],
  };
  const options: GitOptions = {
    directory: session.downloads(),
    secret: async (id) => request.secret?.(names[id] || id, signal),
    sshSocket: agent?.socket,
    signal,
    fail,
  };
  const { root } = await fetchCommit(source, await resolveCommit(source, options), options);
  const inside = resolveInside(root, source.subdirectory || ".");
  if (inside === undefined) throw run.fail(`no directory ${source.subdirectory} in ${url}`);
  return run.directory(new SourceTree(join(root, inside)));
}

async function download(run: OpRun, url: string, attrs: Record<string, string>): Promise<Output> {
  const { session, vertex } = run;
  const wanted = attrs["http.filename"];
  const name = wanted === undefined || wanted === "" ? undefined : posix.basename(wanted);
  const tree = await fetchRemote(url, session.downloads(), {
    name: name ?? (/\/$/.test(new URL(url).pathname) ? "download" : undefined),
    checksum: attrs["http.checksum"] || undefined,
    progress: vertex.progress,
    signal: session.signal,
    fail: (why) => run.fail(why),
  });
  const [file] = tree.names(".");
  const path = join(tree.root, file!);
  if (attrs["http.uid"] || attrs["http.gid"])
    lchownSync(path, Number(attrs["http.uid"] ?? 0), Number(attrs["http.gid"] ?? 0));
  if (attrs["http.perm"]) chmodSync(path, Number.parseInt(attrs["http.perm"], 8) & 0o7777);
  const output = await run.directory(tree);
  // Downloads belong to whom the definition says, not to a client's machine.
  return attrs["http.uid"] || attrs["http.gid"] ? run.directory(tree, "keep") : output;
}
