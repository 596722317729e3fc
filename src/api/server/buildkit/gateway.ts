/**
 * moby.buildkit.v1.frontend.LLBBridge: docker buildx opens a build by Control.Solve and then says by these calls
 * what to build; the calls name the build in a header. What it asks for is done when it returns it as the result, or
 * when it wants to see files of it.
 */
import { create } from "@bufbuild/protobuf";
import { Code, ConnectError, type HandlerContext, type ServiceImpl } from "@connectrpc/connect";
import type { Engine } from "../../../engine/types.ts";
import { NotFound } from "../../../lib/errors.ts";
import { newId } from "../../../lib/ids.ts";
import { sessionCredentials } from "./credentials.ts";
import { definitionBuild, resultDefinition, sourceOf } from "./definition.ts";
import { type DockerfileBuild, dockerfileBuild } from "./frontend.ts";
import { HeldResult } from "./held-result.ts";
import type { Job } from "./job.ts";
import {
  EvaluateResponseSchema,
  InputsResponseSchema,
  type LLBBridge,
  PongResponseSchema,
  ReadDirResponseSchema,
  ReadFileResponseSchema,
  ResolveImageConfigResponseSchema,
  type Result,
  ReturnResponseSchema,
  type SolveRequest,
  type SolveResponse,
  SolveResponseSchema,
  StatFileResponseSchema,
  WarnResponseSchema,
} from "./proto/gateway_pb.ts";
import { Rendezvous } from "./rendezvous.ts";
import { readDirectory, readFile, statFile } from "./result-files.ts";
import type { Session } from "./session.ts";
import { answer, solve } from "./solve.ts";
import { connectError } from "./source.ts";
import { workerRecord } from "./worker.ts";

const buildHeader = "buildkit-controlapi-buildid";

/** Abilities that clients ask for by name before they use them (frontend/gateway/pb/caps.go). */
const abilities = [
  "solve.base",
  "solve.inlinereturn",
  "resolveimage",
  "resolveimage.resolvemode",
  "readfile",
  "readdir",
  "statfile",
  "return",
  "returnmap",
  "proto.refarray",
  "reference.output",
  "frontend.inputs",
  "frontend.caps",
  "gateway.solve.metadata",
  "gateway.solve.evaluate",
  "gateway.evaluate",
  "gateway.warnings",
];

/** Of low-level definitions (solver/pb/caps.go): those that say one source. */
const definitionAbilities = [
  "constraints",
  "platform",
  "meta.description",
  "meta.exportcache",
  "meta.ignorecache",
  "source.image",
  "source.local",
  "source.local.sessionid",
  "source.local.unique",
  "source.git",
  "source.git.fullurl",
  "source.git.httpauth",
  "source.git.keepgitdir",
  "source.git.knownsshhosts",
  "source.git.mountsshsock",
  "source.git.subdir",
  "source.http",
  "file.base",
  "exporter.multiple",
  "exporter.image.attestations",
];

interface OpenBuild {
  job: Job;
  session: Session;
  signal: AbortSignal;
  /** What was asked for so far, by the reference given out for it. */
  asked: Map<string, DockerfileBuild>;
  /** Results that this build may need until its end. */
  uses: DisposableStack;
  returned: PromiseWithResolvers<DockerfileBuild | undefined>;
}

export class Gateway {
  readonly #open = new Rendezvous<OpenBuild>("build");
  /** Of all open builds: one may begin from what another has come to. */
  readonly #results = new Map<string, HeldResult>();

  constructor(private readonly engine: Engine) {}

  /** What a build has come to that is open, by its reference. */
  readonly result = (id: string): HeldResult | undefined => this.#results.get(id);

  /**
   * Lets the client say what it wants, and does `work` with it; undefined: nothing.
   * @throws ConnectError what the client gave up with, or when `signal` aborts; what `work` throws
   */
  async serve<T>(
    { job, session }: Pick<OpenBuild, "job" | "session">,
    signal: AbortSignal,
    work: (build: DockerfileBuild | undefined) => Promise<T>,
  ): Promise<T> {
    using uses = new DisposableStack();
    const returned = Promise.withResolvers<DockerfileBuild | undefined>();
    const open: OpenBuild = { job, session, signal, asked: new Map(), uses, returned };
    const aborted = () => returned.reject(new ConnectError("context canceled", Code.Canceled));
    signal.addEventListener("abort", aborted);
    if (signal.aborted) aborted();
    this.#open.set(job.ref, open);
    try {
      return await work(await returned.promise);
    } finally {
      signal.removeEventListener("abort", aborted);
      this.#open.delete(job.ref, open);
    }
  }

  service(): Partial<ServiceImpl<typeof LLBBridge>> {
    return {
      ping: async (_, context) => {
        await this.#of(context);
        return create(PongResponseSchema, {
          frontendApiCaps: abilities.map((id) => ({ id, enabled: true })),
          llbCaps: definitionAbilities.map((id) => ({ id, enabled: true })),
          workers: [workerRecord()],
        });
      },

      solve: async (request, context) => this.#solve(await this.#of(context), request, context.signal),

      return: async ({ result, error }, context) => {
        const { returned, asked } = await this.#of(context);
        if (error) returned.reject(connectError(error));
        else {
          const wanted = references(result).map((id) => asked.get(id));
          if (wanted.length > 1)
            returned.reject(new ConnectError("several results are not supported", Code.Unimplemented));
          else returned.resolve(wanted[0]);
        }
        return create(ReturnResponseSchema);
      },

      evaluate: async ({ ref }, context) => {
        await this.#files(ref, context);
        return create(EvaluateResponseSchema);
      },

      readFile: async ({ ref, filePath, range }, context) => {
        const { root } = await this.#files(ref, context);
        return create(ReadFileResponseSchema, { data: await readFile(root, filePath, range) });
      },

      readDir: async ({ ref, dirPath, includePattern }, context) => {
        const { root } = await this.#files(ref, context);
        return create(ReadDirResponseSchema, { entries: readDirectory(root, dirPath, includePattern) });
      },

      statFile: async ({ ref, path }, context) => {
        const { root } = await this.#files(ref, context);
        return create(StatFileResponseSchema, { stat: statFile(root, path) });
      },

      resolveImageConfig: async ({ ref, platform, resolveMode }, context) => {
        const { session, signal } = await this.#of(context);
        const image = await this.engine.builds.imageConfig(ref, {
          pull: resolveMode === "pull",
          platform: platform && { ...platform, variant: platform.variant || undefined },
          credentials: sessionCredentials(session),
          signal: AbortSignal.any([signal, context.signal]),
        });
        return create(ResolveImageConfigResponseSchema, { ...image, ref });
      },

      inputs: async (_, context) => {
        await this.#of(context);
        return create(InputsResponseSchema);
      },

      warn: async ({ short }, context) => {
        const { job } = await this.#of(context);
        job.show({ type: "warning", message: Buffer.from(short).toString("utf8") });
        return create(WarnResponseSchema);
      },
    };
  }

  async #solve(open: OpenBuild, request: SolveRequest, signal: AbortSignal): Promise<SolveResponse> {
    const { job, session } = open;
    const build = this.#asked(request);
    const parts = { job, session, build, result: this.result };
    if (build.request) {
      const told = await answer(this.engine, parts, build.request, AbortSignal.any([signal, open.signal]));
      const metadata = Object.entries(told).map(([name, text]) => [name, Buffer.from(text)]);
      return create(SolveResponseSchema, { result: { metadata: Object.fromEntries(metadata) } });
    }
    // What it begins from stays until it has ended itself.
    for (const source of Object.values(build.contexts)) {
      const held = "result" in source && this.result(source.result);
      if (held) open.uses.use(held.use());
    }
    const id = newId();
    open.asked.set(id, build);
    const { cacheTo: _, attestations: __, ...options } = build.options;
    const plain = { ...parts, build: { ...build, options } };
    const held = new HeldResult(
      (outputs, signal) => solve(this.engine, plain, { outputs, internal: true }, signal),
      () => this.#results.delete(id),
    );
    this.#results.set(id, held);
    open.uses.use(held.use());
    if (request.evaluate) await held.files();
    return create(SolveResponseSchema, {
      result: { result: { case: "ref", value: { id, def: resultDefinition(id) } } },
    });
  }

  #asked({ definition, frontend, frontendOpt, frontendInputs }: SolveRequest): DockerfileBuild {
    if (frontend === "" && definition && definition.def.length > 0) return definitionBuild(definition);
    const inputs = Object.entries(frontendInputs).map(([name, input]) => [name, sourceOf(input)]);
    return dockerfileBuild(frontend, frontendOpt, Object.fromEntries(inputs));
  }

  async #files(ref: string, context: HandlerContext) {
    await this.#of(context);
    const held = this.result(ref);
    if (!held) throw new NotFound(`no such reference: ${ref}`);
    return held.files();
  }

  #of({ requestHeader, signal }: HandlerContext): Promise<OpenBuild> {
    return this.#open.wait(requestHeader.get(buildHeader) ?? "", signal);
  }
}

function references(result: Result | undefined): string[] {
  switch (result?.result.case) {
    case "ref":
      return [result.result.value.id].filter(Boolean);
    case "refDeprecated":
      return [result.result.value].filter(Boolean);
    case "refs":
      return Object.values(result.result.value.refs).map(({ id }) => id);
    default:
      return [];
  }
}
