/** The one worker that there is: this machine. */
import { create } from "@bufbuild/protobuf";
import { BuildkitVersionSchema, type WorkerRecord, WorkerRecordSchema } from "./proto/worker_pb.ts";

/** Clients look at the number to know what they may ask for. */
export const buildkitVersion = create(BuildkitVersionSchema, { package: "gantry", version: "v0.17.0" });

export function workerRecord(): WorkerRecord {
  const architecture = process.arch === "x64" ? "amd64" : process.arch;
  return create(WorkerRecordSchema, {
    id: "gantry",
    labels: { "org.mobyproject.buildkit.worker.snapshotter": "overlayfs" },
    platforms: [{ os: "linux", architecture }],
    buildkitVersion,
  });
}
