/** Volume endpoints (Engine API, tag "Volume"). */
import * as v from "valibot";
import type { VolumeRecord } from "../../engine/types.ts";
import { field, maybeText, refusing, stringMap, text } from "./fields.ts";
import type { Route } from "./router.ts";

const createSchema = v.pipe(
  refusing(["ClusterVolumeSpec"], "volume"),
  v.object({
    Name: maybeText,
    Driver: text("local"),
    DriverOpts: field(stringMap, {}),
    Labels: field(stringMap, {}),
  }),
);

export const volumeRoutes: Route[] = [
  {
    method: "GET",
    path: "/volumes",
    handle(x) {
      x.json({ Volumes: x.engine.volumes.list(x.filters).map(encodeVolume), Warnings: null });
    },
  },
  {
    method: "POST",
    path: "/volumes/create",
    async handle(x) {
      const body = await x.body(createSchema);
      const record = await x.engine.volumes.create({
        name: body.Name || undefined,
        driver: body.Driver || "local",
        options: body.DriverOpts,
        labels: body.Labels,
      });
      x.json(encodeVolume(record), 201);
    },
  },
  {
    method: "POST",
    path: "/volumes/prune",
    async handle(x) {
      // Until 1.42 a prune took the named ones too.
      const filters = x.version < 42 ? { ...x.filters, all: ["true"] } : x.filters;
      const { removed, bytes } = await x.engine.volumes.prune(filters);
      x.json({ VolumesDeleted: removed.length > 0 ? removed : null, SpaceReclaimed: bytes });
    },
  },
  {
    method: "GET",
    path: "/volumes/{name}",
    handle(x) {
      x.json(encodeVolume(x.engine.volumes.get(x.params.name!)));
    },
  },
  {
    method: "DELETE",
    path: "/volumes/{name}",
    async handle(x) {
      await x.engine.volumes.remove(x.params.name!, x.flag("force"));
      x.empty(204);
    },
  },
];

/** A volume as the Engine API shows it (definition "Volume"). */
export function encodeVolume(record: VolumeRecord) {
  return {
    CreatedAt: new Date(record.createdAt).toISOString().replace(/\.\d+Z$/, "Z"),
    Driver: record.driver,
    Labels: Object.keys(record.labels).length > 0 ? record.labels : null,
    Mountpoint: record.mountpoint,
    Name: record.name,
    Options: Object.keys(record.options).length > 0 ? record.options : null,
    Scope: "local",
  };
}
