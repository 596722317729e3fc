import type { Digest } from "../../lib/digest.ts";
import { NotFound, NotImplemented } from "../../lib/errors.ts";
import type { ImageConfig } from "../../lib/oci.ts";
import { type Context, snapshotKey } from "../context.ts";
import { registerImage } from "../images/register.ts";
import type { ContainerRecord } from "../types.ts";

/**
 * Makes an image of a container: its image's layers and its own on top.
 * @throws NotFound when its image is gone, NotImplemented for `changes`
 */
export async function commitContainer(
  context: Context,
  record: ContainerRecord,
  options: { repository?: string; comment: string; author: string; changes: string[] },
): Promise<Digest> {
  if (options.changes.length > 0)
    throw new NotImplemented(
      "commit --change is not supported by Gantry yet: put the instructions into a Dockerfile that starts FROM the committed image",
    );
  const { store } = context;
  const base = store.images.get(record.imageId);
  if (!base) throw new NotFound(`No such image: ${record.imageId}`);
  using lease = store.images.lease();
  const { descriptor, diffId } = await store.layers.pack(snapshotKey(record.id));
  lease.addBlob(descriptor.digest);
  const created = new Date().toISOString();
  const { config: run } = record;
  const config: ImageConfig = {
    ...base.config,
    created,
    author: options.author || undefined,
    config: {
      User: run.User,
      ExposedPorts: run.ExposedPorts,
      Env: run.Env,
      Entrypoint: run.Entrypoint,
      Cmd: run.Cmd,
      Volumes: run.Volumes ?? undefined,
      WorkingDir: run.WorkingDir,
      Labels: run.Labels,
      StopSignal: run.StopSignal,
      Healthcheck: run.Healthcheck,
      Shell: run.Shell,
    },
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
  return registerImage(
    context,
    config,
    [...base.layers.map((layer) => layer.descriptor), descriptor],
    options.repository,
  );
}
