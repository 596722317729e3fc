/** A step that writes files: found in the cache, or done now, together with other builds that come to it, and kept. */
import { Workspace } from "../exec/workspace.ts";
import { proxyValues } from "../graph/scope.ts";
import { keyOf } from "./key.ts";
import type { Vertex } from "./progress.ts";
import type { CacheRecord } from "./records.ts";
import type { Tree } from "./stage.ts";
import type { StepSession } from "./step-session.ts";
import type { StepEvent } from "./works.ts";

/** For work that may go on for other builds when the one that began it has ended. */
export interface StepProgress {
  log: Vertex["log"];
  signal: AbortSignal;
}

export interface LayerWork {
  createdBy: string;
  /** It needs what only this build has, such as secrets: no other build can go on with it. */
  bound?: boolean;
  /** Nothing of what it writes is kept. */
  discard?: boolean;
  work: (workspace: Workspace, progress: StepProgress) => Promise<void> | void;
}

export interface LayerOptions {
  /** Done again, whatever is cached. */
  fresh: boolean;
  /** The record of the step before. */
  parent?: string;
  log: Vertex["log"];
  /** Called before it is done. */
  onMiss?: () => Promise<void>;
  /** As in `Wish`. */
  failure?: (error: unknown) => unknown;
}

/** @param id the step's key @param before the tree that it begins with */
export async function layerRecord(
  session: StepSession,
  id: string,
  before: Tree,
  step: LayerWork,
  options: LayerOptions,
): Promise<{ record: CacheRecord; cached: boolean }> {
  let cached = true;
  const record = await session.once(id, async () => {
    const known = options.fresh ? undefined : await session.known(id, before.snapshot);
    if (known) return known;
    cached = false;
    await options.onMiss?.();
    return shared(session, id, before, step, options);
  });
  session.use(record);
  return { record, cached };
}

/** Done together with other builds that come to the same step now. */
function shared(
  session: StepSession,
  id: string,
  before: Tree,
  step: LayerWork,
  options: LayerOptions,
): Promise<CacheRecord> {
  const { request, lease } = session;
  return session.share(
    // What a step may use is no part of the cache's key, but two steps are one only when it is the same.
    keyOf(
      id,
      request.limits,
      request.ulimits,
      request.shmSize,
      request.extraHosts,
      request.cgroupParent,
      proxyValues(request),
    ),
    options.fresh,
    {
      bound: step.bound,
      onEvent: (event) => {
        if (event.type === "log") options.log(event.stream, event.data);
        else lease.addSnapshot(event.key);
      },
      failure: options.failure,
    },
    (signal, tell) => execute(session, id, before, step, options, signal, tell),
  );
}

async function execute(
  session: StepSession,
  id: string,
  before: Tree,
  { createdBy, work, discard }: LayerWork,
  { fresh, parent }: LayerOptions,
  signal: AbortSignal,
  tell: (event: StepEvent) => void,
): Promise<CacheRecord> {
  const { store, execDir } = session.backend;
  // Another build may have come to its end meanwhile.
  const known = fresh ? undefined : session.records.find(id);
  if (known) return known;
  using workspace = Workspace.open(store.snapshots, execDir, before.snapshot);
  await work(workspace, {
    signal,
    // The bytes may be a view of a buffer that is used again.
    log: (stream, data) => tell({ type: "log", stream, data: Uint8Array.from(data) }),
  });
  signal.throwIfAborted();
  tell({ type: "snapshot", key: workspace.resultKey });
  const committed = discard ? undefined : await workspace.commit();
  const record = session.newRecord(id, {
    result: committed?.snapshot ?? before.id,
    snapshot: committed?.snapshot,
    size: committed?.size,
    description: createdBy,
    parent,
  });
  session.records.put(record);
  return record;
}
