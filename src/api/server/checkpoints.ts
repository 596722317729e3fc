/** Checkpoint endpoints (Docker's, of its experimental mode; they are in no version of the Engine API's description). */
import * as v from "valibot";
import { flag, text } from "./fields.ts";
import type { Route } from "./router.ts";

const createSchema = v.object({ CheckpointID: text(), CheckpointDir: text(), Exit: flag() });

export const checkpointRoutes: Route[] = [
  {
    method: "GET",
    path: "/containers/{id}/checkpoints",
    handle(x) {
      const names = x.engine.containers.checkpoints.list(x.params.id!, x.text("dir"));
      x.json(names.map((Name) => ({ Name })));
    },
  },
  {
    method: "POST",
    path: "/containers/{id}/checkpoints",
    async handle(x) {
      const { CheckpointID, CheckpointDir, Exit } = await x.body(createSchema);
      const place = { name: CheckpointID, parent: CheckpointDir };
      await x.engine.containers.checkpoints.create(x.params.id!, place, Exit);
      x.empty(201);
    },
  },
  {
    method: "DELETE",
    path: "/containers/{id}/checkpoints/{checkpoint}",
    handle(x) {
      const place = { name: x.params.checkpoint!, parent: x.text("dir") };
      x.engine.containers.checkpoints.remove(x.params.id!, place);
      x.empty(204);
    },
  },
];
