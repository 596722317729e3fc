/** The classic builder's endpoint (Engine API, "ImageBuild") and the build cache's. */
import { posix } from "node:path";
import * as v from "valibot";
import type { BuildOptions } from "../../engine/types.ts";
import { InvalidParameter, NotImplemented, statusOf } from "../../lib/errors.ts";
import { registryConfig } from "./auth.ts";
import { buildErrorDetail, FailedStep } from "./build-failure.ts";
import { ClassicScreen } from "./classic-screen.ts";
import { type Exchange, parseJson, validate } from "./exchange.ts";
import { field, parsePlatform, stringMap, whole } from "./fields.ts";
import type { Route } from "./router.ts";

const argsSchema = field(v.record(v.string(), v.nullable(v.string())), {});
const ulimitsSchema = field(v.array(v.object({ Name: v.string(), Soft: whole, Hard: whole })), []);

export const buildRoutes: Route[] = [
  { method: "POST", path: "/build", handle: build },
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
    platform: parsePlatform(x.text("platform")),
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
    tags: x.query.getAll("t").filter(Boolean),
    credentials: async (domain: string) => auth[domain],
    cgroupParent: cgroupParent && posix.join("/", cgroupParent),
    explain: x.flag("explain"),
  };
}

async function build(x: Exchange): Promise<void> {
  if (x.text("version") === "2") return (await import("./buildkit/index.ts")).build(x);
  if (x.text("outputs") !== "") throw new NotImplemented("outputs are not supported for builds of version 1");
  const request = buildOptions(x);
  const remote = x.text("remote");
  const { BUILDKIT_CONTEXT_KEEP_GIT_DIR: keepGitDir = "" } = request.buildArgs;
  const context =
    remote === "" ? x.request : x.engine.builds.remote(remote, /^(?:1|t|true)$/i.test(keepGitDir ?? ""));
  if (x.flag("lint")) return x.json(await x.engine.builds.lint(context, request, x.signal));
  if (x.flag("check")) return x.json(await x.engine.builds.check(context, request, x.signal));
  const quiet = x.flag("q");
  let output: ReturnType<Exchange["open"]> | undefined;
  const stream = (text: string) => {
    output ??= x.open("application/json");
    output.message({ stream: text });
  };
  const screen = new ClassicScreen(quiet ? () => {} : stream);
  const failure = new FailedStep();
  try {
    const { imageId } = await x.engine.builds.build(
      context,
      request,
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
    output ??= x.open("application/json");
    if (!quiet) {
      output.message({ aux: { ID: imageId } });
      screen.listChecks();
      stream(`Successfully built ${imageId.slice(7, 19)}\n`);
      for (const tag of request.tags)
        stream(
          `Successfully tagged ${tag.includes(":", tag.lastIndexOf("/") + 1) ? tag : `${tag}:latest`}\n`,
        );
    } else stream(`${imageId}\n`);
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
