/** Every endpoint: those that are there, and those that say what is missing. */
import { NotImplemented } from "../../lib/errors.ts";
import { buildRoutes } from "./build.ts";
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
    "checkpoints are",
    "GET /containers/{id}/checkpoints",
    "POST /containers/{id}/checkpoints",
    "DELETE /containers/{id}/checkpoints/{checkpoint}",
  ],
  [
    "plugins are",
    "GET /plugins",
    "GET /plugins/privileges",
    "POST /plugins/pull",
    "POST /plugins/create",
    ...["GET", "POST", "DELETE"].map((method) => `${method} /plugins/{rest*}`),
  ],
  [
    "swarm mode is",
    ...["swarm", "nodes", "services", "tasks", "secrets", "configs"].flatMap((word) =>
      ["GET", "POST", "DELETE"].flatMap((method) => [`${method} /${word}`, `${method} /${word}/{rest*}`]),
    ),
  ],
];

/** Endpoints of Docker that Gantry answers with 501. */
export const missing: readonly Route[] = absent.flatMap(([what, ...endpoints]) =>
  endpoints.map((endpoint) => {
    const [method, path] = endpoint.split(" ") as [string, string];
    return {
      method,
      path,
      handle() {
        throw new NotImplemented(`${what} not supported by Gantry yet`);
      },
    };
  }),
);
