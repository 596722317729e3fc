/** Entry of a layer worker: takes jobs by message and runs them side by side. */
import { Cancelled, GantryError, messageOf } from "../../lib/errors.ts";
import type { ArrivingFile } from "./arriving.ts";
import { jobs } from "./jobs.ts";
import type { FromWorker, JobRequest, ToWorker } from "./protocol.ts";
import { Credits, Inbox } from "./streams.ts";

interface Running {
  abort: AbortController;
  input: Inbox;
  credits: Credits;
}

/** The worker's side of the channel (HTML, "DedicatedWorkerGlobalScope"). */
declare const self: {
  postMessage(message: FromWorker, transfer?: ArrayBuffer[]): void;
  onmessage: (event: MessageEvent<ToWorker>) => void;
};

const running = new Map<number, Running>();
const post = (message: FromWorker, transfer: ArrayBuffer[] = []) => self.postMessage(message, transfer);

self.onmessage = ({ data }: MessageEvent<ToWorker>) => {
  if (data.type === "start") {
    void start(data.id, data.request);
    return;
  }
  const job = running.get(data.id);
  // What comes for a job that has ended meanwhile is of no use.
  if (!job) return;
  if (data.type === "abort") {
    const reason = new Cancelled("the operation was cancelled");
    job.abort.abort(reason);
    job.input.fail(reason);
    job.credits.fail(reason);
  } else if (data.type === "credit") job.credits.add();
  else if (data.bytes) job.input.push(data.bytes);
  else job.input.end();
};

async function start(id: number, request: JobRequest): Promise<void> {
  const abort = new AbortController();
  const input = new Inbox((buffer) => post({ type: "credit", id, buffer }, [buffer]));
  const credits = new Credits();
  running.set(id, { abort, input, credits });
  try {
    const run = jobs[request.name] as (task: JobRequest["task"], context: object) => Promise<unknown>;
    const result = await run(request.task, {
      signal: abort.signal,
      input,
      async output(bytes: Uint8Array) {
        await credits.take();
        post({ type: "output", id, bytes }, [bytes.buffer as ArrayBuffer]);
      },
      arriving: (file: ArrivingFile) => post({ type: "arriving", id, file }),
    });
    post({ type: "done", id, result });
  } catch (error) {
    post({
      type: "failed",
      id,
      kind: error instanceof GantryError ? error.kind : undefined,
      message: messageOf(error),
      code: (error as NodeJS.ErrnoException | undefined)?.code,
    });
  } finally {
    running.delete(id);
  }
}
