import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { applyChanges } from "../../build/index.ts";
import type { Digest } from "../../lib/digest.ts";
import type { Platform } from "../../lib/oci.ts";
import { hostPlatform } from "../../lib/platform.ts";
import type { Context } from "../context.ts";
import { registerImage } from "./register.ts";

/** `docker import`: a tar of a root file system becomes an image of one layer. @throws InvalidParameter */
export async function importImage(
  context: Context,
  archive: Readable,
  options: { repository?: string; tag?: string; message: string; changes: string[]; platform?: Platform },
  signal: AbortSignal,
): Promise<Digest> {
  const runConfig = applyChanges({}, options.changes);
  const { snapshots, layers, images } = context.store;
  const key = `import/${crypto.randomUUID()}`;
  const target = join(context.options.execRoot, "f", crypto.randomUUID());
  using lease = images.lease();
  snapshots.prepare(key);
  try {
    await mkdir(target, { recursive: true });
    // Through a mount, so that what the archive says of owners and links is applied as in any layer.
    snapshots.mountAt(key, target);
    try {
      await layers.extract(archive, target, {}, signal);
    } finally {
      snapshots.unmount(target);
    }
    const { descriptor, diffId } = await layers.pack(key, {}, signal);
    lease.addBlob(descriptor.digest);
    const created = new Date().toISOString();
    const config = {
      created,
      ...(options.platform ?? hostPlatform),
      config: runConfig,
      rootfs: { type: "layers" as const, diff_ids: [diffId] },
      history: [{ created, comment: options.message || "Imported from -" }],
    };
    const reference =
      options.repository && (options.tag ? `${options.repository}:${options.tag}` : options.repository);
    return await registerImage(context, config, [descriptor], reference || undefined);
  } finally {
    snapshots.remove(key);
    await rm(target, { recursive: true, force: true });
  }
}
