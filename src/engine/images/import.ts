import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { applyChanges } from "../../build/index.ts";
import type { Digest } from "../../lib/digest.ts";
import { openUrl } from "../../lib/outgoing.ts";
import { hostPlatform } from "../../lib/platform.ts";
import type { Context } from "../context.ts";
import type { ImportOptions, OnProgress } from "../types.ts";
import { throttle } from "./download.ts";
import { imageEvent } from "./events.ts";
import { registerImage } from "./register.ts";

/** An archive that lies behind a URL of http or https. @throws as `openUrl` and `importImage` */
export async function importUrl(
  context: Context,
  text: string,
  options: ImportOptions,
  onProgress: OnProgress,
  signal: AbortSignal,
): Promise<Digest> {
  const response = await openUrl(text.includes("://") ? text : `http://${text}`, signal);
  const shown = withoutCredentials(response.url);
  onProgress({ status: `Downloading from ${shown}` });
  const total = Number(response.headers.get("content-length")) || undefined;
  const report = throttle((current) =>
    onProgress({ status: "Importing", progressDetail: { current, ...(total && { total }) } }),
  );
  const archive = Readable.from(counted(response.body!, report), { objectMode: false });
  return importImage(
    context,
    archive,
    { ...options, message: options.message || `Imported from ${shown}` },
    signal,
  );
}

async function* counted(body: AsyncIterable<Uint8Array>, report: (bytes: number) => void) {
  let bytes = 0;
  for await (const chunk of body) {
    bytes += chunk.length;
    report(bytes);
    yield chunk;
  }
}

/** For what others may read: an image's history and messages. */
function withoutCredentials(text: string): string {
  const url = new URL(text);
  url.username = url.password = "";
  return url.href;
}

/** `docker import`: a tar of a root file system becomes an image of one layer. @throws InvalidParameter */
export async function importImage(
  context: Context,
  archive: Readable,
  options: ImportOptions,
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
    const id = await registerImage(context, config, [descriptor], reference || undefined);
    imageEvent(context, { id, config }, "import");
    return id;
  } finally {
    snapshots.remove(key);
    await rm(target, { recursive: true, force: true });
  }
}
