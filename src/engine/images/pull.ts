import { once } from "node:events";
import type { Digest } from "../../lib/digest.ts";
import { GantryError, InvalidParameter, NoSpace, NotFound } from "../../lib/errors.ts";
import { shortId } from "../../lib/ids.ts";
import { type Descriptor, type Index, mediaTypes, type Platform } from "../../lib/oci.ts";
import { parseImageConfig, parseIndex, parseManifest } from "../../lib/oci-schema.ts";
import { familiar, normalize, parseReference } from "../../lib/reference.ts";
import type { Credentials, RepositoryClient } from "../../registry/types.ts";
import { chainIds } from "../../store/index.ts";
import type { ImageRecord, Lease } from "../../store/types.ts";
import type { Context } from "../context.ts";
import type { OnProgress } from "../types.ts";
import { digestName, fullName } from "./names.ts";

/** Layers that come down at once, Docker's default. */
const parallelDownloads = 3;
const attempts = 5;
/** Between two progress messages of one layer (milliseconds). */
const progressInterval = 100;

export const hostPlatform: Platform = {
  os: "linux",
  architecture: process.arch === "x64" ? "amd64" : process.arch,
};

export interface PullOptions {
  platform?: Platform;
  auth?: Credentials;
  signal: AbortSignal;
}

/**
 * Pulls an image: manifest, config and layers, each unpacked as soon as it and those below it are there. What an
 * interrupted pull left is gone on with.
 * @throws NotFound, Unauthorized, Unavailable, Forbidden when it is not signed as it must be
 */
export async function pullImage(
  context: Context,
  text: string,
  options: PullOptions,
  onProgress: OnProgress,
): Promise<ImageRecord> {
  const { images, content } = context.store;
  const reference = normalize(parseReference(text));
  const repository = context.registry.repository(reference, options.auth);
  const wanted = reference.digest ?? reference.tag!;
  onProgress({ id: wanted, status: `Pulling from ${reference.path}` });
  using lease = images.lease();
  const top = await repository.manifest(wanted, options.signal);
  await context.signatures.verify(reference, top.descriptor.digest, repository, options.signal);
  let { descriptor, bytes } = top;
  if (isIndex(descriptor.mediaType)) {
    descriptor = selectPlatform(parseIndex(bytes), options.platform ?? hostPlatform, familiar(reference));
    bytes = (await repository.manifest(descriptor.digest, options.signal)).bytes;
  }
  const manifest = parseManifest(bytes);
  await download(context, repository, manifest.config, lease, options.signal);
  const config = parseImageConfig(await content.bytes(manifest.config.digest));
  if (options.platform && options.platform.architecture !== config.architecture) {
    throw new NotFound(
      `image with reference ${familiar(reference)} was found but its platform (${config.os}/${config.architecture}) does not match the specified platform (${options.platform.os}/${options.platform.architecture})`,
    );
  }
  const before = images.byName(fullName(text))?.id;
  await fetchLayers(
    context,
    repository,
    manifest.layers,
    config.rootfs.diff_ids,
    lease,
    options.signal,
    onProgress,
  );
  lease.addBlob(descriptor.digest);
  if (!content.has(descriptor.digest)) await content.put(bytes);
  const record = await images.register(
    { mediaType: descriptor.mediaType, digest: descriptor.digest, size: bytes.length },
    { signal: options.signal },
  );
  if (!reference.digest) images.tag(fullName(text), record.id);
  images.tag(digestName(reference, top.descriptor.digest), record.id);
  onProgress({ status: `Digest: ${top.descriptor.digest}` });
  onProgress({
    status:
      before === record.id
        ? `Status: Image is up to date for ${familiar(reference)}`
        : `Status: Downloaded newer image for ${familiar(reference)}`,
  });
  context.events.publish("image", "pull", familiar(reference), { name: familiar(reference) });
  return record;
}

export const isIndex = (mediaType: string) =>
  mediaType === mediaTypes.ociIndex || mediaType === mediaTypes.dockerList;

/** @throws NotFound when the index has no manifest for the platform */
export function selectPlatform(index: Index, platform: Platform, name: string): Descriptor {
  const fits = (descriptor: Descriptor) =>
    descriptor.platform?.os === platform.os &&
    descriptor.platform.architecture === platform.architecture &&
    (!platform.variant || descriptor.platform.variant === platform.variant);
  const found =
    index.manifests.find(fits) ??
    (index.manifests.length === 1 && !index.manifests[0]!.platform ? index.manifests[0] : undefined);
  if (!found)
    throw new NotFound(
      `no matching manifest for ${platform.os}/${platform.architecture}${platform.variant ? `/${platform.variant}` : ""} in the manifest list entries of ${name}`,
    );
  return found;
}

async function fetchLayers(
  context: Context,
  repository: RepositoryClient,
  layers: Descriptor[],
  diffIds: Digest[],
  lease: Lease,
  signal: AbortSignal,
  onProgress: OnProgress,
): Promise<void> {
  if (layers.length !== diffIds.length)
    throw new InvalidParameter(
      `invalid image: ${layers.length} layers in the manifest, ${diffIds.length} in the config`,
    );
  const { snapshots } = context.store;
  const chains = chainIds(diffIds);
  for (const chain of chains) lease.addSnapshot(chain);
  const failed = new AbortController();
  const both = AbortSignal.any([signal, failed.signal]);
  let below: Promise<void> = Promise.resolve();
  const slots = new Slots(parallelDownloads);
  const work = layers.map((layer, index) => {
    const id = shortId(layer.digest);
    if (snapshots.stat(chains[index]!) && context.store.content.has(layer.digest)) {
      lease.addBlob(layer.digest);
      onProgress({ id, status: "Already exists" });
      return Promise.resolve();
    }
    onProgress({ id, status: "Pulling fs layer" });
    const here = slots.run(async () => {
      const report = throttle((current) =>
        onProgress({ id, status: "Downloading", progressDetail: { current, total: layer.size } }),
      );
      await download(context, repository, layer, lease, both, report);
      onProgress({ id, status: "Download complete" });
    });
    const parent = below;
    below = Promise.all([here, parent]).then(async () => {
      onProgress({ id, status: "Extracting", progressDetail: { current: layer.size, total: layer.size } });
      await context.store.layers.unpack(
        layer.digest,
        { diffId: diffIds[index]!, chainId: chains[index]!, parent: chains[index - 1] },
        both,
      );
      onProgress({ id, status: "Pull complete" });
    });
    return below;
  });
  try {
    await Promise.all(work);
  } catch (error) {
    failed.abort();
    await Promise.allSettled(work);
    throw error;
  }
}

/** Brings one blob into the store, going on where a broken connection left off. */
async function download(
  context: Context,
  repository: RepositoryClient,
  blob: Descriptor,
  lease: Lease,
  signal: AbortSignal,
  onBytes: (current: number) => void = () => {},
): Promise<void> {
  const { content } = context.store;
  lease.addBlob(blob.digest);
  for (let attempt = 1; !content.has(blob.digest); attempt++) {
    const ingest = await content.ingest(blob.digest, { resume: true });
    try {
      if (content.has(blob.digest)) return;
      let current = ingest.offset;
      if (current < blob.size) {
        for await (const chunk of await repository.blob(blob, current, signal)) {
          await ingest.write(chunk as Uint8Array);
          current += (chunk as Uint8Array).length;
          onBytes(current);
        }
      }
      await ingest.commit({ digest: blob.digest, size: blob.size });
    } catch (error) {
      await ingest.close({ keep: !(error instanceof InvalidParameter || error instanceof NoSpace) });
      signal.throwIfAborted();
      // What the registry says clearly is not asked again; broken connections and corrupt bytes are.
      if (
        (error instanceof GantryError && error.kind !== "unavailable" && error.kind !== "invalid") ||
        attempt === attempts
      )
        throw error;
      await Promise.race([Bun.sleep(200 * 2 ** attempt), once(signal, "abort")]);
    }
  }
}

/** At most `limit` tasks at a time, in the order given. */
export class Slots {
  #free: number;
  #waiting: (() => void)[] = [];

  constructor(limit: number) {
    this.#free = limit;
  }

  async run<T>(task: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free--;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      return await task();
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#free++;
    }
  }
}

export function throttle(report: (value: number) => void): (value: number) => void {
  let last = 0;
  return (value) => {
    const now = performance.now();
    if (now - last < progressInterval) return;
    last = now;
    report(value);
  };
}
