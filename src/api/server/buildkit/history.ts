/** Builds of the past as BuildKit's clients read them: their records, and what they said. */
import { create, toBinary } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Code, type ServiceImpl } from "@connectrpc/connect";
import type { BuildHistory, BuildRecord } from "../../../engine/types.ts";
import { digestOf } from "../../../lib/digest.ts";
import { NotFound } from "../../../lib/errors.ts";
import { AsyncQueue } from "../../../lib/queue.ts";
import { pieceSize } from "../../blobs.ts";
import { VertexStream } from "./progress.ts";
import type { Content } from "./proto/content_pb.ts";
import {
  type BuildHistoryEvent,
  BuildHistoryEventSchema,
  BuildHistoryEventType,
  type BuildHistoryRequest,
  BuildResultInfoSchema,
  DescriptorSchema,
  type StatusResponse,
  StatusResponseSchema,
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
    if (wanted(record) && (!activeOnly || record.status === "running")) {
      const event = historyEvent(record, false);
      // What is beside a record is read by those who ask for that one.
      if (ref !== "" && event.record) Object.assign(event.record, attachments(history, record));
      yield event;
    }
  if (earlyExit) return;
  const end = () => events.close();
  signal.addEventListener("abort", end, { once: true });
  if (signal.aborted) end();
  yield* events;
}

/** Predicates of provenance, one a platform, and what the build has told. */
function attachments(history: BuildHistory, { id, status }: BuildRecord) {
  if (status === "running") return {};
  const described = provenanceBlobs(history, id).map(({ platform, bytes }) => ({
    platform,
    info: create(BuildResultInfoSchema, {
      attestations: [
        descriptorOf(bytes, "application/vnd.in-toto+json", { [predicateKey]: provenancePredicate }),
      ],
    }),
  }));
  const logs = descriptorOf(statusLog(history, id), "application/vnd.buildkit.status.v0");
  const [only] = described;
  if (described.length <= 1) return { logs, result: only?.info };
  const results = Object.fromEntries(described.map(({ platform, info }) => [platform, info]));
  return { logs, results };
}

const predicateKey = "in-toto.io/predicate-type";
const provenancePredicate = "https://slsa.dev/provenance/v0.2";

function descriptorOf(bytes: Uint8Array, mediaType: string, annotations: Record<string, string> = {}) {
  return create(DescriptorSchema, {
    mediaType,
    digest: digestOf(bytes),
    size: BigInt(bytes.length),
    annotations,
  });
}

function provenanceBlobs(history: BuildHistory, id: string): { platform: string; bytes: Uint8Array }[] {
  return history.provenance(id).map(({ platform: { os, architecture, variant }, body }) => ({
    platform: [os, architecture, ...(variant ? [variant] : [])].join("/"),
    bytes: Buffer.from(JSON.stringify(body, undefined, 2)),
  }));
}

function statusLog(history: BuildHistory, id: string): Uint8Array {
  const chunks: Uint8Array[] = [];
  for (const message of replay(history, id)) {
    const bytes = toBinary(StatusResponseSchema, message);
    const length = Buffer.alloc(4);
    length.writeUInt32LE(bytes.length);
    chunks.push(length, bytes);
  }
  return Buffer.concat(chunks);
}

/** What records name beside themselves, by its digest. */
export function historyContent(history: BuildHistory): Partial<ServiceImpl<typeof Content>> {
  /** Where what was looked for last is: it is read after it was asked about. */
  let last: { digest: string; bytes: Uint8Array } | undefined;
  const find = (digest: string): Uint8Array => {
    if (last?.digest === digest) return last.bytes;
    for (const { id, status } of history.list()) {
      if (status === "running") continue;
      // Logs are the longer ones: after all else.
      const blobs = [...provenanceBlobs(history, id).map(({ bytes }) => bytes), statusLog(history, id)];
      const bytes = blobs.find((one) => digestOf(one) === digest);
      if (!bytes) continue;
      last = { digest, bytes };
      return bytes;
    }
    throw new NotFound(`${digest}: not found`);
  };
  return {
    info: ({ digest }) => ({ info: { digest, size: BigInt(find(digest).length) } }),
    async *read({ digest, offset, size }) {
      const bytes = find(digest);
      const end = size > 0n ? Math.min(bytes.length, Number(offset + size)) : bytes.length;
      for (let at = Number(offset); at < end; at += pieceSize) {
        const data = Uint8Array.from(bytes.subarray(at, Math.min(end, at + pieceSize)));
        yield { offset: BigInt(at), data };
      }
    },
  };
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
