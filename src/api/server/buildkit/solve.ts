/** A build that BuildKit's clients ask for, given to the engine. */
import type { Readable } from "node:stream";
import type { BuildEvent, BuildResult, Output, OutputFiles } from "../../../build/types.ts";
import type { Engine } from "../../../engine/types.ts";
import { blobDirectory, sendLayout } from "./content.ts";
import { sessionCredentials } from "./credentials.ts";
import { sendBytes, sendTrees } from "./file-send.ts";
import { fillFrom } from "./fill.ts";
import type { DockerfileBuild } from "./frontend.ts";
import type { Job } from "./job.ts";
import { sessionSecret, sessionSsh } from "./secrets.ts";
import type { Session } from "./session.ts";
import { pullUpload } from "./upload.ts";

/**
 * @throws what the build throws; Cancelled when the job, the session or `signal` ended it
 */
export async function solve(
  engine: Engine,
  { job, session, build, outputs, tags = [], archive }: SolveParts,
  signal: AbortSignal,
): Promise<BuildResult> {
  const fill = fillFrom(session, build, (source) => {
    job.source = source;
  });
  const options = {
    ...build.options,
    dockerfile: { path: build.filename },
    credentials: sessionCredentials(session) ?? build.options.credentials,
    secret: sessionSecret(session),
    ssh: sessionSsh(session, engine.builds.runDirectory),
    blobDirectory: (name: string) => blobDirectory(session, name),
  };
  const stop = AbortSignal.any([signal, job.signal, session.closed]);
  const upload = build.upload === undefined ? undefined : pullUpload(session, build.upload, stop);
  const files = archive ?? upload ?? fill;
  const requests = outputs.map((output, index) => ({
    output,
    deliver: (files: OutputFiles, signal: AbortSignal) => {
      if (output.type === "local" && files.trees) return sendTrees(session, index, files.trees, signal);
      if ("directory" in output && output.directory && files.layout)
        return sendLayout(session, files.layout, signal);
      return sendBytes(session, index, files.archive(), signal);
    },
  }));
  return engine.builds.build(
    files,
    { ...options, tags, outputs: requests },
    (event: BuildEvent) => job.show(event),
    stop,
  );
}

export interface SolveParts {
  job: Job;
  session: Session;
  build: DockerfileBuild;
  outputs: Output[];
  /** Names of the images among the outputs. */
  tags?: string[];
  /** The context, when it doesn't come from the session. */
  archive?: Readable;
}
