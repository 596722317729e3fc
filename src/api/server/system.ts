/** System endpoints (Engine API, tag "System"). */
import { release } from "node:os";
import type { EngineEvent } from "../../engine/types.ts";
import { InvalidParameter, Unauthorized } from "../../lib/errors.ts";
import { authSchema, registryConfig, toCredentials } from "./auth.ts";
import { summary } from "./encode-container.ts";
import { imageSummary } from "./encode-image.ts";
import { encodeInfo, version } from "./encode-info.ts";
import type { Exchange } from "./exchange.ts";
import { newest, oldest, type Route } from "./router.ts";
import { parseTimestamp, rfc3339 } from "./times.ts";
import { encodeVolume } from "./volumes.ts";

const noCache = { "cache-control": "no-cache, no-store, must-revalidate", pragma: "no-cache" };
const pingHeaders = ({ engine }: Exchange) => ({
  ...noCache,
  "builder-version": "2",
  swarm: "inactive",
  "docker-experimental": String(engine.experimental),
});
const goArchitecture = process.arch === "x64" ? "amd64" : process.arch;

export const systemRoutes: Route[] = [
  { method: "GET", path: "/_ping", handle: (x) => x.plain("OK", 200, pingHeaders(x)) },
  { method: "HEAD", path: "/_ping", handle: (x) => x.plain("", 200, pingHeaders(x)) },
  {
    method: "GET",
    path: "/version",
    handle(x) {
      const info = x.engine.info();
      const details = {
        ApiVersion: `1.${newest}`,
        MinAPIVersion: `1.${oldest}`,
        Arch: goArchitecture,
        BuildTime: "",
        GitCommit: "",
        GoVersion: `bun ${Bun.version}`,
        KernelVersion: release(),
        Os: "linux",
      };
      const answer = {
        Platform: { Name: "Gantry" },
        Components: [
          {
            Name: "Engine",
            Version: version,
            Details: { ...details, Experimental: String(info.experimental) },
          },
          { Name: info.defaultRuntime, Version: info.runtimeVersion, Details: {} },
        ],
        Version: version,
        Experimental: info.experimental,
        ...details,
      };
      x.versioned(answer, "version");
    },
  },
  // There are none to have; clients that look for them go on.
  { method: "GET", path: "/plugins", handle: (x) => x.json([]) },
  {
    method: "GET",
    path: "/info",
    handle: (x) => x.versioned(encodeInfo(x.engine.info(), x.version), "info"),
  },
  {
    method: "POST",
    path: "/auth",
    async handle(x) {
      const body = await x.body(authSchema);
      const credentials = toCredentials(body);
      if (!credentials) throw new Unauthorized("no credentials given");
      const domain = (body.serveraddress || "docker.io").replace(/^https?:\/\//, "").replace(/\/.*$/, "");
      if (!/^(?:[\w.-]+|\[[\da-fA-F:]+\])(?::\d{1,5})?$/.test(domain))
        throw new InvalidParameter(
          `invalid registry address ${JSON.stringify(body.serveraddress)}: host[:port] is wanted`,
        );
      const { status, identityToken } = await x.engine.images.login(domain, credentials);
      x.json({ Status: status, IdentityToken: identityToken ?? "" });
    },
  },
  {
    method: "GET",
    path: "/events",
    async handle(x) {
      const since = parseTimestamp(x.text("since"));
      const until = parseTimestamp(x.text("until"));
      if (since !== undefined && until !== undefined && until < since)
        throw new InvalidParameter(
          `\`since\` time (${x.text("since")}) cannot be after \`until\` time (${x.text("until")})`,
        );
      const events = x.engine.events.subscribe(
        { since, until, filters: x.filters, observes: x.observes },
        x.signal,
      );
      const output = x.open("application/json");
      for await (const event of events) await output.write(`${JSON.stringify(encodeEvent(event))}\n`);
      output.end();
    },
  },
  {
    // Gantry's own: Docker has nothing like it.
    method: "POST",
    path: "/gantry/check",
    async handle(x) {
      const report = await x.engine.check({
        repair: x.flag("repair"),
        auth: registryConfig(x),
        signal: x.signal,
      });
      x.json({
        Blobs: report.blobs,
        Bytes: report.bytes,
        Problems: report.problems.map(({ kind, what, images, mended, reason }) => ({
          Kind: kind,
          What: what,
          Images: images,
          Mended: mended,
          Reason: reason ?? "",
        })),
      });
    },
  },
  {
    method: "GET",
    path: "/system/df",
    async handle(x) {
      // The parameter came with 1.42.
      const types = x.version < 42 ? [] : x.query.getAll("type");
      const wanted = (type: string) => types.length === 0 || types.includes(type);
      const usage = await x.engine.diskUsage();
      const { containers } = x.engine;
      const answer = {
        ...(wanted("image") && {
          LayersSize: usage.layersSize,
          Images: usage.images.map((image) => imageSummary(image, x.version)),
        }),
        ...(wanted("container") && {
          Containers: usage.containers.map(({ record, ...sizes }) =>
            summary(record, x.version, containers.imageDescriptor(record), sizes),
          ),
        }),
        ...(wanted("volume") && {
          Volumes: usage.volumes.map(({ record, size, refCount }) => ({
            ...encodeVolume(record),
            UsageData: { Size: size, RefCount: refCount },
          })),
        }),
        ...(wanted("build-cache") && {
          BuildCache: usage.buildCache.map((entry) => ({
            ID: entry.id,
            Parent: entry.parents[0] ?? "",
            Parents: entry.parents,
            Type: entry.type,
            Description: entry.description,
            InUse: entry.inUse,
            Shared: entry.shared,
            Size: entry.size,
            CreatedAt: rfc3339(entry.createdAt),
            LastUsedAt: rfc3339(entry.lastUsedAt),
            UsageCount: entry.usageCount,
          })),
        }),
        BuilderSize: 0,
      };
      x.versioned(answer, "disk usage");
    },
  },
];

function encodeEvent(event: EngineEvent) {
  const { type, action, actor, timeNs } = event;
  return {
    // What clients before 1.22 read.
    ...(type === "container" || type === "image" ? { status: action, id: actor.id } : {}),
    ...(type === "container" && { from: actor.attributes.image }),
    Type: type,
    Action: action,
    Actor: { ID: actor.id, Attributes: actor.attributes },
    scope: "local",
    time: Number(timeNs / 1_000_000_000n),
    timeNano: new RawNumber(timeNs),
  };
}

/** A whole number beyond what JavaScript counts exactly, written as it is. */
class RawNumber {
  constructor(private readonly value: bigint) {}
  toJSON(): unknown {
    return (JSON as unknown as { rawJSON(text: string): unknown }).rawJSON(this.value.toString());
  }
}
