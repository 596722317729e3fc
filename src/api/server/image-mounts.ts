/** Gantry's own: images mounted for looking inside. */
import { parsePlatform } from "./fields.ts";
import type { Route } from "./router.ts";

export const imageMountRoutes: Route[] = [
  {
    method: "GET",
    path: "/mounts/images",
    handle(x) {
      x.json(x.engine.images.mounts().map(({ id, path }) => ({ Id: id, Path: path })));
    },
  },
  {
    method: "POST",
    path: "/mounts/images/{name*}",
    handle(x) {
      x.json({ Path: x.engine.images.mount(x.params.name!, parsePlatform(x.text("platform"))) });
    },
  },
  {
    method: "DELETE",
    path: "/mounts/images/{name*}",
    handle(x) {
      x.engine.images.unmount(x.params.name!, parsePlatform(x.text("platform")));
      x.empty(204);
    },
  },
];
