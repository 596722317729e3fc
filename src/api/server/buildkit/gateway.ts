/**
 * moby.buildkit.v1.frontend.LLBBridge: docker buildx opens a build by Control.Solve and then says by these calls
 * what to build; the calls name the build in a header. What it asks for is done when it returns it as the result, or
 * when it wants to see files of it. Front ends in containers have the same calls.
 */
import { create } from "@bufbuild/protobuf";
import {
  Code,
  ConnectError,
  type ConnectRouter,
  type HandlerContext,
  type ServiceImpl,
} from "@connectrpc/connect";
import type { Engine } from "../../../engine/types.ts";
import { NotFound } from "../../../lib/errors.ts";
import { definitionAbilities, gatewayAbilities } from "./abilities.ts";
import { sessionCredentials } from "./credentials.ts";
import type { DockerfileBuild } from "./frontend.ts";
import type { HeldResult } from "./held-result.ts";
import { type Asker, OpenBuild, type OpenBuildParts } from "./open-build.ts";
import {
  EvaluateResponseSchema,
  InputsResponseSchema,
  LLBBridge,
  NewContainerResponseSchema,
  PongResponseSchema,
  ReadDirResponseSchema,
  ReadFileResponseSchema,
  ReleaseContainerResponseSchema,
  ResolveImageConfigResponseSchema,
  ResolveSourceMetaResponseSchema,
  type Result,
  ReturnResponseSchema,
  SolveResponseSchema,
  StatFileResponseSchema,
  WarnResponseSchema,
} from "./proto/gateway_pb.ts";
import type { Platform } from "./proto/ops_pb.ts";
import { Rendezvous } from "./rendezvous.ts";
import { readDirectory, readFile, statFile } from "./result-files.ts";
import { connectError } from "./source.ts";
import { workerRecord } from "./worker.ts";

const buildHeader = "buildkit-controlapi-buildid";

export class Gateway {
  readonly #open = new Rendezvous<Asker>("build");
  readonly #results = new Map<string, HeldResult>();

  constructor(private readonly engine: Engine) {}

  /**
   * Keeps a build open, for what is asked while `work` goes on.
   * @throws what `work` throws
   */
  async within<T>(
    parts: Pick<OpenBuildParts, "job" | "session" | "entitlements" | "archive" | "signal">,
    work: (open: OpenBuild) => Promise<T>,
  ): Promise<T> {
    const routes = (asker: Asker) => (router: ConnectRouter) => {
      router.service(LLBBridge, this.service(asker));
    };
    await using open = new OpenBuild({ ...parts, engine: this.engine, results: this.#results, routes });
    return await work(open);
  }

  /**
   * What the client itself says by calls that it wants.
   * @throws ConnectError what the client gave up with, or when the build's signal aborts
   */
  async asked(open: OpenBuild): Promise<DockerfileBuild | undefined> {
    const { job, signal } = open.parts;
    const returned = Promise.withResolvers<Result | undefined>();
    const asker: Asker = { open, inputs: {}, returned };
    const aborted = () => returned.reject(new ConnectError("context canceled", Code.Canceled));
    signal.addEventListener("abort", aborted);
    if (signal.aborted) aborted();
    this.#open.set(job.ref, asker);
    open.atEnd(() => this.#open.delete(job.ref, asker));
    try {
      return open.returned(await returned.promise);
    } finally {
      signal.removeEventListener("abort", aborted);
    }
  }

  /** @param asker who is on the other side; undefined: the calls name their build in a header */
  service(asker?: Asker): Partial<ServiceImpl<typeof LLBBridge>> {
    const askerOf = async ({ requestHeader, signal }: HandlerContext): Promise<Asker> =>
      asker ?? (await this.#open.wait(requestHeader.get(buildHeader) ?? "", signal));
    const openOf = async (context: HandlerContext) => (await askerOf(context)).open;
    const filesOf = async (ref: string, context: HandlerContext) => {
      const held = (await openOf(context)).result(ref);
      if (!held) throw new NotFound(`no such reference: ${ref}`);
      return held.files();
    };
    const image = async (
      reference: string,
      platform: Platform | undefined,
      mode: string,
      context: HandlerContext,
    ) => {
      const { session, signal } = (await openOf(context)).parts;
      return this.engine.builds.imageConfig(reference, {
        pull: mode === "pull",
        platform: platform && { ...platform, variant: platform.variant || undefined },
        credentials: sessionCredentials(session),
        signal: AbortSignal.any([signal, context.signal]),
      });
    };
    return {
      ping: async (_, context) => {
        await openOf(context);
        return create(PongResponseSchema, {
          frontendApiCaps: gatewayAbilities.map((id) => ({ id, enabled: true })),
          llbCaps: definitionAbilities.map((id) => ({ id, enabled: true })),
          workers: [workerRecord()],
        });
      },

      solve: async ({ frontend, frontendOpt, frontendInputs, definition, evaluate }, context) => {
        const open = await openOf(context);
        const wanted = { frontend, attributes: frontendOpt, inputs: frontendInputs, definition };
        const signal = AbortSignal.any([context.signal, open.parts.signal]);
        const result = await open.answer(wanted, evaluate, signal);
        const ref = result.result.case === "ref" ? result.result.value.id : "";
        return create(SolveResponseSchema, { ref, result });
      },

      return: async ({ result, error }, context) => {
        const { returned } = await askerOf(context);
        if (error) returned.reject(connectError(error));
        else returned.resolve(result);
        return create(ReturnResponseSchema);
      },

      evaluate: async ({ ref }, context) => {
        await filesOf(ref, context);
        return create(EvaluateResponseSchema);
      },

      readFile: async ({ ref, filePath, range }, context) => {
        const { root } = await filesOf(ref, context);
        return create(ReadFileResponseSchema, { data: await readFile(root, filePath, range) });
      },

      readDir: async ({ ref, dirPath, includePattern }, context) => {
        const { root } = await filesOf(ref, context);
        return create(ReadDirResponseSchema, { entries: readDirectory(root, dirPath, includePattern) });
      },

      statFile: async ({ ref, path }, context) => {
        const { root } = await filesOf(ref, context);
        return create(StatFileResponseSchema, { stat: statFile(root, path) });
      },

      resolveImageConfig: async ({ ref, platform, resolveMode }, context) =>
        create(ResolveImageConfigResponseSchema, {
          ...(await image(ref, platform, resolveMode, context)),
          ref,
        }),

      resolveSourceMeta: async ({ source, platform, resolveMode }, context) => {
        const [, reference] = /^docker-image:\/\/(.*)$/.exec(source?.identifier ?? "") ?? [];
        if (reference === undefined) return create(ResolveSourceMetaResponseSchema, { source });
        const found = await image(reference, platform, resolveMode, context);
        return create(ResolveSourceMetaResponseSchema, { source, image: found });
      },

      inputs: async (_, context) =>
        create(InputsResponseSchema, { definitions: (await askerOf(context)).inputs }),

      newContainer: async (request, context) => {
        await (await openOf(context)).containers.create(request);
        return create(NewContainerResponseSchema);
      },

      releaseContainer: async ({ containerId }, context) => {
        await (await openOf(context)).containers.release(containerId);
        return create(ReleaseContainerResponseSchema);
      },

      async *execProcess(messages, context) {
        yield* (await openOf(context)).containers.exec(messages);
      },

      warn: async ({ short }, context) => {
        const { job } = (await openOf(context)).parts;
        job.show({ type: "warning", message: Buffer.from(short).toString("utf8") });
        return create(WarnResponseSchema);
      },
    };
  }
}
