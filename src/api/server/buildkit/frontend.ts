/** The attributes by which BuildKit's clients ask for a Dockerfile build (`dockerfile.v0`), as a request. */
import * as v from "valibot";
import {
  cacheSourceOf,
  parseAttestations,
  parseCacheSource,
  type Subrequest,
  subrequests,
} from "../../../build/index.ts";
import type { BuildRequest, CacheSource, LowLevel } from "../../../build/types.ts";
import { type Digest, isDigest } from "../../../lib/digest.ts";
import { InvalidParameter, NotImplemented } from "../../../lib/errors.ts";
import { own } from "../../../lib/own.ts";
import { platformsOf } from "../build.ts";
import { parseJson, validate } from "../exchange.ts";
import { field, parsePlatformList, stringMap } from "../fields.ts";
import { frontendImage } from "./front-end-names.ts";
import type { Definition } from "./proto/ops_pb.ts";

/** Where a context is. */
export type ContextSource =
  /** A directory of the client's, by its name. */
  | { local: string }
  | { image: string }
  /** A repository, an archive or a file that the engine fetches. */
  | { remote: string }
  /** An image in a directory of the client's, by its name. */
  | { store: string; digest: Digest }
  /** What another build has come to, by the reference that was given out for it. */
  | { result: string };

export interface DockerfileBuild {
  /** The client's name of the directory with the Dockerfile; undefined: it is in the context. */
  dockerfileDirectory?: string;
  /** The client's name of the directory, or what the engine fetches; undefined: there are no files. */
  contextDirectory?: string;
  remote?: string;
  /** The context is the result of another build, by its reference. */
  result?: string;
  /** Below the context's root. */
  subdirectory?: string;
  /** Instead of these directories: the path of an archive that the client offers, Dockerfile and all. */
  upload?: string;
  /** Below the Dockerfile's directory. */
  filename: string;
  /** Instead of any Dockerfile: definitions, one for each platform, and the images' configs as a front end wrote them. */
  lowLevel?: Omit<LowLevel.LowLevelBuild, "directories" | "layouts" | "parse">;
  /** What is asked about the Dockerfile, instead of a build. */
  request?: Subrequest;
  contexts: Record<string, ContextSource>;
  /** Definitions that came with it, for a front end that the Dockerfile may name. */
  inputs?: Record<string, Definition>;
  /** As the client said them. */
  attributes?: Record<string, string>;
  options: Omit<BuildRequest, "contextDir" | "dockerfile" | "contexts" | "tags" | "secret" | "ssh">;
}

/** Attributes that ask for something that isn't there; `true` when the value does. */
const refused: Record<string, (value: string) => boolean> = {
  "cgroup-parent": (value) => value !== "",
};

/**
 * @param inputs sources that the client says by low-level definitions, by the names that attributes have for them
 * @throws InvalidParameter, NotImplemented
 */
export function parseFrontend(
  attributes: Record<string, string>,
  inputs: Record<string, ContextSource> = {},
): DockerfileBuild {
  for (const [name, asks] of Object.entries(refused)) {
    if (name in attributes && asks(attributes[name]!))
      throw new NotImplemented(`${name}=${attributes[name]} is not supported for builds yet`);
  }
  const noCache = attributes["no-cache"];
  return {
    ...mainContext(attributes, inputs),
    filename: attributes.filename || "Dockerfile",
    request: requestOf(attributes.requestid),
    attributes,
    contexts: Object.fromEntries(
      Object.entries(withPrefix(attributes, "context:")).map(([name, value]) => [
        name,
        contextSource(name, value, inputs),
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
      noCache: noCache === "",
      noCacheStages: list(noCache),
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

/** A build of definitions, with nothing else said about it. */
export function lowLevelBuild(lowLevel: NonNullable<DockerfileBuild["lowLevel"]>): DockerfileBuild {
  const { options } = parseFrontend({});
  return { filename: "low-level definition", contexts: {}, lowLevel, options };
}

/** A front end by its name; `image`: one that runs in a container. @throws InvalidParameter, NotImplemented */
export function dockerfileBuild(
  frontend: string,
  attributes: Record<string, string>,
  inputs: Record<string, ContextSource> = {},
): DockerfileBuild | { image: string } {
  if (frontend === "gateway.v0") {
    const { source } = attributes;
    if (!source) throw new InvalidParameter("gateway.v0 needs the front end's image: source=IMAGE");
    const image = frontendImage(source);
    if (image) return { image };
  } else if (frontend !== "dockerfile.v0")
    throw new InvalidParameter(`frontend ${frontend} not found: dockerfile.v0 and gateway.v0 are there`);
  return parseFrontend(attributes, inputs);
}

/** The attributes that would ask for the same: what another front end is told of a build that came otherwise. */
export function attributesOf(
  { filename, remote, options }: Pick<DockerfileBuild, "filename" | "remote" | "options">,
  platform: string,
): Record<string, string> {
  const { buildArgs, labels, target, noCache, pull, networkMode, extraHosts } = options;
  const prefixed = (prefix: string, values: Record<string, string | null>) =>
    Object.entries(values).map(([name, value]): [string, string] => [`${prefix}${name}`, value ?? ""]);
  const given: [string, string | undefined][] = [
    ["filename", filename],
    ["context", remote],
    ["target", target],
    ["platform", platform],
    ["no-cache", noCache ? "" : undefined],
    ["image-resolve-mode", pull ? "pull" : undefined],
    ["force-network-mode", networkMode === "default" ? undefined : networkMode],
    ["add-hosts", extraHosts.map((entry) => entry.replace(":", "=")).join(",") || undefined],
    ...prefixed("build-arg:", buildArgs),
    ...prefixed("label:", labels),
  ];
  return Object.fromEntries(
    given.filter(
      (one): one is [string, string] => one[1] !== undefined && (one[1] !== "" || one[0] === "no-cache"),
    ),
  );
}

/** Where clients say an archive of theirs is to be had. */
const uploadPrefix = "http://buildkit-session";

type MainContext = Pick<
  DockerfileBuild,
  "dockerfileDirectory" | "contextDirectory" | "upload" | "remote" | "result" | "subdirectory"
>;

function mainContext(
  { context, contextkey, dockerfilekey, contextsubdir }: Record<string, string>,
  inputs: Record<string, ContextSource>,
): MainContext {
  const subdirectory = contextsubdir || undefined;
  if (inputs.context) {
    const { context } = inputs;
    // A local Dockerfile is told beside; an input of that name is the context again.
    const dockerfileDirectory = inputs.dockerfile ? undefined : dockerfilekey || "dockerfile";
    if ("remote" in context) return { dockerfileDirectory, remote: context.remote, subdirectory };
    if ("result" in context) return { dockerfileDirectory, result: context.result, subdirectory };
    if ("local" in context) return { dockerfileDirectory, contextDirectory: context.local, subdirectory };
    throw new NotImplemented("an image can't be the context of a build");
  }
  const local = { dockerfileDirectory: dockerfilekey || "dockerfile", subdirectory };
  if (!context) return { ...local, contextDirectory: contextkey || "context" };
  if (context.startsWith("local:")) return { ...local, contextDirectory: context.slice("local:".length) };
  if (context.startsWith(`${uploadPrefix}/`))
    return { upload: context.slice(uploadPrefix.length), subdirectory };
  // Without a directory of the client's that is named for it, the Dockerfile comes with the context.
  return { dockerfileDirectory: dockerfilekey || undefined, remote: context, subdirectory };
}

/** @throws InvalidParameter one that is not there, in BuildKit's words */
function requestOf(id: string | undefined): Subrequest | undefined {
  if (!id) return undefined;
  const found = subrequests.find((name) => id === `frontend.${name}`);
  if (!found) throw new NotImplemented(`unsupported request ${id}`);
  return found;
}

function contextSource(name: string, value: string, inputs: Record<string, ContextSource>): ContextSource {
  const [, scheme, rest] = /^([a-z-]+):(?:\/\/)?(.*)$/.exec(value) ?? [];
  if (scheme === "local" && rest) return { local: rest };
  if (scheme === "docker-image" && rest) return { image: rest };
  if (scheme === "oci-layout" && rest) {
    const [, store, digest = ""] = /^([^:@]+)(?::[^@]*)?@(.*)$/.exec(rest) ?? [];
    if (store && isDigest(digest)) return { store, digest };
    throw new InvalidParameter(`invalid build context ${name}=${value}: oci-layout://STORE@DIGEST is wanted`);
  }
  if (scheme === "input" && rest) {
    const input = own(inputs, rest);
    if (input) return input;
    throw new InvalidParameter(`no input ${rest} for the build context ${name}`);
  }
  if (scheme === "target")
    throw new InvalidParameter(`the build context ${name}=${value} names a target of bake's`);
  return { remote: value };
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
