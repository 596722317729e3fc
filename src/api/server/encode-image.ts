/** Images as the Engine API shows them (definitions "ImageSummary", "ImageInspect"). */
import type { ImageDetails, ImageSummary, ImageWeight, ManifestSummary } from "../../engine/types.ts";
import { never, rfc3339 } from "./times.ts";

export function imageSummary(image: ImageSummary, version: number) {
  const { record, descriptor, repoTags, repoDigests, size, containers, sharedSize, manifests } = image;
  /** Until 1.43 an image without a name had one that says so. */
  const named = (names: string[], none: string) => (version < 43 && names.length === 0 ? [none] : names);
  return {
    Id: record.id,
    ParentId: "",
    RepoTags: named(repoTags, "<none>:<none>"),
    RepoDigests: named(repoDigests, "<none>@<none>"),
    Created: seconds(record.config.created),
    Size: size,
    VirtualSize: size,
    SharedSize: sharedSize,
    Labels: record.config.config?.Labels ?? null,
    Containers: containers,
    ...(manifests && { Manifests: manifests.map(manifestSummary) }),
    Descriptor: descriptor,
  };
}

/** The definition "ImageManifestSummary". */
function manifestSummary({ descriptor, available, kind, contentSize, image, attestedFor }: ManifestSummary) {
  return {
    ID: descriptor.digest,
    Descriptor: descriptor,
    Available: available,
    Size: { Content: contentSize, Total: contentSize + (image?.unpackedSize ?? 0) },
    Kind: kind,
    ...(image && {
      ImageData: {
        Platform: image.platform,
        Containers: image.containers,
        Size: { Unpacked: image.unpackedSize },
      },
    }),
    ...(attestedFor && { AttestationData: { For: attestedFor } }),
  };
}

export function imageInspection(image: ImageSummary, { layers }: ImageDetails, version: number) {
  const { record, descriptor, repoTags, repoDigests, manifests } = image;
  const { config } = record;
  return {
    Id: record.id,
    RepoTags: repoTags,
    RepoDigests: repoDigests,
    Parent: "",
    Comment: config.history?.at(-1)?.comment ?? "",
    // Since 1.44 an image without a date has none here.
    ...((config.created || version < 44) && { Created: config.created || never }),
    DockerVersion: "",
    Author: config.author ?? "",
    Config: runConfig(config.config),
    Architecture: config.architecture,
    ...(config.variant && { Variant: config.variant }),
    Os: config.os,
    Size: record.size,
    VirtualSize: record.size,
    Container: "",
    Descriptor: descriptor,
    // Gone from Docker with 1.45; docker-compose 1.x reads it whatever the version, and fails with Docker since then.
    ContainerConfig: runConfig(),
    GraphDriver: { Data: layers, Name: "overlay2" },
    RootFS: { Type: "layers", Layers: record.layers.map((layer) => layer.diffId) },
    Metadata: { LastTagTime: rfc3339(undefined) },
    ...(manifests && { Manifests: manifests.map(manifestSummary) }),
  };
}

/** Gantry's own answer to `GET /images/{name}/why-big`. */
export function imageWeight({ id, layers, files, waste }: ImageWeight) {
  return {
    Id: id,
    Layers: layers.map((layer) => ({
      Digest: layer.digest,
      CreatedBy: layer.createdBy,
      Compressed: layer.compressed,
      Bytes: layer.bytes,
      Files: layer.files,
      Wasted: layer.wasted,
    })),
    Files: files.map(({ path, size, layer }) => ({ Path: path, Size: size, Layer: layer })),
    Waste: waste.map(({ path, size, layer, by, how }) => ({
      Path: path,
      Size: size,
      Layer: layer,
      By: by,
      How: how,
    })),
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
