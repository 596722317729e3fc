/**
 * moby.buildkit.v1.frontend.LLBBridge: docker buildx opens a build by Control.Solve and then says by these calls
 * what to build; the calls name the build in a header. What it asks for is done when it returns it as the result.
 */
import { create } from "@bufbuild/protobuf";
import { Code, ConnectError, type HandlerContext, type ServiceImpl } from "@connectrpc/connect";
import { newId } from "../../../lib/ids.ts";
import type { DockerfileBuild } from "./frontend.ts";
import type { Job } from "./job.ts";
import {
  InputsResponseSchema,
  type LLBBridge,
  PongResponseSchema,
  type Result,
  ReturnResponseSchema,
  SolveResponseSchema,
  WarnResponseSchema,
} from "./proto/gateway_pb.ts";
import { Rendezvous } from "./rendezvous.ts";
import { connectError } from "./source.ts";
import { workerRecord } from "./worker.ts";

const buildHeader = "buildkit-controlapi-buildid";

/** Abilities that clients ask for by name before they use them. */
const abilities = [
  "solve.base",
  "solve.inlinereturn",
  "return",
  "returnmap",
  "proto.refarray",
  "frontend.inputs",
  "gateway.warnings",
];

interface OpenBuild {
  job: Job;
  /** What was asked for so far, by the reference given out for it. */
  asked: Map<string, DockerfileBuild>;
  returned: PromiseWithResolvers<DockerfileBuild | undefined>;
}

export class Gateway {
  readonly #open = new Rendezvous<OpenBuild>("build");

  /** @param parse what to build, from a front end's name and attributes */
  constructor(
    private readonly parse: (frontend: string, attributes: Record<string, string>) => DockerfileBuild,
  ) {}

  /**
   * What the client wants built in the end; undefined: nothing.
   * @throws ConnectError what the client gave up with, or when `signal` aborts
   */
  async serve(job: Job, signal: AbortSignal): Promise<DockerfileBuild | undefined> {
    const open: OpenBuild = { job, asked: new Map(), returned: Promise.withResolvers() };
    const aborted = () => open.returned.reject(new ConnectError("context canceled", Code.Canceled));
    signal.addEventListener("abort", aborted);
    if (signal.aborted) aborted();
    this.#open.set(job.ref, open);
    try {
      return await open.returned.promise;
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
          llbCaps: ["exporter.multiple", "exporter.image.attestations"].map((id) => ({ id, enabled: true })),
          workers: [workerRecord()],
        });
      },

      solve: async ({ frontend, frontendOpt }, context) => {
        const { asked } = await this.#of(context);
        const id = newId();
        asked.set(id, this.parse(frontend, frontendOpt));
        return create(SolveResponseSchema, { result: { result: { case: "ref", value: { id } } } });
      },

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
