/** Every endpoint: those that are there, and those that say what is missing. */
import { NotImplemented, Unavailable } from "../../lib/errors.ts";
import { buildRoutes } from "./build.ts";
import { checkpointRoutes } from "./checkpoints.ts";
import { containerStreamRoutes } from "./container-streams.ts";
import { containerRoutes } from "./containers.ts";
import { distributionRoutes } from "./distribution.ts";
import { execRoutes } from "./exec.ts";
import { imageMountRoutes } from "./image-mounts.ts";
import { imageRoutes } from "./images.ts";
import { networkRoutes } from "./networks.ts";
import type { Route } from "./router.ts";
import { systemRoutes } from "./system.ts";
import { tokenRoutes } from "./tokens.ts";
import { volumeRoutes } from "./volumes.ts";

export const routes: readonly Route[] = [
  ...systemRoutes,
  ...containerRoutes,
  ...containerStreamRoutes,
  ...checkpointRoutes,
  ...execRoutes,
  ...imageRoutes,
  ...distributionRoutes,
  ...imageMountRoutes,
  ...buildRoutes,
  ...networkRoutes,
  ...volumeRoutes,
  ...tokenRoutes,
];

const absent: [what: string, ...endpoints: string[]][] = [
  ["updating a volume is", "PUT /volumes/{name}"],
  [
    "plugins are",
    "GET /plugins/privileges",
    "POST /plugins/pull",
    "POST /plugins/create",
    ...["GET", "POST", "DELETE"].map((method) => `${method} /plugins/{rest*}`),
  ],
  ["swarm mode is", "POST /swarm/init", "POST /swarm/join"],
];

/** What Docker says on a node outside any swarm, which every node of Gantry is. */
const noManager =
  'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm and try again.';
const ofManagers = ["swarm", "nodes", "services", "tasks", "secrets", "configs"].flatMap((word) =>
  ["GET", "POST", "DELETE"].flatMap((method) => [`${method} /${word}`, `${method} /${word}/{rest*}`]),
);

/** Endpoints of Docker that Gantry answers with 501, and those of a swarm with 503. */
export const missing: readonly Route[] = [
  ...absent.flatMap(([what, ...endpoints]) =>
    refuse(endpoints, () => new NotImplemented(`${what} not supported by Gantry yet`)),
  ),
  ...refuse(["POST /swarm/leave"], () => new Unavailable("This node is not part of a swarm")),
  ...refuse(ofManagers, () => new Unavailable(noManager)),
];

function refuse(endpoints: readonly string[], error: () => Error): Route[] {
  return endpoints.map((endpoint) => {
    const [method, path] = endpoint.split(" ") as [string, string];
    return {
      method,
      path,
      handle() {
        throw error();
      },
    };
  });
}
