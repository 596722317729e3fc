/**
 * moby.buildkit.v1.frontend.LLBBridge: docker buildx opens a build by Control.Solve and then says by these calls
 * what to build; the calls name the build in a header. What it asks for is done when it returns it as the result, or
 * when it wants to see files of it.
 */
import { create } from "@bufbuild/protobuf";
import { Code, ConnectError, type HandlerContext, type ServiceImpl } from "@connectrpc/connect";
import type { Engine } from "../../../engine/types.ts";
import { InvalidParameter, NotFound } from "../../../lib/errors.ts";
import { newId } from "../../../lib/ids.ts";
import { sessionCredentials } from "./credentials.ts";
import { placeOf, resultDefinition } from "./definition.ts";
import { type ContextSource, type DockerfileBuild, dockerfileBuild, lowLevelBuild } from "./frontend.ts";
import { HeldResult } from "./held-result.ts";
import type { Job } from "./job.ts";
import { parseDefinition } from "./low-level.ts";
import {
  EvaluateResponseSchema,
  InputsResponseSchema,
  type LLBBridge,
  PongResponseSchema,
  ReadDirResponseSchema,
  ReadFileResponseSchema,
  ResolveImageConfigResponseSchema,
  ReturnResponseSchema,
  type SolveRequest,
  type SolveResponse,
  SolveResponseSchema,
  StatFileResponseSchema,
  WarnResponseSchema,
} from "./proto/gateway_pb.ts";
import type { Definition } from "./proto/ops_pb.ts";
import { Rendezvous } from "./rendezvous.ts";
import { readDirectory, readFile, statFile } from "./result-files.ts";
import { resultsIn, returnedBuild } from "./returned.ts";
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
          returned.resolve(result && returnedBuild(result, asked));
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
    const build = this.#wanted(open, request);
    if (build.request) {
      const parts = { job, session, build, result: this.result };
      const told = await answer(this.engine, parts, build.request, AbortSignal.any([signal, open.signal]));
      const metadata = Object.entries(told).map(([name, text]) => [name, Buffer.from(text)]);
      return create(SolveResponseSchema, { result: { metadata: Object.fromEntries(metadata) } });
    }
    const id = this.#hold(open, build);
    if (request.evaluate) await this.result(id)?.files();
    const def = build.lowLevel ? request.definition : resultDefinition(id);
    return create(SolveResponseSchema, { ref: id, result: { result: { case: "ref", value: { id, def } } } });
  }

  /** Gives a build a reference: it is done when somebody wants to see it. */
  #hold(open: OpenBuild, build: DockerfileBuild): string {
    const { job, session } = open;
    // What it begins from stays until it has ended itself.
    for (const source of resultsIn(build)) {
      const held = this.result(source);
      if (held) open.uses.use(held.use());
    }
    const id = newId();
    open.asked.set(id, build);
    const { cacheTo: _, attestations: __, ...options } = build.options;
    const plain = { job, session, result: this.result, build: { ...build, options } };
    const held = new HeldResult(
      (outputs, signal) => solve(this.engine, plain, { outputs, internal: true }, signal),
      () => this.#results.delete(id),
    );
    this.#results.set(id, held);
    open.uses.use(held.use());
    return id;
  }

  #wanted(open: OpenBuild, request: SolveRequest): DockerfileBuild {
    const { definition, frontend, frontendOpt, frontendInputs } = request;
    if (frontend === "") {
      if (!definition || definition.def.length === 0) throw new InvalidParameter("nothing is asked for");
      return lowLevelBuild({ results: [{ definition: parseDefinition(definition) }] });
    }
    const inputs = Object.entries(frontendInputs).map(([name, input]) => [name, this.#input(open, input)]);
    return dockerfileBuild(frontend, frontendOpt, Object.fromEntries(inputs));
  }

  /** A definition that has operations of its own is a build besides. */
  #input(open: OpenBuild, input: Definition): ContextSource {
    const definition = parseDefinition(input);
    return placeOf(definition) ?? { result: this.#hold(open, lowLevelBuild({ results: [{ definition }] })) };
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
