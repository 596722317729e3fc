import { applyChanges } from "../../build/index.ts";
import type { Digest } from "../../lib/digest.ts";
import { NotFound } from "../../lib/errors.ts";
import type { ImageConfig, ImageRunConfig } from "../../lib/oci.ts";
import type { ContainerConfig } from "../config.ts";
import { type Context, snapshotKey } from "../context.ts";
import { registerImage } from "../images/register.ts";
import type { CommitOptions, ContainerRecord } from "../types.ts";
import { mergeImageConfig } from "./merge.ts";

/**
 * Makes an image of a container: its image's layers and its own on top.
 * @throws NotFound when its image is gone, InvalidParameter for a change that is none
 */
export async function commitContainer(
  context: Context,
  record: ContainerRecord,
  options: CommitOptions,
): Promise<Digest> {
  const { store } = context;
  const base = store.images.get(record.imageId);
  if (!base) throw new NotFound(`No such image: ${record.imageId}`);
  const run = imageConfig(record.config);
  const wanted = options.config ? imageConfig(mergeImageConfig(options.config, run)) : run;
  const runConfig = applyChanges(wanted, options.changes);
  using lease = store.images.lease();
  const { descriptor, diffId } = await store.layers.pack(snapshotKey(record.id));
  lease.addBlob(descriptor.digest);
  const created = new Date().toISOString();
  const config: ImageConfig = {
    ...base.config,
    created,
    author: options.author || undefined,
    config: runConfig,
    rootfs: { type: "layers", diff_ids: [...base.config.rootfs.diff_ids, diffId] },
    history: [
      ...(base.config.history ?? []),
      {
        created,
        created_by: [record.path, ...record.args].join(" "),
        comment: options.comment || undefined,
        author: options.author || undefined,
      },
    ],
  };
  const { repository } = options;
  const layers = [...base.layers.map((layer) => layer.descriptor), descriptor];
  return registerImage(context, config, layers, repository);
}

/** What of a container's configuration an image can hold. */
function imageConfig(config: ContainerConfig): ImageRunConfig {
  return {
    User: config.User,
    ExposedPorts: config.ExposedPorts,
    Env: config.Env,
    Entrypoint: config.Entrypoint,
    Cmd: config.Cmd,
    Volumes: config.Volumes ?? undefined,
    WorkingDir: config.WorkingDir,
    Labels: config.Labels,
    StopSignal: config.StopSignal,
    Healthcheck: config.Healthcheck,
    Shell: config.Shell,
  };
}
