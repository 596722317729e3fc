/** moby.buildkit.v1.Control: builds as docker buildx asks for them, and what it asks about the builder. */
import { create } from "@bufbuild/protobuf";
import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import { exporterResponse, parseCacheSource, parseCacheTarget, parseOutput } from "../../../build/index.ts";
import type { BuildResult } from "../../../build/types.ts";
import type { Engine } from "../../../engine/types.ts";
import { NotImplemented } from "../../../lib/errors.ts";
import type { Gateway } from "./gateway.ts";
import { listen, replay } from "./history.ts";
import type { Job, Jobs } from "./job.ts";
import {
  type Control,
  DiskUsageResponseSchema,
  InfoResponseSchema,
  ListWorkersResponseSchema,
  type SolveRequest,
  type SolveResponse,
  SolveResponseSchema,
  UpdateBuildHistoryResponseSchema,
} from "./proto/control_pb.ts";
import type { Sessions } from "./session.ts";
import { deliveredBy } from "./solve.ts";
import { connectError, toStatus } from "./source.ts";
import { prune, usage } from "./usage.ts";
import { buildkitVersion, workerRecord } from "./worker.ts";

export interface ControlParts {
  engine: Engine;
  sessions: Sessions;
  jobs: Jobs;
  gateway: Gateway;
}

export function controlService(parts: ControlParts): Partial<ServiceImpl<typeof Control>> {
  const { engine, jobs, sessions } = parts;
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
      const { history } = engine.builds;
      const past = history.list().some(({ id, status }) => id === ref && status !== "running");
      if (past && !jobs.get(ref)) yield* replay(history, ref);
      else yield* (await jobs.wait(ref, signal)).messages(signal);
    },

    session: (messages, { requestHeader }) => sessions.carry(messages, requestHeader),

    listWorkers: () => create(ListWorkersResponseSchema, { record: [workerRecord()] }),

    info: () => create(InfoResponseSchema, { buildkitVersion }),

    diskUsage: async ({ filter }) => create(DiskUsageResponseSchema, { record: await usage(engine, filter) }),

    prune: (request) => prune(engine, request),

    listenBuildHistory: (request, { signal }) => listen(engine.builds.history, request, signal),

    updateBuildHistory({ ref, delete: remove }) {
      if (remove) engine.builds.history.remove(ref);
      return create(UpdateBuildHistoryResponseSchema);
    },
  };
}

async function answerSolve(
  { sessions, gateway }: ControlParts,
  request: SolveRequest,
  job: Job,
  signal: AbortSignal,
): Promise<SolveResponse> {
  const requested = exportersOf(request).map(({ type, attrs }) => parseOutput(type, attrs));
  const session = await sessions.wait(request.session, signal);
  const stop = AbortSignal.any([signal, job.signal, session.closed]);
  const { entitlements, frontend, definition } = request;
  return gateway.within({ job, session, entitlements, signal: stop }, async (open) => {
    // Without a front end the client says by the gateway what to build.
    const asks = frontend === "" && !definition?.def.length;
    const wanted = {
      frontend,
      attributes: request.frontendAttrs,
      inputs: request.frontendInputs,
      definition,
    };
    const build = asks ? await gateway.asked(open) : await open.wanted(wanted, stop);
    if (!build) return create(SolveResponseSchema);
    if (build.request)
      throw new NotImplemented("what is asked about a Dockerfile is answered by the gateway only");
    const imports = request.cache?.imports.flatMap(({ type, attrs }) => parseCacheSource(type, attrs) ?? []);
    const { cacheFrom = [] } = build.options;
    build.options = {
      ...build.options,
      entitlements,
      cacheFrom: [...cacheFrom, ...(imports ?? [])],
      cacheTo: request.cache?.exports.map(({ type, attrs }) => parseCacheTarget(type, attrs)),
    };
    const outputs = deliveredBy(session, requested);
    return solveResponse(await open.perform(build, { outputs, internal: request.internal }, signal));
  });
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
