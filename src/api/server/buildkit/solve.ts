/** A build that BuildKit's clients ask for, given to the engine. */
import type { Readable } from "node:stream";
import type { BuildEvent, BuildResult } from "../../../build/types.ts";
import type { BuildTree, Engine } from "../../../engine/types.ts";
import { NotImplemented } from "../../../lib/errors.ts";
import { sessionCredentials } from "./credentials.ts";
import { sendBytes, sendTree } from "./file-send.ts";
import { fillFrom } from "./fill.ts";
import type { DockerfileBuild } from "./frontend.ts";
import type { Job } from "./job.ts";
import { pushTags } from "./push.ts";
import { sessionSecret, sessionSsh } from "./secrets.ts";
import type { Session } from "./session.ts";
import { pullUpload } from "./upload.ts";

/** What becomes of the result: an image with names, or files that go to the client. */
export type Output =
  | { kind: "image"; tags: string[]; push: boolean }
  | { kind: "directory" }
  | { kind: "tar" };

/** @throws NotImplemented for what is none of these */
export function parseOutputs(exporters: readonly { type: string; attrs: Record<string, string> }[]): Output {
  const [exporter, ...more] = exporters;
  if (!exporter) return { kind: "image", tags: [], push: false };
  if (more.length > 0) throw new NotImplemented("several outputs of one build are not supported yet");
  const { type, attrs } = exporter;
  switch (type) {
    case "moby":
    case "image":
      return {
        kind: "image",
        tags: (attrs.name ?? "").split(",").filter(Boolean),
        push: attrs.push === "true",
      };
    case "local":
      return { kind: "directory" };
    case "tar":
      return { kind: "tar" };
    default:
      throw new NotImplemented(`the output type=${type} is not supported yet: image, local and tar are`);
  }
}

/**
 * @returns the image, when one is wanted
 * @throws what the build throws; Cancelled when the job, the session or `signal` ended it
 */
export async function solve(
  engine: Engine,
  { job, session, build, output, archive }: SolveParts,
  signal: AbortSignal,
): Promise<BuildResult | undefined> {
  const fill = fillFrom(session, build, (source) => {
    job.source = source;
  });
  const options = {
    ...build.options,
    dockerfile: { path: build.filename },
    credentials: sessionCredentials(session) ?? build.options.credentials,
    secret: sessionSecret(session),
    ssh: sessionSsh(session, engine.builds.runDirectory),
  };
  const stop = AbortSignal.any([signal, job.signal, session.closed]);
  const upload = build.upload === undefined ? undefined : pullUpload(session, build.upload, stop);
  const files = archive ?? upload ?? fill;
  const show = (event: BuildEvent) => job.show(event);
  if (output.kind === "image") {
    const { tags, push } = output;
    const image = await engine.builds.build(files, { ...options, tags }, show, stop);
    if (push) await pushTags(engine, tags, options.credentials, show, stop);
    return image;
  }
  const take: BuildTree = (root, tar, signal) =>
    output.kind === "directory" ? sendTree(session, root, signal) : sendBytes(session, tar(), signal);
  await engine.builds.buildTree(files, options, take, show, stop);
  return undefined;
}

export interface SolveParts {
  job: Job;
  session: Session;
  build: DockerfileBuild;
  output: Output;
  /** The context, when it doesn't come from the session. */
  archive?: Readable;
}
