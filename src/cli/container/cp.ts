import type { ApiResponse } from "../../api/client/index.ts";
import { errorOf } from "../../api/client/index.ts";
import { InvalidParameter } from "../../lib/errors.ts";
import { defineCommand, exactly } from "../command.ts";
import type { CliContext } from "../context.ts";
import { humanSize } from "../format/units.ts";
import { inputStream } from "../input.ts";
import { isTerminal, stdoutFd, writeAll } from "../terminal.ts";
import { type CopySource, type PathInfo, placeCopy, splitCopyPath } from "./copy-paths.ts";

export const command = defineCommand({
  name: "container cp",
  usage: "[OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-\n\tgantry cp [OPTIONS] SRC_PATH|- CONTAINER:DEST_PATH",
  summary: "Copy files and directories between a container and this machine",
  aliases: ["container cp", "cp"],
  flags: {
    archive: { kind: "bool", short: "a", help: "Keep owners and groups" },
    "follow-link": { kind: "bool", short: "L", help: "Copy what a link at SRC_PATH leads to" },
    quiet: { kind: "bool", short: "q", help: "Don't say what was copied" },
  },
  arity: exactly(2),
  examples: ["cp web:/etc/nginx/nginx.conf .", "cp site/. web:/srv/", "cp web:/var/log - | tar t"],
  async run(context, { flags, args: [from = "", to = ""], given }) {
    const source = splitCopyPath(from);
    const target = splitCopyPath(to);
    if (source.path === "" || target.path === "")
      throw new InvalidParameter(`${source.path === "" ? "source" : "destination"} can not be empty`);
    if (source.container === "" || target.container === "")
      throw new InvalidParameter("must specify at least one container source");
    if (source.container !== undefined && target.container !== undefined)
      throw new InvalidParameter("copying between containers is not supported");
    const options = { archive: flags.archive, follow: flags["follow-link"] };
    let bytes: number | undefined;
    if (source.container !== undefined)
      bytes = await copyOut(context, source.container, source.path, target.path, options);
    else if (target.container !== undefined)
      bytes = await copyIn(context, source.path, target.container, target.path, options);
    else throw new InvalidParameter("must specify at least one container source");
    const quiet = given("quiet") ? flags.quiet : !isTerminal(stdoutFd);
    if (!quiet && bytes !== undefined)
      context.err(`Successfully copied ${humanSize(bytes, 3)} to ${target.container ? to : target.path}\n`);
    return 0;
  },
});

interface CopyOptions {
  archive: boolean;
  follow: boolean;
}

const archivePath = (container: string) => `/containers/${encodeURIComponent(container)}/archive`;
const statHeader = "x-docker-container-path-stat";

/** Go's bits of os.FileMode. */
const goDirectory = 2 ** 31;
const goSymlink = 2 ** 27;

interface PathStat {
  name: string;
  mode: number;
  linkTarget: string;
}

function statOf({ headers }: ApiResponse): PathStat {
  const text = headers[statHeader];
  if (text === undefined) throw new InvalidParameter("the engine's answer says nothing about the path");
  return JSON.parse(Buffer.from(text, "base64").toString()) as PathStat;
}

const has = (mode: number, bit: number) => Math.floor(mode / bit) % 2 === 1;

/** What is at a path of the container; undefined when there is nothing. */
async function statIn(context: CliContext, container: string, path: string): Promise<PathStat | undefined> {
  const response = await context.client.send("HEAD", archivePath(container), { query: { path } });
  if (response.status === 404) return undefined;
  if (response.status >= 300) throw await errorOf(response);
  return statOf(response);
}

/** The path behind a link, as seen from the link's directory. */
function linkedPath(path: string, target: string): string {
  return target.startsWith("/")
    ? target
    : `${path.slice(0, path.replace(/\/+$/, "").lastIndexOf("/"))}/${target}`;
}

/** @returns the bytes of the archive; nothing when it went to stdout */
async function copyOut(
  context: CliContext,
  container: string,
  path: string,
  destination: string,
  options: CopyOptions,
): Promise<number | undefined> {
  let from = path.startsWith("/") ? path : `/${path}`;
  if (options.follow) {
    const stat = await statIn(context, container, from);
    if (stat && has(stat.mode, goSymlink)) from = linkedPath(from, stat.linkTarget);
  }
  const response = await context.client.send("GET", archivePath(container), { query: { path: from } });
  if (response.status >= 300) throw await errorOf(response);
  if (destination === "-") {
    for await (const bytes of response.body) writeAll(stdoutFd, bytes);
    return undefined;
  }
  const { localDestination, unpackCopy } = await import("./copy-files.ts");
  const source: CopySource = { path, isDirectory: has(statOf(response).mode, goDirectory) };
  const local = localDestination(destination);
  const place = placeCopy(source, local.path, local.info);
  return unpackCopy(response.body, place, { owners: options.archive });
}

/** @returns the bytes of the archive; nothing when it came from stdin */
async function copyIn(
  context: CliContext,
  source: string,
  container: string,
  path: string,
  options: CopyOptions,
): Promise<number | undefined> {
  let to = path.startsWith("/") ? path : `/${path}`;
  let stat = await statIn(context, container, to);
  if (stat && has(stat.mode, goSymlink)) {
    to = linkedPath(to, stat.linkTarget);
    stat = await statIn(context, container, to);
  }
  const info: PathInfo | undefined = stat && { isDirectory: has(stat.mode, goDirectory) };
  const query = (directory: string) => ({
    path: directory,
    noOverwriteDirNonDir: true,
    copyUIDGID: options.archive ? true : undefined,
  });
  if (source === "-") {
    if (!info?.isDirectory)
      throw new InvalidParameter(`destination ${JSON.stringify(`${container}:${path}`)} must be a directory`);
    await context.client.call("PUT", archivePath(container), {
      query: query(to),
      body: inputStream(undefined),
    });
    return undefined;
  }
  const { packCopy, sourceInfo } = await import("./copy-files.ts");
  const from = sourceInfo(source, options.follow);
  const place = placeCopy(from, to, info);
  let bytes = 0;
  async function* counted() {
    for await (const chunk of packCopy(from.real, place.name)) {
      bytes += chunk.length;
      yield chunk;
    }
  }
  await context.client.call("PUT", archivePath(container), {
    query: query(place.directory),
    body: counted(),
  });
  return bytes;
}
