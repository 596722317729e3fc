/** Builds of the past as BuildKit's clients read them: their records, and what they said. */
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Code } from "@connectrpc/connect";
import type { BuildHistory, BuildRecord } from "../../../engine/types.ts";
import { AsyncQueue } from "../../../lib/queue.ts";
import { VertexStream } from "./progress.ts";
import {
  type BuildHistoryEvent,
  BuildHistoryEventSchema,
  BuildHistoryEventType,
  type BuildHistoryRequest,
  type StatusResponse,
} from "./proto/control_pb.ts";

/** Those that are known, and then what comes until the client goes. */
export async function* listen(
  history: BuildHistory,
  { earlyExit, ref, activeOnly }: BuildHistoryRequest,
  signal: AbortSignal,
): AsyncGenerator<BuildHistoryEvent> {
  const events = new AsyncQueue<BuildHistoryEvent>();
  const wanted = ({ id }: BuildRecord) => ref === "" || id === ref;
  using _ = history.watch((record, removed) => {
    if (wanted(record)) events.push(historyEvent(record, removed));
  });
  for (const record of history.list())
    if (wanted(record) && (!activeOnly || record.status === "running")) yield historyEvent(record, false);
  if (earlyExit) return;
  const end = () => events.close();
  signal.addEventListener("abort", end, { once: true });
  if (signal.aborted) end();
  yield* events;
}

/** What a build told when it ran. @throws NotFound */
export function* replay(history: BuildHistory, ref: string): Generator<StatusResponse> {
  let now = 0;
  const stream = new VertexStream(ref, () => now);
  for (const { at, event } of history.events(ref)) {
    now = at;
    const message = stream.message(event);
    if (message) yield message;
  }
}

function historyEvent(record: BuildRecord, removed: boolean): BuildHistoryEvent {
  const type = removed
    ? BuildHistoryEventType.DELETED
    : record.status === "running"
      ? BuildHistoryEventType.STARTED
      : BuildHistoryEventType.COMPLETE;
  const code = record.status === "canceled" ? Code.Canceled : Code.Unknown;
  return create(BuildHistoryEventSchema, {
    type,
    record: {
      ref: record.id,
      frontend: "dockerfile.v0",
      frontendAttrs: {
        filename: record.dockerfile,
        ...(record.target && { target: record.target }),
        ...record.attributes,
      },
      exporters: record.exporters?.map((type) => ({ type })),
      error: record.error ? { code, message: record.error } : undefined,
      createdAt: timestampFromMs(record.createdAt),
      completedAt: record.completedAt === undefined ? undefined : timestampFromMs(record.completedAt),
      exporterResponse: record.image ? { "containerimage.digest": record.image } : {},
      numCachedSteps: record.cachedSteps,
      numTotalSteps: record.totalSteps,
      numCompletedSteps: record.completedSteps,
      numWarnings: record.warnings,
    },
  });
}
