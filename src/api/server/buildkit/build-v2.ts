/**
 * `POST /build?version=2`: how the docker CLI before buildx asks for a BuildKit build. Files come over its session,
 * progress goes back in the answer's JSON stream.
 */

import type { Readable } from "node:stream";
import { toBinary } from "@bufbuild/protobuf";
import { Cancelled } from "../../../lib/errors.ts";
import { newId } from "../../../lib/ids.ts";
import { buildOptions } from "../build.ts";
import { readOutputs } from "../build-outputs.ts";
import type { Exchange, Output } from "../exchange.ts";
import { attributesOf } from "./frontend.ts";
import type { Gateway } from "./gateway.ts";
import type { Job, Jobs } from "./job.ts";
import { StatusResponseSchema } from "./proto/control_pb.ts";
import { Rendezvous } from "./rendezvous.ts";
import type { Sessions } from "./session.ts";
import { deliveredBy } from "./solve.ts";
import { buildMessage } from "./source.ts";

/** Contexts that come as an archive in a request of their own, by the build's id. */
export class Uploads extends Rendezvous<{ archive: Readable; taken: () => void }> {
  constructor() {
    super("upload");
  }

  /** Answers when a build has read the whole of it. */
  async accept(x: Exchange, id: string): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const upload = { archive: x.request, taken: resolve };
    x.signal.addEventListener("abort", () => reject(new Cancelled("the upload's client has gone")));
    this.set(id, upload);
    try {
      await promise;
    } finally {
      this.delete(id, upload);
    }
    x.empty(200);
  }
}

const uploadPrefix = "upload-request:";

export async function buildVersion2(
  x: Exchange,
  {
    sessions,
    jobs,
    uploads,
    gateway,
  }: { sessions: Sessions; jobs: Jobs; uploads: Uploads; gateway: Gateway },
): Promise<void> {
  const id = x.text("buildid");
  if (id.startsWith(uploadPrefix)) return uploads.accept(x, id.slice(uploadPrefix.length));
  const { tags, ...options } = buildOptions(x);
  const outputs = readOutputs(x);
  const remote = x.text("remote");
  const session = await sessions.wait(x.text("session"), x.signal);
  const upload = remote === "upload-request" ? await uploads.wait(id, x.signal) : undefined;
  const build = {
    ...(remote === "client-session"
      ? { dockerfileDirectory: "dockerfile", contextDirectory: "context" }
      : { remote }),
    filename: x.text("dockerfile") || "Dockerfile",
    contexts: {},
    options,
  };
  const attributes = attributesOf(build, x.text("platform"));
  await jobs.run(id || newId(), async (job) => {
    const answer = x.open("application/json");
    const shown = show(job, answer, x.signal);
    let last: object | undefined;
    let made: string | undefined;
    try {
      const stop = AbortSignal.any([x.signal, job.signal, session.closed]);
      const parts = { job, session, archive: upload?.archive, signal: stop };
      const { image } = await gateway.within(parts, (open) =>
        open.perform({ ...build, attributes }, { outputs: deliveredBy(session, outputs), tags }, x.signal),
      );
      made = image?.configDigest;
      if (made !== undefined) last = { id: "moby.image.id", aux: { ID: made } };
    } catch (error) {
      const message = job.signal.aborted ? "context canceled" : buildMessage(error);
      last = { errorDetail: { message }, error: message };
    } finally {
      upload?.taken();
      job.end();
    }
    await shown;
    if (last) answer.message(last);
    // All that a quiet client prints.
    if (made !== undefined && x.flag("q")) answer.message({ stream: `${made}\n` });
    answer.end();
  });
}

async function show(job: Job, output: Output, signal: AbortSignal): Promise<void> {
  for await (const message of job.messages(signal)) {
    const aux = Buffer.from(toBinary(StatusResponseSchema, message)).toString("base64");
    await output.write(`${JSON.stringify({ id: "moby.buildkit.trace", aux })}\r\n`);
  }
}
