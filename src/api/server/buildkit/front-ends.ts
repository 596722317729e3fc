/**
 * Front ends that are images (`# syntax=`, `gateway.v0`): each runs in a container, and asks by the gateway's calls over
 * its standard input and output (frontend/gateway/grpcclient).
 */
import { createServer } from "node:http2";
import { duplexPair } from "node:stream";
import type { ConnectRouter } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import type { ContainerProcess } from "../../../build/types.ts";
import type { Engine } from "../../../engine/types.ts";
import { InvalidParameter } from "../../../lib/errors.ts";
import { parseImageConfig } from "../../../lib/oci-schema.ts";
import { own } from "../../../lib/own.ts";
import type { ResultFiles } from "./held-result.ts";
import type { Job } from "./job.ts";
import { Health, HealthCheckResponse_ServingStatus as Serving } from "./proto/health_pb.ts";
import { shown } from "./shown.ts";
import { workerRecord } from "./worker.ts";

const networkLabel = "moby.buildkit.frontend.network.none";

/**
 * Runs a front end to its end, or until it has returned its result.
 * @param files of its image
 * @param routes serves the gateway's calls
 * @param returned settles when it has said what is to be built
 * @throws InvalidParameter when it ends without a result
 */
export async function runFrontend<T>(
  engine: Engine,
  { job, session }: { job: Job; session: { id: string } },
  {
    image,
    config: document,
    files,
    attributes,
  }: { image: string; config: Uint8Array; files: ResultFiles; attributes: Record<string, string> },
  routes: (router: ConnectRouter) => void,
  returned: Promise<T>,
  signal: AbortSignal,
): Promise<T> {
  const { config } = parseImageConfig(document);
  const id = `front end ${image}`;
  return shown(
    (event) => job.show(event),
    { id, name: `[internal] ask front end ${image}` },
    async () => {
      const offline = /^(?:1|t|true)$/i.test(own(config?.Labels ?? {}, networkLabel) ?? "");
      await using container = engine.builds.container(
        {
          snapshot: files.snapshot,
          mounts: [],
          network: offline ? "none" : "default",
          hostname: "buildkitsandbox",
          extraHosts: [],
        },
        signal,
      );
      const process: ContainerProcess = {
        args: config?.Entrypoint?.length ? config.Entrypoint : ["/run"],
        env: [...(config?.Env ?? []), ...environment(attributes, session.id)],
        cwd: config?.WorkingDir || "/",
        user: "",
        terminal: false,
        insecure: false,
        secretEnv: [],
      };
      const [inner, outer] = duplexPair();
      const server = createServer(
        connectNodeAdapter({
          routes: (router) => {
            routes(router);
            router.service(Health, { check: () => ({ status: Serving.SERVING }) });
          },
        }),
      );
      // A front end that breaks off is told of by its exit.
      server.on("sessionError", () => {});
      server.emit("connection", inner);
      try {
        const running = await container.start(process, {
          input: true,
          onOutput: (fd, data) => {
            if (fd === 1) outer.write(Uint8Array.from(data));
            else job.show({ type: "log", id, stream: 2, data: Uint8Array.from(data) });
          },
        });
        outer.on("data", (data: Buffer) => void running.write(data));
        const ended = running.exited.then((code) => {
          throw new InvalidParameter(
            `the front end ${image} ended with code ${code}, and returned no result`,
          );
        });
        ended.catch(() => {});
        return await Promise.race([returned, ended]);
      } finally {
        inner.destroy();
        outer.destroy();
      }
    },
  );
}

function environment(attributes: Record<string, string>, session: string): string[] {
  const { id, labels, platforms } = workerRecord();
  return [
    ...Object.entries(attributes).map(([name, value], i) => `BUILDKIT_FRONTEND_OPT_${i}=${name}=${value}`),
    `BUILDKIT_SESSION_ID=${session}`,
    `BUILDKIT_WORKERS=${JSON.stringify([
      {
        ID: id,
        Labels: labels,
        Platforms: platforms.map(({ os, architecture, variant }) => ({
          os,
          architecture,
          ...(variant && { variant }),
        })),
      },
    ])}`,
    "BUILDKIT_EXPORTEDPRODUCT=buildkit",
  ];
}
