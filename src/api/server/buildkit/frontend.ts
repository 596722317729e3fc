/** The attributes by which BuildKit's clients ask for a Dockerfile build (`dockerfile.v0`), as a request. */
import * as v from "valibot";
import { cacheSourceOf, parseAttestations, parseCacheSource } from "../../../build/index.ts";
import type { BuildRequest, CacheSource } from "../../../build/types.ts";
import { InvalidParameter, NotImplemented } from "../../../lib/errors.ts";
import { platformsOf } from "../build.ts";
import { parseJson, validate } from "../exchange.ts";
import { field, parsePlatformList, stringMap } from "../fields.ts";

/** Where a context is: a directory of the client's by its name, or an image. */
export type ContextSource = { local: string } | { image: string };

export interface DockerfileBuild {
  /** The client's names of the directories with Dockerfile and context. */
  dockerfileDirectory: string;
  contextDirectory: string;
  /** Instead of these directories: the path of an archive that the client offers, Dockerfile and all. */
  upload?: string;
  /** Below the Dockerfile's directory. */
  filename: string;
  contexts: Record<string, ContextSource>;
  options: Omit<BuildRequest, "contextDir" | "dockerfile" | "contexts" | "tags" | "secret" | "ssh">;
}

/** Attributes that ask for something that isn't there; `true` when the value does. */
const refused: Record<string, (value: string) => boolean> = {
  "cgroup-parent": (value) => value !== "",
  contextsubdir: (value) => value !== "",
  requestid: (value) => value !== "",
};

/** @throws InvalidParameter, NotImplemented */
export function parseFrontend(attributes: Record<string, string>): DockerfileBuild {
  for (const [name, asks] of Object.entries(refused)) {
    if (name in attributes && asks(attributes[name]!))
      throw new NotImplemented(`${name}=${attributes[name]} is not supported for builds yet`);
  }
  const noCache = attributes["no-cache"];
  if (noCache) throw new NotImplemented("no-cache for some stages only is not supported yet");
  return {
    dockerfileDirectory: attributes.dockerfilekey || "dockerfile",
    ...mainContext(attributes),
    filename: attributes.filename || "Dockerfile",
    contexts: Object.fromEntries(
      Object.entries(withPrefix(attributes, "context:")).map(([name, value]) => [
        name,
        contextSource(name, value),
      ]),
    ),
    options: {
      buildArgs: withPrefix(attributes, "build-arg:"),
      labels: withPrefix(attributes, "label:"),
      target: attributes.target || undefined,
      ...platformsOf(
        parsePlatformList(attributes.platform ?? ""),
        /^(1|true)$/i.test(attributes["multi-platform"] ?? ""),
      ),
      noCache: noCache !== undefined,
      pull: attributes["image-resolve-mode"] === "pull",
      networkMode: attributes["force-network-mode"] || "default",
      attestations: parseAttestations(withPrefix(attributes, "attest:")),
      cacheFrom: cacheImports(attributes),
      extraHosts: list(attributes["add-hosts"]).map((entry) => entry.replace("=", ":")),
      shmSize: number(attributes, "shm-size"),
      limits: {},
      ulimits: list(attributes.ulimit).map(parseUlimit),
    },
  };
}

/** Where clients say an archive of theirs is to be had. */
const uploadPrefix = "http://buildkit-session";

function mainContext(attributes: Record<string, string>): { contextDirectory: string; upload?: string } {
  const { context, contextkey } = attributes;
  const contextDirectory = contextkey || "context";
  if (!context) return { contextDirectory };
  if (context.startsWith("local:")) return { contextDirectory: context.slice("local:".length) };
  if (context.startsWith(`${uploadPrefix}/`))
    return { contextDirectory, upload: context.slice(uploadPrefix.length) };
  throw new NotImplemented(`the context ${context} is not supported for builds yet: give a directory`);
}

function contextSource(name: string, value: string): ContextSource {
  const [, scheme, rest] = /^([a-z-]+):(?:\/\/)?(.*)$/.exec(value) ?? [];
  if (scheme === "local" && rest) return { local: rest };
  if (scheme === "docker-image" && rest) return { image: rest };
  throw new NotImplemented(`the build context ${name}=${value} is not supported yet`);
}

function withPrefix(attributes: Record<string, string>, prefix: string): Record<string, string> {
  return Object.fromEntries(
    Object.entries(attributes)
      .filter(([name]) => name.startsWith(prefix))
      .map(([name, value]) => [name.slice(prefix.length), value]),
  );
}

const importsSchema = v.array(v.object({ Type: v.string(), Attrs: field(stringMap, {}) }));

/** `cache-imports` is JSON; `cache-from`, of older clients, a list of references. */
function cacheImports(attributes: Record<string, string>): CacheSource[] {
  const text = attributes["cache-imports"];
  if (!text) return list(attributes["cache-from"]).map(cacheSourceOf);
  return validate(importsSchema, parseJson(text, "invalid cache-imports")).flatMap(
    ({ Type, Attrs }) => parseCacheSource(Type, Attrs) ?? [],
  );
}

const list = (value: string | undefined) => (value ? value.split(",").filter(Boolean) : []);

function number(attributes: Record<string, string>, name: string): number | undefined {
  const value = attributes[name];
  if (!value) return undefined;
  if (!/^\d+$/.test(value))
    throw new InvalidParameter(`invalid ${name}: ${JSON.stringify(value)} is no number`);
  return Number(value) || undefined;
}

/** `nofile=1024:2048` */
function parseUlimit(text: string): { name: string; soft: number; hard: number } {
  const [, name, soft, hard] = /^([a-z]+)=(-?\d+)(?::(-?\d+))?$/.exec(text) ?? [];
  if (!name) throw new InvalidParameter(`invalid ulimit ${JSON.stringify(text)}: name=soft[:hard] is wanted`);
  return { name, soft: Number(soft), hard: Number(hard ?? soft) };
}
