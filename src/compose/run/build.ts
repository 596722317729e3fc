/** Building a service's image: its context goes to the engine as a tar, the steps come back as messages. */
import { randomBytes } from "node:crypto";
import { statSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { isAbsolute, join, relative } from "node:path";
import { packContext } from "../../api/client/build-context.ts";
import { GantryError, InvalidParameter } from "../../lib/errors.ts";
import { ComposeError } from "../model/errors.ts";
import { isRemoteContext } from "../model/paths.ts";
import type { BuildConfig, Project } from "../model/types.ts";
import { parseSize } from "../model/units.ts";
import { label } from "../plan/observed.ts";
import { hostList } from "../plan/request.ts";
import type { Session } from "./session.ts";

export interface BuildOptions {
  /** `NAME=value`, or `NAME` to take the caller's. */
  buildArgs?: string[];
  noCache?: boolean;
  pull?: boolean;
  /** As written: `512m`. */
  memory?: string;
  quiet?: boolean;
}

/** A line of the engine's answer, whichever kind of progress it speaks. */
interface BuildMessage {
  stream?: string;
  error?: string;
  errorDetail?: { message: string };
}

/** A build that failed; message as the engine's. */
export class BuildFailed extends GantryError {
  constructor(service: string, message: string) {
    super("internal", `failed to build ${service}: ${message}`);
  }
}

/** @throws BuildFailed, InvalidParameter for a context that isn't there */
export async function buildService(
  session: Session,
  project: Project,
  name: string,
  build: BuildConfig,
  image: string,
  options: BuildOptions,
): Promise<void> {
  const remote = isRemoteContext(build.context!);
  const source = remote ? undefined : await sourceOf(build);
  const messages = session.client.messages<BuildMessage>("POST", "/build", {
    query: {
      t: image,
      dockerfile: source?.dockerfile ?? build.dockerfile,
      remote: remote ? build.context : undefined,
      buildargs: buildArgs(session, build, options),
      labels: {
        ...build.labels,
        [label.project]: project.name,
        [label.service]: name,
        [label.version]: undefined,
      },
      target: build.target,
      networkmode: build.network,
      nocache: build.no_cache || options.noCache || undefined,
      pull: build.pull || options.pull ? 1 : undefined,
      shmsize: build.shm_size,
      memory: options.memory === undefined ? undefined : memoryOf(options.memory),
      platform: build.platforms?.[0] ?? project.services[name]?.platform,
      extrahosts: hostList(build.extra_hosts)?.join(","),
      ulimits: build.ulimits
        ? Object.entries(build.ulimits).map(([Name, value]) =>
            typeof value === "number"
              ? { Name, Soft: value, Hard: value }
              : { Name, Soft: value.soft, Hard: value.hard },
          )
        : undefined,
      rm: true,
      forcerm: true,
    },
    headers: { "Content-Type": "application/x-tar" },
    body: source ? packContext(build.context!, source) : undefined,
  });
  for await (const message of messages) {
    const error = message.errorDetail?.message ?? message.error;
    if (error) throw new BuildFailed(name, error);
    if (message.stream && !options.quiet) session.err.write(message.stream);
  }
  const [repository, ...rest] = build.tags ?? [];
  if (repository !== undefined)
    for (const tag of [repository, ...rest]) {
      const cut = tag.lastIndexOf(":");
      const hasTag = cut > tag.lastIndexOf("/");
      await session.client.call("POST", `/images/${image}/tag`, {
        query: { repo: hasTag ? tag.slice(0, cut) : tag, tag: hasTag ? tag.slice(cut + 1) : "latest" },
      });
    }
}

/** The Dockerfile's place in the context; one that lies outside or is written in the Compose file is added to it. */
async function sourceOf(
  build: BuildConfig,
): Promise<{ dockerfile: string; extraFiles?: Record<string, string> }> {
  const context = build.context!;
  if (!statSync(context, { throwIfNoEntry: false })?.isDirectory())
    throw new InvalidParameter(`unable to prepare context: path ${JSON.stringify(context)} not found`);
  const added = `.dockerfile.${randomBytes(10).toString("hex")}`;
  if (build.dockerfile_inline !== undefined)
    return { dockerfile: added, extraFiles: { [added]: build.dockerfile_inline } };
  const path = isAbsolute(build.dockerfile!) ? build.dockerfile! : join(context, build.dockerfile!);
  if (!statSync(path, { throwIfNoEntry: false })?.isFile())
    throw new InvalidParameter(`failed to read dockerfile: open ${path}: no such file or directory`);
  const inside = relative(context, path);
  if (!inside.startsWith("..")) return { dockerfile: inside };
  return { dockerfile: added, extraFiles: { [added]: await readFile(path, "utf8") } };
}

function buildArgs(
  session: Session,
  build: BuildConfig,
  options: BuildOptions,
): Record<string, string | null> {
  const given = (options.buildArgs ?? []).map((entry): [string, string | null] => {
    const cut = entry.indexOf("=");
    return cut < 0 ? [entry, session.env[entry] ?? null] : [entry.slice(0, cut), entry.slice(cut + 1)];
  });
  const all = { ...build.args, ...Object.fromEntries(given) };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== null));
}

function memoryOf(text: string): number {
  const bytes = parseSize(text);
  if (bytes === undefined) throw ComposeError.at(undefined, `invalid size: ${JSON.stringify(text)}`);
  return bytes;
}
