/** The classic builder's endpoint (Engine API, "ImageBuild") and the build cache's. */

import { posix } from "node:path";
import * as v from "valibot";
import {
  cacheSourceOf,
  parseAttestations,
  parseCacheSource,
  parseCacheTarget,
  type Subrequest,
  subrequests,
} from "../../build/index.ts";
import type { CacheSource, CacheTarget, OutputFiles } from "../../build/types.ts";
import type { BuildOptions, BuildRecord } from "../../engine/types.ts";
import { InvalidParameter, statusOf } from "../../lib/errors.ts";
import type { Platform } from "../../lib/oci.ts";
import { own } from "../../lib/own.ts";
import { hostPlatform } from "../../lib/platform.ts";
import { registryConfig } from "./auth.ts";
import { buildErrorDetail, FailedStep } from "./build-failure.ts";
import { PendingOutputs, readOutputs } from "./build-outputs.ts";
import { type BuildScreen, ClassicScreen, QuietScreen } from "./classic-screen.ts";
import { type Exchange, parseJson, validate } from "./exchange.ts";
import { field, parsePlatformList, stringMap, whole } from "./fields.ts";
import type { Route } from "./router.ts";
import { StatusScreen } from "./solve-status.ts";
import { rfc3339 } from "./times.ts";

const argsSchema = field(v.record(v.string(), v.nullable(v.string())), {});
const ulimitsSchema = field(v.array(v.object({ Name: v.string(), Soft: whole, Hard: whole })), []);

export const buildRoutes: Route[] = [
  { method: "POST", path: "/build", handle: build },
  { method: "GET", path: "/build/output/{id}", handle: (x) => pending.fetch(x) },
  {
    method: "GET",
    path: "/build/history",
    handle: (x) => x.json(x.engine.builds.history.list().map(encodeRecord)),
  },
  {
    method: "GET",
    path: "/build/history/{id}",
    handle: (x) => x.json(encodeRecord(x.engine.builds.history.get(x.params.id!))),
  },
  { method: "GET", path: "/build/history/{id}/logs", handle: replay },
  {
    method: "DELETE",
    path: "/build/history/{id}",
    handle(x) {
      x.engine.builds.history.remove(x.params.id!);
      x.empty(204);
    },
  },
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

/** Parameters of Gantry's own: names between commas. */
const list = (x: Exchange, name: string) => x.text(name).split(",").filter(Boolean);

/** What a build is asked for by query and headers; both versions of the protocol have it. @throws InvalidParameter */
export function buildOptions(x: Exchange): BuildOptions {
  const auth = registryConfig(x);
  const cgroupParent = x.text("cgroupparent") || undefined;
  if (cgroupParent?.split("/").includes("..") || /[^\w.@:/-]/.test(cgroupParent ?? ""))
    throw new InvalidParameter(`invalid cgroupparent: ${cgroupParent}`);
  if (!["", "null", "[]"].includes(x.text("securityopt")))
    throw new InvalidParameter(
      "The daemon on this platform does not support setting security options on build",
    );
  if (x.flag("squash")) throw new InvalidParameter("squash is not supported: use a multi-stage build");
  const parameter = <S extends v.GenericSchema>(name: string, schema: S) => {
    const text = x.text(name);
    return validate(schema, text === "" ? undefined : parseJson(text, `invalid ${name}`));
  };
  const number = (name: string) => x.integer(name) || undefined;
  const buildArgs = parameter("buildargs", argsSchema);
  // How clients before buildx ask for it.
  const inline = /^(?:1|t|true)$/i.test(own(buildArgs, "BUILDKIT_INLINE_CACHE") ?? "");
  const exports = parameter("cacheto", field(v.array(v.string()), []));
  return {
    dockerfile: { path: x.text("dockerfile") || "Dockerfile" },
    buildArgs,
    labels: parameter("labels", field(stringMap, {})),
    target: x.text("target") || undefined,
    ...platformsOf(parsePlatformList(x.text("platform"))),
    noCache: x.flag("nocache"),
    noCacheStages: list(x, "nocachefilter"),
    entitlements: list(x, "allow"),
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
    cacheTo: [...exports, ...(inline ? ["type=inline"] : [])].map(cacheTo),
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
  const request = { ...buildOptions(x), ...(await clientParts(x)) };
  const remote = x.text("remote");
  const { BUILDKIT_CONTEXT_KEEP_GIT_DIR: keepGitDir = "" } = request.buildArgs;
  const context =
    remote === "" ? x.request : x.engine.builds.remote(remote, /^(?:1|t|true)$/i.test(keepGitDir ?? ""));
  if (x.flag("lint")) return x.json(await x.engine.builds.lint(context, request, x.signal));
  const call = x.text("call");
  if (call !== "") return x.json(await x.engine.builds.ask(subrequestOf(call), context, request, x.signal));
  if (x.flag("check")) return x.json(await x.engine.builds.check(context, request, x.signal));
  let answer: ReturnType<Exchange["open"]> | undefined;
  const send = (message: object) => {
    answer ??= x.open("application/json");
    answer.message(message);
  };
  const outputs = readOutputs(x).map((output, Index) => ({
    output,
    deliver: (files: OutputFiles, signal: AbortSignal) =>
      pending.offer(files, (Id) => send({ aux: { Output: { Id, Index, Type: output.type } } }), signal),
  }));
  const screen = screenFor(x, send);
  const failure = new FailedStep();
  try {
    const result = await x.engine.builds.build(
      context,
      { ...request, outputs },
      (event) => {
        failure.note(event);
        if (event.type === "explanation") {
          const { type: _, ...explain } = event;
          // A message of ours: other clients don't ask for it.
          send({ explain });
        } else screen.show(event);
      },
      x.signal,
    );
    screen.succeed(result);
    answer ??= x.open("application/json");
  } catch (error) {
    screen.fail();
    const errorDetail = buildErrorDetail(error, failure);
    // Wrong input gets a status; once steps ran, the error is the last of what is shown.
    if (!answer && errorDetail.code === undefined) {
      if (errorDetail.source === undefined) throw error;
      return x.json({ message: errorDetail.message, errorDetail }, statusOf(error));
    }
    send({ errorDetail, error: errorDetail.message });
  }
  answer?.end();
}

/** @throws InvalidParameter */
function subrequestOf(call: string): Subrequest {
  const found = subrequests.find((name) => name === call);
  if (found) return found;
  throw new InvalidParameter(`invalid call ${JSON.stringify(call)}: ${subrequests.join(", ")} are there`);
}

/** How the build is told: as vertices for clients that draw them (`progress=1`), else in the classic builder's words. */
function screenFor(x: Exchange, send: (message: object) => void): BuildScreen {
  if (x.flag("progress")) return new StatusScreen(send);
  const stream = (text: string) => send({ stream: text });
  return x.flag("q") ? new QuietScreen(stream) : new ClassicScreen(stream, (aux) => send({ aux }));
}

/** What the client offers beside the request: a session for secrets and agents, and named contexts. */
async function clientParts(x: Exchange): Promise<Partial<BuildOptions>> {
  if (x.text("session") === "" && x.text("contexts") === "") return {};
  return (await import("./buildkit/index.ts")).clientParts(x);
}

/** A build of the past, as it was told when it ran. */
function replay(x: Exchange): void {
  const events = x.engine.builds.history.events(x.params.id!);
  const answer = x.open("application/json");
  let now = 0;
  const screen = new StatusScreen(
    (message) => answer.message(message),
    () => now,
  );
  for (const { at, event } of events) {
    now = at;
    screen.show(event);
  }
  answer.end();
}

function encodeRecord(record: BuildRecord) {
  return {
    ID: record.id,
    Name: record.name,
    Dockerfile: record.dockerfile,
    Target: record.target ?? "",
    Status: record.status,
    CreatedAt: rfc3339(record.createdAt),
    CompletedAt: record.completedAt === undefined ? null : rfc3339(record.completedAt),
    TotalSteps: record.totalSteps,
    CompletedSteps: record.completedSteps,
    CachedSteps: record.cachedSteps,
    Error: record.error ?? "",
  };
}
