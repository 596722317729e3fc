import { NotFound } from "../../lib/errors.ts";
import { shortId } from "../../lib/ids.ts";
import { familiarName, parseReference, type Reference } from "../../lib/reference.ts";
import type { Credentials } from "../../registry/types.ts";
import type { ImageRecord } from "../../store/types.ts";
import type { Context } from "../context.ts";
import type { OnProgress } from "../types.ts";
import { digestName } from "./names.ts";
import { Slots, throttle } from "./pull.ts";

/** Layers that go up at once, Docker's default. */
const parallelUploads = 5;

/**
 * Pushes one tag of a repository, or all of its tags when none is given and `all` of them is meant.
 * @throws NotFound when the repository has no such tag here, Unauthorized, Unavailable
 */
export async function pushImage(
  context: Context,
  name: string,
  options: { tag?: string; auth?: Credentials; signal: AbortSignal },
  onProgress: OnProgress,
): Promise<void> {
  const { images } = context.store;
  const parsed = parseReference(name);
  const { domain, path } = parsed;
  const wantedTag = options.tag || parsed.tag;
  const tagged = images
    .names()
    .map(({ reference, id }) => ({ reference: parseReference(reference), id }))
    .filter(
      ({ reference }) =>
        reference.domain === domain &&
        reference.path === path &&
        reference.tag !== undefined &&
        (!wantedTag || reference.tag === wantedTag),
    );
  const shown = familiarName(parsed);
  if (tagged.length === 0) throw new NotFound(`An image does not exist locally with the tag: ${shown}`);
  onProgress({ status: `The push refers to repository [${domain}/${path}]` });
  for (const { reference, id } of tagged) {
    const record = images.get(id);
    if (record) await pushOne(context, reference, record, options, onProgress);
  }
}

async function pushOne(
  context: Context,
  reference: Reference,
  record: ImageRecord,
  options: { auth?: Credentials; signal: AbortSignal },
  onProgress: OnProgress,
): Promise<void> {
  const { content, images } = context.store;
  const repository = context.registry.repository(reference, options.auth);
  const slots = new Slots(parallelUploads);
  using lease = images.lease();
  for (const { descriptor } of record.layers) lease.addBlob(descriptor.digest);
  await Promise.all(
    record.layers.map(({ descriptor, diffId }) => {
      const id = shortId(diffId);
      onProgress({ id, status: "Preparing" });
      return slots.run(async () => {
        const report = throttle((current) =>
          onProgress({ id, status: "Pushing", progressDetail: { current, total: descriptor.size } }),
        );
        const outcome = await repository.pushBlob(descriptor, () => content.open(descriptor.digest), {
          mountFrom: elsewhere(context, reference, record),
          onProgress: report,
          signal: options.signal,
        });
        onProgress({
          id,
          status: { pushed: "Pushed", exists: "Layer already exists", mounted: "Mounted" }[outcome],
        });
      });
    }),
  );
  const bytes = await content.bytes(record.manifest);
  const configSize = content.size(record.id);
  await repository.pushBlob(
    { mediaType: "application/octet-stream", digest: record.id, size: configSize },
    () => content.open(record.id),
    { signal: options.signal },
  );
  const digest = await repository.pushManifest(
    reference.tag!,
    bytes,
    record.manifestMediaType,
    options.signal,
  );
  images.tag(digestName(reference, digest), record.id);
  onProgress({ status: `${reference.tag}: digest: ${digest} size: ${bytes.length}` });
  onProgress({ status: "", aux: { Tag: reference.tag, Digest: digest, Size: bytes.length } });
  context.events.publish("image", "push", `${familiarName(reference)}:${reference.tag}`, {
    name: familiarName(reference),
  });
}

/** Another repository of the same registry that has the image, to mount its layers from. */
function elsewhere(context: Context, reference: Reference, record: ImageRecord): string | undefined {
  return context.store.images
    .names()
    .filter(({ id }) => id === record.id)
    .map((name) => parseReference(name.reference))
    .find(
      (other) =>
        other.domain === reference.domain && other.path !== reference.path && other.digest !== undefined,
    )?.path;
}
