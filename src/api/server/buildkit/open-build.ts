/** A build while its client or a front end says what to build: what was asked for, and what that has come to. */
import { create } from "@bufbuild/protobuf";
import { Code, ConnectError, type ConnectRouter } from "@connectrpc/connect";
import type { BuildResult, OutputRequest } from "../../../build/types.ts";
import { BuiltElsewhere, type Engine } from "../../../engine/types.ts";
import { InvalidParameter } from "../../../lib/errors.ts";
import { newId } from "../../../lib/ids.ts";
import { sessionCredentials } from "./credentials.ts";
import { placeOf, resultDefinition, sourceDefinition } from "./definition.ts";
import { runFrontend } from "./front-ends.ts";
import { type ContextSource, type DockerfileBuild, dockerfileBuild, lowLevelBuild } from "./frontend.ts";
import { GatewayContainers } from "./gateway-containers.ts";
import { HeldResult } from "./held-result.ts";
import type { Job } from "./job.ts";
import { parseDefinition } from "./low-level.ts";
import { type Result, ResultSchema } from "./proto/gateway_pb.ts";
import type { Definition } from "./proto/ops_pb.ts";
import { resultsIn, returnedBuild } from "./returned.ts";
import { sessionSecret, sessionSsh } from "./secrets.ts";
import type { Session } from "./session.ts";
import { answer, type SolveOptions, type SolveParts, solve } from "./solve.ts";

/** Definitions that a front end is given, by name. */
export type Inputs = Record<string, Definition>;

/** Who says what to build: the client, or a front end that it has asked for. */
export interface Asker {
  open: OpenBuild;
  inputs: Inputs;
  returned: PromiseWithResolvers<Result | undefined>;
}

export interface Wanted {
  frontend: string;
  attributes: Record<string, string>;
  inputs: Inputs;
  definition?: Definition;
}

export interface OpenBuildParts {
  engine: Engine;
  /** Of all open builds: one may begin from what another has come to. */
  results: Map<string, HeldResult>;
  /** The gateway's calls of one asker. */
  routes(asker: Asker): (router: ConnectRouter) => void;
  job: Job;
  session: Session;
  entitlements?: readonly string[];
  /** The context, when it doesn't come from the session. */
  archive?: SolveParts["archive"];
  signal: AbortSignal;
}

export class OpenBuild implements AsyncDisposable {
  readonly containers: GatewayContainers;
  /** What was asked for so far, by the reference given out for it. */
  readonly #asked = new Map<string, DockerfileBuild>();
  /** Results that this build may need until its end. */
  readonly #uses = new DisposableStack();

  constructor(readonly parts: OpenBuildParts) {
    const { engine, session, entitlements, signal } = parts;
    const client = {
      secret: sessionSecret(session),
      ssh: sessionSsh(session, engine.builds.runDirectory),
      entitlements,
    };
    this.containers = new GatewayContainers(engine, this.result, client, signal);
  }

  readonly result = (id: string): HeldResult | undefined => this.parts.results.get(id);

  /** Does what is asked for, or as much of it as has to be done for an answer. @throws what building throws */
  async answer(wanted: Wanted, evaluate: boolean, signal: AbortSignal): Promise<Result> {
    const build = this.#build(wanted);
    if ("image" in build) return this.#ask(build.image, wanted.attributes, wanted.inputs, signal);
    if (build.request) {
      try {
        const told = await answer(this.parts.engine, this.#parts(build), build.request, signal);
        const metadata = Object.entries(told).map(([name, text]) => [name, Buffer.from(text)]);
        return create(ResultSchema, { metadata: Object.fromEntries(metadata) });
      } catch (error) {
        if (!(error instanceof BuiltElsewhere)) throw error;
        return this.#elsewhere(build, error, signal);
      }
    }
    const id = this.#hold(build);
    if (evaluate) await this.result(id)?.files();
    const def = build.lowLevel ? wanted.definition : resultDefinition(id);
    return create(ResultSchema, { result: { case: "ref", value: { id, def } } });
  }

  /** What is asked for, as a build; a front end in a container has said it when this returns. */
  async wanted(wanted: Wanted, signal: AbortSignal): Promise<DockerfileBuild | undefined> {
    const build = this.#build(wanted);
    if (!("image" in build)) return build;
    return this.returned(await this.#ask(build.image, wanted.attributes, wanted.inputs, signal));
  }

  /** A front end's result as a build. @throws InvalidParameter */
  returned(result: Result | undefined): DockerfileBuild | undefined {
    return result && returnedBuild(result, this.#asked);
  }

  /** Builds. What a Dockerfile leaves to another front end, that says. @throws as `solve` */
  async perform(build: DockerfileBuild, options: SolveOptions, signal: AbortSignal): Promise<BuildResult> {
    const { engine } = this.parts;
    try {
      return await solve(engine, this.#parts(build), options, signal);
    } catch (error) {
      if (!(error instanceof BuiltElsewhere)) throw error;
      const next = this.returned(await this.#elsewhere(build, error, signal));
      if (!next) throw new InvalidParameter(`the front end ${error.image} returned no files`);
      const { entitlements, cacheTo, cacheFrom, attestations } = build.options;
      next.options = { ...next.options, entitlements, cacheTo, cacheFrom, attestations };
      return solve(engine, this.#parts(next), options, signal);
    }
  }

  #parts(build: DockerfileBuild): SolveParts {
    const { job, session, archive } = this.parts;
    return { job, session, build, archive, result: this.result };
  }

  #build({ frontend, attributes, inputs, definition }: Wanted): DockerfileBuild | { image: string } {
    if (frontend === "") {
      if (!definition || definition.def.length === 0) throw new InvalidParameter("nothing is asked for");
      return lowLevelBuild({ results: [{ definition: parseDefinition(definition) }] });
    }
    const sources = Object.entries(inputs).map(([name, input]) => [name, this.#source(input)]);
    const build = dockerfileBuild(frontend, attributes, Object.fromEntries(sources));
    return "image" in build ? build : { ...build, inputs };
  }

  /** A definition that has operations of its own is a build besides. */
  #source(input: Definition): ContextSource {
    const definition = parseDefinition(input);
    return placeOf(definition) ?? { result: this.#hold(lowLevelBuild({ results: [{ definition }] })) };
  }

  /** Gives a build a reference: it is done when somebody wants to see it. */
  #hold(build: DockerfileBuild): string {
    // What it begins from stays until it has ended itself.
    for (const source of resultsIn(build)) {
      const held = this.result(source);
      if (held) this.#uses.use(held.use());
    }
    const id = newId();
    this.#asked.set(id, build);
    const { cacheTo: _, attestations: __, ...options } = build.options;
    const entitlements = this.parts.entitlements ?? [];
    const plain = { ...build, options: { ...options, entitlements } };
    const held = new HeldResult(
      (outputs: OutputRequest[], signal) => this.perform(plain, { outputs, internal: true }, signal),
      () => this.parts.results.delete(id),
    );
    this.parts.results.set(id, held);
    this.#uses.use(held.use());
    return id;
  }

  #elsewhere(build: DockerfileBuild, { image, commandLine }: BuiltElsewhere, signal: AbortSignal) {
    const attributes = { ...build.attributes, source: image, cmdline: commandLine };
    return this.#ask(image, attributes, build.inputs ?? {}, signal);
  }

  /** Has a front end in a container say what to build. @throws what it gives up with, InvalidParameter */
  async #ask(
    image: string,
    attributes: Record<string, string>,
    inputs: Inputs,
    signal: AbortSignal,
  ): Promise<Result> {
    const { engine, job, session, routes } = this.parts;
    const stop = AbortSignal.any([signal, this.parts.signal]);
    const { config } = await engine.builds.imageConfig(image, {
      pull: false,
      credentials: sessionCredentials(session),
      signal: stop,
    });
    const source = sourceDefinition(`docker-image://${image}`, `[internal] load front end ${image}`);
    const held = this.result(
      this.#hold(lowLevelBuild({ results: [{ definition: parseDefinition(source) }] })),
    )!;
    const returned = Promise.withResolvers<Result | undefined>();
    const run = { image, config, files: await held.files(), attributes };
    const asker = { open: this, inputs, returned };
    const result = await runFrontend(engine, { job, session }, run, routes(asker), returned.promise, stop);
    if (!result) throw new ConnectError(`the front end ${image} returned no result`, Code.Unknown);
    return result;
  }

  /** Done when the build ends, before its results go. */
  atEnd(work: () => void): void {
    this.#uses.defer(work);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.containers[Symbol.asyncDispose]();
    this.#uses[Symbol.dispose]();
  }
}
