/** The one worker that there is: this machine. */
import { create } from "@bufbuild/protobuf";
import { runnablePlatforms } from "../../../build/index.ts";
import { BuildkitVersionSchema, type WorkerRecord, WorkerRecordSchema } from "./proto/worker_pb.ts";

/** Clients look at the number to know what they may ask for. */
export const buildkitVersion = create(BuildkitVersionSchema, { package: "gantry", version: "v0.17.0" });

export function workerRecord(): WorkerRecord {
  return create(WorkerRecordSchema, {
    id: "gantry",
    labels: { "org.mobyproject.buildkit.worker.snapshotter": "overlayfs" },
    platforms: runnablePlatforms().map(({ os, architecture, variant }) => ({ os, architecture, variant })),
    buildkitVersion,
  });
}
