/** The classic builder's endpoint (Engine API, "ImageBuild") and the build cache's. */
import { posix } from "node:path";
import * as v from "valibot";
import {
  cacheSourceOf,
  exporterResponse,
  parseAttestations,
  parseCacheSource,
  parseCacheTarget,
} from "../../build/index.ts";
import type { CacheSource, CacheTarget, OutputFiles } from "../../build/types.ts";
import type { BuildOptions } from "../../engine/types.ts";
import { InvalidParameter, statusOf } from "../../lib/errors.ts";
import type { Platform } from "../../lib/oci.ts";
import { hostPlatform } from "../../lib/platform.ts";
import { familiar, parseReference } from "../../lib/reference.ts";
import { registryConfig } from "./auth.ts";
import { buildErrorDetail, FailedStep } from "./build-failure.ts";
import { PendingOutputs, readOutputs } from "./build-outputs.ts";
import { ClassicScreen } from "./classic-screen.ts";
import { type Exchange, parseJson, validate } from "./exchange.ts";
import { field, parsePlatformList, stringMap, whole } from "./fields.ts";
import type { Route } from "./router.ts";

const argsSchema = field(v.record(v.string(), v.nullable(v.string())), {});
const ulimitsSchema = field(v.array(v.object({ Name: v.string(), Soft: whole, Hard: whole })), []);

export const buildRoutes: Route[] = [
  { method: "POST", path: "/build", handle: build },
  { method: "GET", path: "/build/output/{id}", handle: (x) => pending.fetch(x) },
  {
    method: "POST",
    path: "/build/cancel",
    handle: async (x) => (await import("./buildkit/index.ts")).cancelBuild(x),
  },
  {
    method: "POST",
    path: "/session",
    handle: async (x) => (await import("./buildkit/index.ts")).openSession(x),
  },
  { method: "POST", path: "/grpc", handle: async (x) => (await import("./buildkit/index.ts")).openGrpc(x) },
  {
    method: "POST",
    path: "/build/prune",
    async handle(x) {
      const { removed, bytes } = await x.engine.builds.prune({
        all: x.flag("all"),
        filters: x.filters,
        // The name before version 1.48.
        reservedSpace: x.integer("reserved-space") || x.integer("keep-storage"),
        maxUsedSpace: x.integer("max-used-space"),
        minFreeSpace: x.integer("min-free-space"),
      });
      x.json({ CachesDeleted: removed.length > 0 ? removed : null, SpaceReclaimed: bytes });
    },
  },
];

/** What a build is asked for by query and headers; both versions of the protocol have it. @throws InvalidParameter */
export function buildOptions(x: Exchange): BuildOptions {
  const auth = registryConfig(x);
  const cgroupParent = x.text("cgroupparent") || undefined;
  if (cgroupParent?.split("/").includes("..") || /[^\w.@:/-]/.test(cgroupParent ?? ""))
    throw new InvalidParameter(`invalid cgroupparent: ${cgroupParent}`);
  if (x.flag("squash")) throw new InvalidParameter("squash is not supported: use a multi-stage build");
  const parameter = <S extends v.GenericSchema>(name: string, schema: S) => {
    const text = x.text(name);
    return validate(schema, text === "" ? undefined : parseJson(text, `invalid ${name}`));
  };
  const number = (name: string) => x.integer(name) || undefined;
  return {
    dockerfile: { path: x.text("dockerfile") || "Dockerfile" },
    buildArgs: parameter("buildargs", argsSchema),
    labels: parameter("labels", field(stringMap, {})),
    target: x.text("target") || undefined,
    ...platformsOf(parsePlatformList(x.text("platform"))),
    noCache: x.flag("nocache"),
    pull: x.flag("pull"),
    networkMode: x.text("networkmode") || "default",
    extraHosts: x.query.getAll("extrahosts").flatMap((hosts) => hosts.split(",")),
    shmSize: number("shmsize"),
    limits: {
      memory: number("memory"),
      memorySwap: number("memswap"),
      cpuShares: number("cpushares"),
      cpuQuota: number("cpuquota"),
      cpuPeriod: number("cpuperiod"),
      cpusetCpus: x.text("cpusetcpus") || undefined,
      cpusetMems: x.text("cpusetmems") || undefined,
    },
    ulimits: parameter("ulimits", ulimitsSchema).map(({ Name, Soft, Hard }) => ({
      name: Name,
      soft: Soft,
      hard: Hard,
    })),
    cacheFrom: parameter("cachefrom", field(v.array(v.string()), [])).flatMap(cacheFrom),
    cacheTo: parameter("cacheto", field(v.array(v.string()), [])).map(cacheTo),
    attestations: parseAttestations(parameter("attests", field(stringMap, {}))),
    tags: x.query.getAll("t").filter(Boolean),
    credentials: async (domain: string) => auth[domain],
    cgroupParent: cgroupParent && posix.join("/", cgroupParent),
    explain: x.flag("explain"),
  };
}

/** One platform is an image alone, several go below an index. @param index that one does, too */
export function platformsOf(
  platforms: Platform[],
  index = false,
): Pick<BuildOptions, "platform" | "platforms"> {
  if (platforms.length > 1) return { platforms };
  return index ? { platforms: [platforms[0] ?? hostPlatform] } : { platform: platforms[0] };
}

/** `image`, or `type=registry,ref=image`. */
function cacheFrom(text: string): CacheSource[] {
  if (!text.includes("=")) return [cacheSourceOf(text)];
  const { type = "registry", ...attributes } = csvAttributes(text);
  return [parseCacheSource(type, attributes)].filter((source) => source !== undefined);
}

/** `type=inline`, `type=registry,ref=image,mode=max`, or an image's name. */
function cacheTo(text: string): CacheTarget {
  if (!text.includes("=")) return parseCacheTarget("registry", { ref: text });
  const { type = "registry", ...attributes } = csvAttributes(text);
  return parseCacheTarget(type, attributes);
}

function csvAttributes(text: string): Record<string, string> {
  return Object.fromEntries(
    text.split(",").map((part) => {
      const at = part.indexOf("=");
      return at < 0 ? [part, ""] : [part.slice(0, at).trim(), part.slice(at + 1)];
    }),
  );
}

const pending = new PendingOutputs();

async function build(x: Exchange): Promise<void> {
  if (x.text("version") === "2") return (await import("./buildkit/index.ts")).build(x);
  const request = buildOptions(x);
  const remote = x.text("remote");
  const { BUILDKIT_CONTEXT_KEEP_GIT_DIR: keepGitDir = "" } = request.buildArgs;
  const context =
    remote === "" ? x.request : x.engine.builds.remote(remote, /^(?:1|t|true)$/i.test(keepGitDir ?? ""));
  if (x.flag("lint")) return x.json(await x.engine.builds.lint(context, request, x.signal));
  if (x.flag("check")) return x.json(await x.engine.builds.check(context, request, x.signal));
  const quiet = x.flag("q");
  let output: ReturnType<Exchange["open"]> | undefined;
  const message = (value: object) => {
    output ??= x.open("application/json");
    output.message(value);
  };
  const stream = (text: string) => message({ stream: text });
  const outputs = readOutputs(x).map((one, Index) => ({
    output: one,
    deliver: (files: OutputFiles, signal: AbortSignal) =>
      pending.offer(files, (Id) => message({ aux: { Output: { Id, Index, Type: one.type } } }), signal),
  }));
  const screen = new ClassicScreen(quiet ? () => {} : stream);
  const failure = new FailedStep();
  try {
    const { image } = await x.engine.builds.build(
      context,
      { ...request, outputs },
      (event) => {
        failure.note(event);
        if (event.type === "explanation") {
          const { type: _, ...explain } = event;
          output ??= x.open("application/json");
          // A message of ours: other clients don't ask for it.
          output.message({ explain });
        } else screen.show(event);
      },
      x.signal,
    );
    // The place of the ID is Docker's, and what else is known of the image is beside it.
    if (image && !quiet) message({ aux: { ID: image.configDigest, Metadata: exporterResponse(image) } });
    screen.listChecks();
    if (image && quiet) message({ stream: `${image.configDigest}\n` });
    else if (image) {
      stream(`Successfully built ${image.configDigest.slice(7, 19)}\n`);
      for (const name of image.names) stream(`Successfully tagged ${familiar(parseReference(name))}\n`);
    }
    output ??= x.open("application/json");
  } catch (error) {
    screen.finish();
    const errorDetail = buildErrorDetail(error, failure);
    // Wrong input gets a status; once steps ran, the error is the last of what is shown.
    if (!output && errorDetail.code === undefined) {
      if (errorDetail.source === undefined) throw error;
      return x.json({ message: errorDetail.message, errorDetail }, statusOf(error));
    }
    output ??= x.open("application/json");
    output.message({ errorDetail, error: errorDetail.message });
  }
  output.end();
}
