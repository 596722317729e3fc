/** Images as the Engine API shows them (definitions "ImageSummary", "ImageInspect"). */
import type { ImageSummary } from "../../engine/types.ts";
import { rfc3339 } from "./times.ts";

export function imageSummary({ record, repoTags, repoDigests, containers, sharedSize }: ImageSummary) {
  return {
    Id: record.id,
    ParentId: "",
    RepoTags: repoTags,
    RepoDigests: repoDigests,
    Created: seconds(record.config.created),
    Size: record.size,
    SharedSize: sharedSize,
    Labels: record.config.config?.Labels ?? null,
    Containers: containers,
  };
}

export function imageInspection({ record, repoTags, repoDigests }: ImageSummary, version: number) {
  const { config } = record;
  return {
    Id: record.id,
    RepoTags: repoTags,
    RepoDigests: repoDigests,
    Parent: "",
    Comment: config.history?.at(-1)?.comment ?? "",
    Created: config.created ?? "",
    DockerVersion: "",
    Author: config.author ?? "",
    Config: runConfig(config.config),
    Architecture: config.architecture,
    ...(config.variant && { Variant: config.variant }),
    Os: config.os,
    Size: record.size,
    ...(version < 44 && { VirtualSize: record.size }),
    // Gone from Docker with 1.45; docker-compose 1.x reads it whatever the version, and fails with Docker since then.
    ContainerConfig: runConfig(),
    GraphDriver: { Data: null, Name: "overlay2" },
    RootFS: { Type: "layers", Layers: record.layers.map((layer) => layer.diffId) },
    Metadata: { LastTagTime: rfc3339(undefined) },
  };
}

/** Every field that clients read, also when the image's config hasn't it. */
function runConfig(config: ImageSummary["record"]["config"]["config"] = {}) {
  return {
    Hostname: "",
    Domainname: "",
    User: "",
    AttachStdin: false,
    AttachStdout: false,
    AttachStderr: false,
    Tty: false,
    OpenStdin: false,
    StdinOnce: false,
    Image: "",
    ...config,
    Env: config.Env ?? [],
    Cmd: config.Cmd ?? null,
    Entrypoint: config.Entrypoint ?? null,
    Volumes: config.Volumes ?? null,
    WorkingDir: config.WorkingDir ?? "",
    OnBuild: config.OnBuild ?? null,
    Labels: config.Labels ?? null,
  };
}

/** Seconds since the epoch; 0 for an image without a date. */
function seconds(created: string | undefined): number {
  const ms = Date.parse(created ?? "");
  return Number.isNaN(ms) ? 0 : Math.floor(ms / 1000);
}
