/** moby.buildkit.v1.Control: builds as docker buildx asks for them, and what it asks about the builder. */
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import { exporterResponse, parseCacheTarget, parseOutput } from "../../../build/index.ts";
import type { BuildResult } from "../../../build/types.ts";
import type { BuildRecord, Engine } from "../../../engine/types.ts";
import { NotImplemented } from "../../../lib/errors.ts";
import { definitionBuild } from "./definition.ts";
import { type DockerfileBuild, dockerfileBuild } from "./frontend.ts";
import type { Gateway } from "./gateway.ts";
import type { Job, Jobs } from "./job.ts";
import {
  BuildHistoryEventSchema,
  BuildHistoryEventType,
  type Control,
  DiskUsageResponseSchema,
  InfoResponseSchema,
  ListWorkersResponseSchema,
  type SolveRequest,
  type SolveResponse,
  SolveResponseSchema,
  UpdateBuildHistoryResponseSchema,
  type UsageRecord,
  UsageRecordSchema,
} from "./proto/control_pb.ts";
import type { Sessions } from "./session.ts";
import { deliveredBy, solve } from "./solve.ts";
import { connectError, toStatus } from "./source.ts";
import { buildkitVersion, workerRecord } from "./worker.ts";

export interface ControlParts {
  engine: Engine;
  sessions: Sessions;
  jobs: Jobs;
  gateway: Gateway;
}

export function controlService(parts: ControlParts): Partial<ServiceImpl<typeof Control>> {
  const { engine, jobs } = parts;
  return {
    solve: (request, { signal }) =>
      jobs.run(request.ref, async (job) => {
        try {
          return await answerSolve(parts, request, job, signal);
        } catch (error) {
          if (signal.aborted || job.signal.aborted) throw new ConnectError("context canceled", Code.Canceled);
          if (error instanceof ConnectError) throw error;
          throw connectError(toStatus(error, job.source));
        }
      }),

    async *status({ ref }, { signal }) {
      const job = await jobs.wait(ref, signal);
      yield* job.messages(signal);
    },

    listWorkers: () => create(ListWorkersResponseSchema, { record: [workerRecord()] }),

    info: () => create(InfoResponseSchema, { buildkitVersion }),

    async diskUsage({ filter }) {
      refuseFilters(filter);
      return create(DiskUsageResponseSchema, { record: await usage(engine) });
    },

    async *prune({ all, filter, keepDuration, ...limits }) {
      refuseFilters(filter);
      const before = new Map((await usage(engine)).map((record) => [record.id, record]));
      const { removed } = await engine.builds.prune({
        all,
        filters: keepDuration > 0n ? { until: [`${keepDuration / 1_000_000_000n}s`] } : {},
        reservedSpace: Number(limits.reservedSpace) || undefined,
        maxUsedSpace: Number(limits.maxUsedSpace) || undefined,
        minFreeSpace: Number(limits.minFreeSpace) || undefined,
      });
      for (const id of removed) yield before.get(id) ?? create(UsageRecordSchema, { id });
    },

    async *listenBuildHistory({ earlyExit, ref, activeOnly }, { signal }) {
      const known = engine.builds.history.list().filter(({ id }) => ref === "" || id === ref);
      for (const record of known) if (!activeOnly || record.status === "running") yield historyEvent(record);
      // What comes later is not told: clients ask again.
      if (!earlyExit)
        await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
    },

    updateBuildHistory({ ref, delete: remove }) {
      if (remove) engine.builds.history.remove(ref);
      return create(UpdateBuildHistoryResponseSchema);
    },
  };
}

/** Clients send an empty one when they have none. @throws NotImplemented */
function refuseFilters(filters: string[]): void {
  const filter = filters.find((text) => text !== "");
  if (filter) throw new NotImplemented(`the filter ${filter} is not supported for the build cache yet`);
}

async function usage({ builds }: Engine): Promise<UsageRecord[]> {
  const shown = (await builds.usage()).filter(({ empty }) => !empty);
  return shown.map((record) =>
    create(UsageRecordSchema, {
      id: record.id,
      inUse: record.inUse,
      size: BigInt(record.size),
      createdAt: timestampFromMs(record.createdAt),
      lastUsedAt: timestampFromMs(record.lastUsedAt),
      usageCount: BigInt(record.usageCount),
      description: record.description,
      recordType: record.type,
      shared: record.shared,
      parents: record.parents,
    }),
  );
}

async function answerSolve(
  { engine, sessions, gateway }: ControlParts,
  request: SolveRequest,
  job: Job,
  signal: AbortSignal,
): Promise<SolveResponse> {
  const requested = exportersOf(request).map(({ type, attrs }) => parseOutput(type, attrs));
  const session = await sessions.wait(request.session, signal);
  const work = async (build: DockerfileBuild | undefined) => {
    if (!build) return create(SolveResponseSchema);
    if (build.request)
      throw new NotImplemented("what is asked about a Dockerfile is answered by the gateway only");
    build.options.entitlements = request.entitlements;
    build.options.cacheTo = request.cache?.exports.map(({ type, attrs }) => parseCacheTarget(type, attrs));
    const outputs = deliveredBy(session, requested);
    const parts = { job, session, build, result: gateway.result };
    return solveResponse(await solve(engine, parts, { outputs, internal: request.internal }, signal));
  };
  if (request.definition && request.definition.def.length > 0)
    return work(definitionBuild(request.definition));
  // Without a front end the client says by the gateway what to build.
  return request.frontend === ""
    ? gateway.serve({ job, session }, AbortSignal.any([signal, job.signal, session.closed]), work)
    : work(dockerfileBuild(request.frontend, request.frontendAttrs));
}

/** Values are texts; documents are told in base64. */
function solveResponse(result: BuildResult): SolveResponse {
  const told = Object.entries(exporterResponse(result)).map(([name, value]): [string, string] => [
    name,
    typeof value === "string" ? value : Buffer.from(JSON.stringify(value)).toString("base64"),
  ]);
  return create(SolveResponseSchema, { exporterResponse: Object.fromEntries(told) });
}

function exportersOf({ exporters, exporterDeprecated, exporterAttrsDeprecated }: SolveRequest) {
  if (exporters.length > 0) return exporters;
  return exporterDeprecated === "" ? [] : [{ type: exporterDeprecated, attrs: exporterAttrsDeprecated }];
}

function historyEvent(record: BuildRecord) {
  const running = record.status === "running";
  return create(BuildHistoryEventSchema, {
    type: running ? BuildHistoryEventType.STARTED : BuildHistoryEventType.COMPLETE,
    record: {
      ref: record.id,
      frontend: "dockerfile.v0",
      frontendAttrs: { filename: record.dockerfile, ...(record.target && { target: record.target }) },
      error: record.error ? { code: Code.Unknown, message: record.error } : undefined,
      createdAt: timestampFromMs(record.createdAt),
      completedAt: record.completedAt === undefined ? undefined : timestampFromMs(record.completedAt),
      numCachedSteps: record.cachedSteps,
      numTotalSteps: record.totalSteps,
      numCompletedSteps: record.completedSteps,
    },
  });
}
