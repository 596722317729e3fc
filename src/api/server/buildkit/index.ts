/** BuildKit's ways in: sessions, gRPC, and builds of version 2. Loaded when the first of them is asked for. */
import { createServer } from "node:http2";
import type { ConnectRouter, Interceptor } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import type { BuildOptions, Engine } from "../../../engine/types.ts";
import { GantryError } from "../../../lib/errors.ts";
import type { Exchange } from "../exchange.ts";
import { buildVersion2, Uploads } from "./build-v2.ts";
import { partsOf } from "./client-parts.ts";
import { controlService } from "./control.ts";
import { Gateway } from "./gateway.ts";
import { historyContent } from "./history.ts";
import { Jobs } from "./job.ts";
import { Content } from "./proto/content_pb.ts";
import { Control } from "./proto/control_pb.ts";
import { LLBBridge } from "./proto/gateway_pb.ts";
import { Health, HealthCheckResponse_ServingStatus as Serving } from "./proto/health_pb.ts";
import { Sessions } from "./session.ts";
import { connectError, toStatus } from "./source.ts";

const h2c = { Connection: "Upgrade", Upgrade: "h2c" };

/** What the connections of one engine's clients share. */
class BuildKit {
  readonly sessions = new Sessions();
  readonly jobs = new Jobs();
  readonly uploads = new Uploads();
  readonly gateway: Gateway;
  readonly #server;

  constructor(engine: Engine) {
    this.gateway = new Gateway(engine);
    const control = controlService({
      engine,
      sessions: this.sessions,
      jobs: this.jobs,
      gateway: this.gateway,
    });
    const routes = (router: ConnectRouter) => {
      router.service(Control, control);
      router.service(LLBBridge, this.gateway.service());
      router.service(Content, historyContent(engine.builds.history));
      router.service(Health, { check: () => ({ status: Serving.SERVING }) });
    };
    this.#server = createServer(connectNodeAdapter({ routes, interceptors: [errors] }));
    // A client that breaks off is no error of the engine's.
    this.#server.on("sessionError", () => {});
  }

  serve(x: Exchange): void {
    this.#server.emit("connection", x.switchProtocols(h2c));
  }
}

/** The engine's errors, with the code of their kind; those of a stream come while it is read. */
const errors: Interceptor = (next) => async (request) => {
  try {
    const response = await next(request);
    return response.stream ? { ...response, message: coded(response.message) } : response;
  } catch (error) {
    throw withCode(error);
  }
};

async function* coded<T>(messages: AsyncIterable<T>): AsyncGenerator<T> {
  try {
    yield* messages;
  } catch (error) {
    throw withCode(error);
  }
}

const withCode = (error: unknown) =>
  error instanceof GantryError ? connectError(toStatus(error, undefined)) : error;

const instances = new WeakMap<Engine, BuildKit>();

function buildKit(engine: Engine): BuildKit {
  let known = instances.get(engine);
  if (!known) {
    known = new BuildKit(engine);
    instances.set(engine, known);
  }
  return known;
}

/** `POST /session` */
export function openSession(x: Exchange): void {
  buildKit(x.engine).sessions.accept(x.request, () => x.switchProtocols(h2c));
}

/** `POST /grpc` */
export function openGrpc(x: Exchange): void {
  buildKit(x.engine).serve(x);
}

/** `POST /build?version=2` */
export function build(x: Exchange): Promise<void> {
  return buildVersion2(x, buildKit(x.engine));
}

/** What a classic build takes from its client's session, and from requests beside its own. */
export function clientParts(x: Exchange): Promise<Partial<BuildOptions>> {
  return partsOf(x, buildKit(x.engine));
}

/** `POST /build/cancel?id=` */
export function cancelBuild(x: Exchange): void {
  buildKit(x.engine).jobs.get(x.text("id"))?.cancel();
  x.empty(204);
}
