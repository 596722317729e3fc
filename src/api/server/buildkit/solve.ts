/** A build that BuildKit's clients ask for, given to the engine. */
import type { Readable } from "node:stream";
import { type SubrequestAnswer, syntaxOf } from "../../../build/index.ts";
import type { BuildEvent, BuildResult, Output, OutputFiles, OutputRequest } from "../../../build/types.ts";
import { BuiltElsewhere, type Engine, type FillContext } from "../../../engine/types.ts";
import { NotImplemented } from "../../../lib/errors.ts";
import { blobDirectory, sendLayout } from "./content.ts";
import { sessionCredentials } from "./credentials.ts";
import { sendBytes, sendTrees } from "./file-send.ts";
import { fillFrom } from "./fill.ts";
import { frontendImage } from "./front-end-names.ts";
import type { DockerfileBuild } from "./frontend.ts";
import type { HeldResult } from "./held-result.ts";
import type { Job } from "./job.ts";
import { sessionSecret, sessionSsh } from "./secrets.ts";
import type { Session } from "./session.ts";
import { pullUpload } from "./upload.ts";

export interface SolveParts {
  job: Job;
  session: Session;
  build: DockerfileBuild;
  /** What another build has come to, by its reference. */
  result?: (id: string) => HeldResult | undefined;
  /** The context, when it doesn't come from the session. */
  archive?: Readable;
}

export interface SolveOptions {
  outputs: OutputRequest[];
  /** Names of the images among the outputs. */
  tags?: string[];
  internal?: boolean;
}

/**
 * @throws BuiltElsewhere when the Dockerfile names another front end; what the build throws; Cancelled when the job, the session or `signal` ended it
 */
export async function solve(
  engine: Engine,
  parts: SolveParts,
  { outputs, tags = [], internal }: SolveOptions,
  signal: AbortSignal,
): Promise<BuildResult> {
  const { job, session } = parts;
  const stop = AbortSignal.any([signal, job.signal, session.closed]);
  return engine.builds.build(
    filesOf(engine, parts, stop),
    { ...optionsOf(engine, parts), tags, outputs, internal, id: job.ref },
    (event: BuildEvent) => {
      // That a result is kept for others is no step for people.
      if (!(internal && "id" in event && event.id.startsWith("export"))) job.show(event);
    },
    stop,
  );
}

/** Answers what is asked about a Dockerfile; nothing is built. @throws as `solve` */
export async function answer(
  engine: Engine,
  parts: SolveParts,
  request: NonNullable<DockerfileBuild["request"]>,
  signal: AbortSignal,
): Promise<SubrequestAnswer> {
  const stop = AbortSignal.any([signal, parts.job.signal, parts.session.closed]);
  return engine.builds.ask(
    request,
    filesOf(engine, parts, stop),
    { ...optionsOf(engine, parts), tags: [] },
    stop,
  );
}

function filesOf(
  engine: Engine,
  { job, session, build, archive, result = () => undefined }: SolveParts,
  stop: AbortSignal,
): FillContext {
  const brought = build.upload === undefined ? archive : pullUpload(session, build.upload, stop);
  const onSource = (source: { filename: string; text: string }) => {
    job.source = source;
    const syntax = build.options.buildArgs.BUILDKIT_SYNTAX || syntaxOf(source.text);
    const image = syntax && frontendImage(syntax);
    if (!image) return;
    // It is read once, and has been.
    if (brought)
      throw new NotImplemented(`the front end ${image} can't be given an archive: send a directory instead`);
    throw new BuiltElsewhere(image, syntax);
  };
  return fillFrom({ engine, session, result, onSource, archive: brought }, build);
}

function optionsOf(engine: Engine, { session, build }: SolveParts) {
  return {
    ...build.options,
    dockerfile: { path: build.filename },
    attributes: build.attributes,
    credentials: sessionCredentials(session) ?? build.options.credentials,
    secret: sessionSecret(session),
    ssh: sessionSsh(session, engine.builds.runDirectory),
    blobDirectory: (name: string) => blobDirectory(session, name),
  };
}

/** Outputs that go to the client over its session. */
export function deliveredBy(session: Session, outputs: readonly Output[]): OutputRequest[] {
  return outputs.map((output, index) => ({
    output,
    deliver: (files: OutputFiles, signal: AbortSignal) => {
      if (output.type === "local" && files.trees) return sendTrees(session, index, files.trees, signal);
      if ("directory" in output && output.directory && files.layout)
        return sendLayout(session, files.layout, signal);
      return sendBytes(session, index, files.archive(), signal);
    },
  }));
}
